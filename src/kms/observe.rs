//! What those are told who watch: a span and some numbers for each operation, without a secret.
//!
//! The names are documented with [`Kms`](super::Kms).

use super::attempt::Attempt;
use super::error::KmsError;

/// An operation that is watched.
pub(super) struct Observed {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
    #[cfg(feature = "metrics")]
    began: std::time::Instant,
}

impl Observed {
    #[cfg_attr(
        not(feature = "tracing"),
        expect(unused_variables, reason = "nobody is told")
    )]
    pub(super) fn begin(attempt: &Attempt<'_>) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::debug_span!(
                "waxseal.kms",
                operation = attempt.asked.operation.name(),
                principal = attempt.principal(),
                dry_run = attempt.session.is_dry_run,
                key = tracing::field::Empty,
                key_version = tracing::field::Empty,
                outcome = tracing::field::Empty,
                error = tracing::field::Empty,
            ),
            #[cfg(feature = "metrics")]
            began: std::time::Instant::now(),
        }
    }

    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _entered = self.span.enter();
        work()
    }

    #[cfg_attr(
        not(any(feature = "tracing", feature = "metrics")),
        expect(unused_variables, reason = "nobody is told")
    )]
    pub(super) fn end<T>(self, attempt: &Attempt<'_>, done: &Result<T, KmsError>) {
        #[cfg(feature = "tracing")]
        if !self.span.is_disabled() {
            if let Some(key) = attempt.told.key.get() {
                self.span.record("key", tracing::field::display(key));
            }
            if let Some(version) = attempt.told.version.get() {
                self.span.record("key_version", version.get());
            }
            self.span.record("outcome", outcome(done));
            if let Err(error) = done {
                self.span.record("error", error.kind());
            }
        }
        #[cfg(feature = "metrics")]
        {
            let operation = attempt.asked.operation.name();
            metrics::counter!(
                "waxseal_kms_operations_total",
                "operation" => operation,
                "outcome" => outcome(done),
            )
            .increment(1);
            if let Err(error) = done {
                metrics::counter!(
                    "waxseal_kms_errors_total",
                    "operation" => operation,
                    "error" => error.kind(),
                )
                .increment(1);
            }
            metrics::histogram!("waxseal_kms_operation_seconds", "operation" => operation)
                .record(self.began.elapsed().as_secs_f64());
        }
    }
}

/// As the audit trail has it.
#[cfg(any(feature = "tracing", feature = "metrics"))]
fn outcome<T>(done: &Result<T, KmsError>) -> &'static str {
    match done {
        Ok(_) | Err(KmsError::DryRun { .. }) => "allowed",
        Err(KmsError::Denied { .. }) => "denied",
        Err(_) => "failed",
    }
}
