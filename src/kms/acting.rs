//! A KMS in the hands of somebody who has passed the gate.

use std::ops::Deref;

use super::attempt::Attempt;
use super::authority::authorise;
use super::entry::KeyEntry;
use super::error::KmsError;
use super::inner::Inner;
use crate::audit::ChangeError;
use crate::store::{Sequence, Transaction};

/// What changes records: so nothing is changed that nobody has asked for.
#[derive(Clone, Copy)]
pub(crate) struct Acting<'a> {
    kms: &'a Inner,
    /// None where a process only adds up what it has counted.
    attempt: Option<&'a Attempt<'a>>,
}

impl<'a> Acting<'a> {
    pub(super) fn new(kms: &'a Inner, attempt: &'a Attempt<'a>) -> Self {
        Self {
            kms,
            attempt: Some(attempt),
        }
    }

    /// For what is nobody's doing: the counts of wraps.
    pub(super) fn counting(kms: &'a Inner) -> Self {
        Self { kms, attempt: None }
    }

    pub(super) fn kms(&self) -> &'a Inner {
        self.kms
    }

    /// The attempt that it is about; none for counts.
    pub(super) fn attempt(&self) -> Option<&'a Attempt<'a>> {
        self.attempt
    }

    /// Commits, and lets the audit trail know.
    pub(super) fn commit(&self, transaction: &Transaction) -> Result<Sequence, ChangeError> {
        match self.attempt {
            Some(attempt) => attempt.commit(transaction),
            None => Ok(self.store.commit(transaction)?),
        }
    }

    /// Lets through who may do the same with another key, or with the key as it has become.
    pub(super) fn authorise(&self, entry: &KeyEntry) -> Result<(), KmsError> {
        match self.attempt {
            Some(attempt) if !attempt.is_due_work() => authorise(attempt, Some(entry)),
            _ => Ok(()),
        }
    }
}

impl Deref for Acting<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        self.kms
    }
}
