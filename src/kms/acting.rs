//! A KMS in the hands of somebody who has passed the gate.

use std::ops::Deref;

use super::attempt::Attempt;
use super::error::KmsError;
use super::inner::Inner;
use crate::store::Transaction;

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

    /// Makes what is about to be committed known to the audit trail, durably or in the same
    /// transaction.
    pub(super) fn announce(&self, transaction: Transaction) -> Result<Transaction, KmsError> {
        match self.attempt {
            Some(attempt) => attempt.announce(transaction),
            None => Ok(transaction),
        }
    }
}

impl Deref for Acting<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        self.kms
    }
}
