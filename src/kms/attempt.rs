//! What somebody is about to do, and what is known of it so far.

use std::cell::{Cell, OnceCell, RefCell};

use super::asked::Asked;
use super::authority::Verdict;
use super::error::KmsError;
use super::inner::Inner;
use super::name::{KeySelector, Selected};
use super::session::Session;
use crate::audit::PendingRecords;
use crate::format::{KeyId, KeyVersion};

/// Who, what, and with which key.
pub(crate) struct Attempt<'a> {
    pub(super) kms: &'a Inner,
    pub(super) session: &'a Session,
    pub(super) asked: &'a Asked<'a>,
    /// How the key was named; none for what is not about one key, and for due work.
    pub(super) selector: Option<KeySelector<'a>>,
    is_due: bool,
    /// Where the caller waits for what is recorded.
    pub(super) pending: Option<&'a PendingRecords>,
    /// For the audit trail.
    pub(super) told: Told,
}

/// What the audit trail will be told.
#[derive(Default)]
pub(super) struct Told {
    pub(super) key: Cell<Option<KeyId>>,
    pub(super) version: Cell<Option<KeyVersion>>,
    pub(super) verdict: RefCell<Option<Verdict>>,
    /// The id of the request, in hexadecimal, if it was not given one.
    pub(super) request: OnceCell<[u8; 32]>,
    /// Whether it was told already that this is allowed and being done.
    pub(super) is_announced: Cell<bool>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        kms: &'a Inner,
        session: &'a Session,
        asked: &'a Asked<'a>,
        selector: Option<KeySelector<'a>>,
    ) -> Self {
        let told = Told::default();
        if let Some(Selected::Id(id)) = selector.map(KeySelector::selected) {
            told.key.set(Some(id));
        }
        Self {
            kms,
            session,
            asked,
            selector,
            is_due: false,
            pending: None,
            told,
        }
    }

    /// Leaves its records to be waited for by the caller, if it does.
    pub(super) fn leaving(mut self, pending: Option<&'a PendingRecords>) -> Self {
        self.pending = pending;
        self
    }

    /// What was decided before: nobody is asked whether it may be.
    pub(super) fn due(mut self) -> Self {
        self.is_due = true;
        self
    }

    pub(super) fn principal(&self) -> &'a str {
        self.session.principal.as_str()
    }

    /// The alias that the key was named by.
    pub(super) fn request_alias(&self) -> Option<&'a str> {
        match self.selector?.selected() {
            Selected::Alias(name) => Some(name),
            Selected::Id(_) | Selected::Invalid => None,
        }
    }

    /// Whether it is what somebody decided before.
    pub(super) fn is_due_work(&self) -> bool {
        self.is_due
    }

    pub(super) fn decide(&self, verdict: Verdict) {
        *self.told.verdict.borrow_mut() = Some(verdict);
    }

    /// Ends a dry run.
    pub(super) fn end_dry_run(&self) -> Result<(), KmsError> {
        if self.session.is_dry_run {
            return Err(KmsError::DryRun {
                operation: self.asked.operation,
            });
        }
        Ok(())
    }

    /// All that a caller learns who may not.
    pub(super) fn denied(&self) -> KmsError {
        KmsError::Denied {
            operation: self.asked.operation,
            key: self.selector.map(|selector| selector.to_string()),
        }
    }
}
