//! What somebody is about to do.

use super::asked::Asked;
use super::error::KmsError;
use super::inner::Inner;
use super::name::{KeySelector, Selected};
use super::session::Session;
use crate::store::Transaction;

/// Who, what, and with which key.
pub(crate) struct Attempt<'a> {
    pub(super) kms: &'a Inner,
    pub(super) session: &'a Session,
    pub(super) asked: &'a Asked<'a>,
    /// How the key was named; none for what is not about one key, and for due work.
    pub(super) selector: Option<KeySelector<'a>>,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        kms: &'a Inner,
        session: &'a Session,
        asked: &'a Asked<'a>,
        selector: Option<KeySelector<'a>>,
    ) -> Self {
        Self {
            kms,
            session,
            asked,
            selector,
        }
    }

    /// The alias that the key was named by.
    pub(super) fn request_alias(&self) -> Option<&'a str> {
        match self.selector?.selected() {
            Selected::Alias(name) => Some(name),
            Selected::Id(_) | Selected::Invalid => None,
        }
    }

    pub(super) fn announce(&self, transaction: Transaction) -> Result<Transaction, KmsError> {
        Ok(transaction)
    }

    pub(super) fn dry_run(&self) -> Result<(), KmsError> {
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
