//! What the audit trail is told of what is done, and when.
//!
//! What only gives something out is recorded when it is done, and given out when it is recorded. Who
//! waits for that is the gate, which blocks, or the caller of a keyring that [says](crate::audit::PendingRecords)
//! it does.
//! What changes records is recorded with its first commit: in the same transaction where the trail
//! can, and otherwise durably before it. If the change then fails, a second record of the same
//! request says so. What cannot be recorded is not done.

use std::panic::{self, AssertUnwindSafe};

use super::asked::Parameters;
use super::attempt::Attempt;
use super::authority::{Basis, Verdict};
use super::error::KmsError;
use crate::audit::{
    AuditError, AuditEvent, AuditTrail, ChangeError, DecidedBy, Outcome, ParameterValue,
};
use crate::clock::Timestamp;
use crate::store::{Sequence, Transaction};

/// The kind of error of what ended in a panic, a provider's for instance.
const PANICKED: &str = "Panicked";

impl Attempt<'_> {
    /// Records what came of it, and gives it out: to a caller who waits for the record, before it is
    /// durable.
    pub(super) fn conclude<T>(&self, done: Result<T, KmsError>) -> Result<T, KmsError> {
        let Some(trail) = &self.kms.trail else {
            return done;
        };
        let is_announced = self.told.is_announced.get();
        let recorded = match &done {
            Ok(_) if is_announced => return done,
            // The trail was asked to record it, and could not.
            Err(KmsError::Audit(_)) => return done,
            Ok(_) | Err(KmsError::DryRun { .. }) => self.record(trail, Outcome::Allowed, None),
            Err(KmsError::Denied { .. }) => self.record(trail, Outcome::Denied, None),
            Err(error) => self.record(trail, Outcome::Failed, Some(error.kind())),
        };
        match recorded {
            // That it failed is the more important news.
            Err(_) if is_announced => done,
            Err(error) => Err(error.into()),
            Ok(()) => done,
        }
    }

    /// Does what is asked. If that panics, it is recorded, and the panic goes on.
    pub(super) fn watch<T>(&self, act: impl FnOnce() -> T) -> T {
        // What a panic left half changed is seen by nobody but those who catch it.
        let panic = match panic::catch_unwind(AssertUnwindSafe(act)) {
            Ok(done) => return done,
            Err(panic) => panic,
        };
        if let Some(trail) = &self.kms.trail {
            // Nothing is given out, recorded or not.
            let _ = self.record(trail, Outcome::Failed, Some(PANICKED));
        }
        panic::resume_unwind(panic)
    }

    /// Commits what is to be changed, and records it with the first such commit.
    pub(super) fn commit(&self, transaction: &Transaction) -> Result<Sequence, ChangeError> {
        let store = self.kms.store.as_ref();
        let trail = match &self.kms.trail {
            Some(trail) if !self.told.is_announced.get() => trail,
            _ => return Ok(store.commit(transaction)?),
        };
        let committed = self.with_event(Outcome::Allowed, None, |event| {
            trail.commit(event, store, transaction)
        })?;
        let is_announced = match &committed {
            Ok(_) => true,
            Err(ChangeError::Audit(_)) => false,
            Err(ChangeError::Commit(_)) => !trail.records_with_commits(),
        };
        self.told.is_announced.set(is_announced);
        committed
    }

    fn record(
        &self,
        trail: &AuditTrail,
        outcome: Outcome,
        error: Option<&'static str>,
    ) -> Result<(), AuditError> {
        self.with_event(outcome, error, |event| match self.pending {
            Some(pending) => trail.submit(event).map(|record| pending.add(record)),
            None => trail.record(event).map(drop),
        })?
    }

    fn with_event<T>(
        &self,
        outcome: Outcome,
        error: Option<&'static str>,
        tell: impl FnOnce(&AuditEvent<'_>) -> T,
    ) -> Result<T, AuditError> {
        let (asked, session, told) = (self.asked, self.session, &self.told);
        let verdict = told.verdict.borrow();
        let decider = Decider::of(verdict.as_ref());
        let mut event = AuditEvent::new(self.request_id()?, self.principal(), asked.operation);
        event.attributes = Some(&session.attributes).filter(|given| !given.is_empty());
        event.source = Some(&session.source).filter(|given| !given.is_empty());
        event.key = told.key.get();
        event.key_version = told.version.get();
        event.selector = self.request_alias();
        event.context = asked.context;
        event.outcome = outcome;
        event.error = error;
        event.decided_by = decider.as_ref().map(Decider::as_decided_by);
        event.dry_run = session.is_dry_run;
        asked.parameters.tell(&mut event);
        Ok(tell(&event))
    }

    /// The same for all records of one operation.
    fn request_id(&self) -> Result<&str, AuditError> {
        if let Some(id) = &self.session.request_id {
            return Ok(id);
        }
        let digits = match self.told.request.get() {
            Some(digits) => digits,
            None => {
                let mut id = [0; 16];
                self.kms.random.fill(&mut id)?;
                let mut digits = [b'0'; 32];
                // Twice as many digits as bytes fit.
                let _ = base16ct::lower::encode(&id, &mut digits);
                self.told.request.get_or_init(|| digits)
            }
        };
        Ok(std::str::from_utf8(digits).unwrap_or_default())
    }
}

/// What decided, by the name that the trail has for it.
enum Decider {
    KeyPolicy(String),
    StorePolicy(String),
    Grant(String),
    Nothing,
}

impl Decider {
    fn of(verdict: Option<&Verdict>) -> Option<Self> {
        let basis = match verdict? {
            Verdict::Allowed(basis) | Verdict::Denied(basis) => basis,
            Verdict::NoMatch(_) => return Some(Self::Nothing),
        };
        Some(match basis {
            Basis::Open => return None,
            Basis::KeyPolicy(statement) => Self::KeyPolicy(statement.label()),
            Basis::StorePolicy(statement) => Self::StorePolicy(statement.label()),
            Basis::Grant(grant) => Self::Grant(grant.to_string()),
        })
    }

    fn as_decided_by(&self) -> DecidedBy<'_> {
        match self {
            Self::KeyPolicy(statement) => DecidedBy::KeyPolicy(statement),
            Self::StorePolicy(statement) => DecidedBy::StorePolicy(statement),
            Self::Grant(grant) => DecidedBy::Grant(grant),
            Self::Nothing => DecidedBy::Nothing,
        }
    }
}

impl super::policy::StatementName {
    /// Its `Sid`, or its place.
    fn label(&self) -> String {
        match &self.sid {
            Some(sid) => sid.to_string(),
            None => self.index.to_string(),
        }
    }
}

impl<'a> Parameters<'a> {
    /// The names are those of AWS, where AWS has such a parameter.
    fn tell(&self, event: &mut AuditEvent<'a>) {
        let mut add = |name, value: Option<ParameterValue<'a>>| {
            event.parameters.extend(value.map(|value| (name, value)));
        };
        let text = |text: &'a str| ParameterValue::from(text);
        let date = |date: Timestamp| ParameterValue::from(date.to_string());
        add("aliasName", self.alias.map(|alias| text(alias.as_str())));
        add("keySpec", self.spec.map(|spec| text(spec.name())));
        add("origin", self.origin.map(|origin| text(origin.name())));
        if let Some((tag, _)) = self.tag {
            add("tagKeys", Some(ParameterValue::List(vec![tag.into()])));
        } else if let Some(tags) = self.tags.filter(|tags| !tags.is_empty()) {
            let keys = tags.keys().map(|key| key.as_str().into());
            add("tagKeys", Some(ParameterValue::List(keys.collect())));
        }
        let number = |number: u32| ParameterValue::from(number);
        add("pendingWindowInDays", self.waiting_days.map(number));
        add("rotationPeriodInDays", self.rotation_days.map(number));
        let algorithm = self.signing_algorithm;
        add("signingAlgorithm", algorithm.map(|it| text(it.name())));
        add("messageType", self.message_type.map(text));
        let wrapping = self.wrapping;
        add("wrappingAlgorithm", wrapping.map(|it| text(it.name())));
        add("validTo", self.expires.flatten().map(date));
        let bypasses = self.bypasses_lockout_check.map(ParameterValue::from);
        add("bypassPolicyLockoutSafetyCheck", bypasses);
        add("grantId", self.grant_id.map(|id| id.to_string().into()));
        let retiring = self.retiring_principal;
        add("retiringPrincipal", retiring.map(|it| text(it.as_str())));
        let explained = self.explained;
        add("explainedPrincipal", explained.map(|it| text(it.0)));
        add("explainedOperation", explained.map(|it| text(it.1.name())));
        if let Some(grant) = self.grant {
            let operations = grant.operations().map(|operation| operation.name().into());
            add("granteePrincipal", Some(text(grant.grantee().as_str())));
            add(
                "operations",
                Some(ParameterValue::List(operations.collect())),
            );
            let constraint = grant.constraint();
            add("constraintType", constraint.map(|it| text(it.kind())));
            let retiring = grant.retiring_principal();
            add("retiringPrincipal", retiring.map(|it| text(it.as_str())));
            add("expires", grant.expires().map(date));
        }
    }
}
