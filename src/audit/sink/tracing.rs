use serde::Deserialize;

use super::AuditSink;
use crate::audit::batch::{Appended, Batch};
use crate::audit::error::AuditError;
use crate::audit::event::Outcome;
use crate::audit::head::Tail;

/// Gives each record to `tracing`, as an event of the target `waxseal::audit`: at the level `INFO` what
/// was allowed, at `WARN` what was denied or failed.
///
/// | field | value |
/// | --- | --- |
/// | `action` | `kms:Decrypt` and so on |
/// | `principal` | who acted |
/// | `key` | the key's id, or nothing |
/// | `outcome` | `allowed`, `denied`, `failed` |
/// | `error` | the kind of error, or nothing |
/// | `request_id` | names the call |
/// | `record` | the record as JSON, without its place in a chain |
///
/// It has no chain and promises nothing: put it beside another sink, in a
/// [`FanOut`](super::FanOut).
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingSink;

/// What an event shows of a record.
#[derive(Deserialize)]
struct Shown {
    #[serde(rename = "eventName")]
    action: String,
    #[serde(rename = "userIdentity")]
    identity: ShownIdentity,
    #[serde(rename = "keyId", default)]
    key: Option<String>,
    outcome: Outcome,
    #[serde(rename = "errorCode", default)]
    error: Option<String>,
    #[serde(rename = "requestID")]
    request_id: String,
}

#[derive(Deserialize)]
struct ShownIdentity {
    #[serde(rename = "principalId")]
    principal: String,
}

macro_rules! emit {
    ($level:ident, $shown:expr, $record:expr) => {
        tracing::$level!(
            target: "waxseal::audit",
            action = $shown.action,
            principal = $shown.identity.principal,
            key = $shown.key.as_deref(),
            outcome = $shown.outcome.name(),
            error = $shown.error.as_deref(),
            request_id = $shown.request_id,
            record = $record,
        )
    };
}

impl AuditSink for TracingSink {
    fn name(&self) -> String {
        "the audit trail in tracing".to_owned()
    }

    fn tail(&self) -> Result<Option<Tail>, AuditError> {
        Ok(None)
    }

    fn append(&self, batch: &Batch<'_>) -> Result<Appended, AuditError> {
        for record in batch.records() {
            // What was written as JSON is read.
            if let Ok(shown) = serde_json::from_str::<Shown>(record) {
                match shown.outcome {
                    Outcome::Allowed => emit!(info, shown, record),
                    Outcome::Denied | Outcome::Failed => emit!(warn, shown, record),
                }
            }
        }
        Ok(Appended::unchained())
    }
}
