//! The gate: whatever is done with a KMS is done through here.

use std::sync::Arc;

use super::commit::{MAX_ATTEMPTS, conflict};
use super::entry::{KeyEntry, KeyVersionHandle};
use super::error::KmsError;
use super::inner::Inner;
use super::name::{KeySelector, Principal};
use super::operation::Operation;
use super::record::KeyRecord;
use super::usage::uncounted;
use crate::context::EncryptionContext;
use crate::format::{KeyId, KeyVersion};

/// Lets a principal act.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'a> {
    kms: &'a Inner,
    principal: &'a Principal,
}

/// What somebody is about to do.
#[derive(Debug, Clone, Copy)]
struct Attempt<'a> {
    #[expect(
        dead_code,
        reason = "who acts is asked by policies and told by the audit trail"
    )]
    principal: &'a Principal,
    operation: Operation,
    #[expect(dead_code, reason = "as the principal")]
    context: Option<&'a EncryptionContext>,
}

/// A key that an operation may be done with.
pub(crate) struct AuthorisedKey<'a> {
    kms: &'a Inner,
    operation: Operation,
    entry: Arc<KeyEntry>,
}

impl<'a> Gate<'a> {
    pub(super) fn new(kms: &'a Inner, principal: &'a Principal) -> Self {
        Self { kms, principal }
    }

    /// Does something with a key: finds it, checks that it is fit for the operation in its state,
    /// and hands it to `action`. Where the operation wraps, it is counted if `action` succeeds.
    pub(crate) fn perform<T>(
        &self,
        operation: Operation,
        key: KeySelector<'_>,
        context: Option<&EncryptionContext>,
        action: impl FnOnce(&AuthorisedKey<'_>) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        let kms = self.kms;
        self.pass(
            self.attempt(operation, context),
            || Ok(Some(kms.find(key)?)),
            |entry| match entry {
                Some(entry) => {
                    let key = AuthorisedKey::new(kms, operation, entry);
                    let done = action(&key)?;
                    if operation.wraps() {
                        key.count_wrap();
                    }
                    Ok(done)
                }
                None => Err(KmsError::InvalidSelector),
            },
        )
    }

    /// Does something that is not about one key.
    pub(crate) fn perform_on_store<T>(
        &self,
        operation: Operation,
        action: impl FnOnce(&Inner) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        self.pass(
            self.attempt(operation, None),
            || Ok(None),
            |_| action(self.kms),
        )
    }

    /// Does work that is due on a key, which the store has as it is given.
    pub(super) fn perform_due<T>(
        &self,
        operation: Operation,
        entry: &Arc<KeyEntry>,
        action: impl FnOnce(&Inner) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        self.pass(
            self.attempt(operation, None),
            || Ok(Some(Arc::clone(entry))),
            |_| action(self.kms),
        )
    }

    fn attempt(&self, operation: Operation, context: Option<&'a EncryptionContext>) -> Attempt<'a> {
        Attempt {
            principal: self.principal,
            operation,
            context,
        }
    }

    /// The one way to do anything. Whether the principal may is to be decided here, when the key is
    /// known and before its state is told; what came of it is to be recorded here.
    fn pass<T>(
        &self,
        attempt: Attempt<'_>,
        find: impl FnOnce() -> Result<Option<Arc<KeyEntry>>, KmsError>,
        act: impl FnOnce(Option<Arc<KeyEntry>>) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        self.kms.refresh()?;
        let entry = find()?;
        if let Some(entry) = &entry {
            entry.check(attempt.operation)?;
        }
        act(entry)
    }
}

impl<'a> AuthorisedKey<'a> {
    fn new(kms: &'a Inner, operation: Operation, entry: Arc<KeyEntry>) -> Self {
        Self {
            kms,
            operation,
            entry,
        }
    }

    pub(crate) fn id(&self) -> KeyId {
        self.entry.id()
    }

    /// What is stored of the key.
    pub(crate) fn record(&self) -> &KeyRecord {
        &self.entry.record
    }

    pub(super) fn entry(&self) -> &Arc<KeyEntry> {
        &self.entry
    }

    /// The version that wraps, signs and makes MACs.
    pub(crate) fn primary(&self) -> Result<KeyVersionHandle, KmsError> {
        self.entry.version(self.entry.record.primary).cloned()
    }

    /// A version that a message names. Another process may have made it just now, so the store is
    /// asked before it is said not to be there.
    pub(crate) fn version(&self, number: KeyVersion) -> Result<KeyVersionHandle, KmsError> {
        match self.entry.version(number) {
            Err(KmsError::NoVersion { .. }) => {
                let entry = self.kms.read_alive(self.id())?;
                entry.check(self.operation)?;
                entry.version(number).cloned()
            }
            found => found.cloned(),
        }
    }

    /// Changes the key's record, also if others change it meanwhile: the edit is then made again,
    /// on what they have written, if the operation is still allowed.
    pub(crate) fn change(
        &self,
        mut edit: impl FnMut(&mut KeyRecord) -> Result<(), KmsError>,
    ) -> Result<Arc<KeyEntry>, KmsError> {
        self.kms.change(Arc::clone(&self.entry), |entry| {
            entry.check(self.operation)?;
            let mut record = entry.record.clone();
            edit(&mut record)?;
            Ok(record)
        })
    }

    /// Tries to do something that commits, with the key as it is known first and then, whenever
    /// others were faster, as the store has it. `attempt` returns nothing when they were.
    pub(super) fn until_done<T>(
        &self,
        mut attempt: impl FnMut(&Inner, &KeyEntry) -> Result<Option<T>, KmsError>,
    ) -> Result<T, KmsError> {
        let mut entry = Arc::clone(&self.entry);
        for _ in 0..MAX_ATTEMPTS {
            if let Some(done) = attempt(self.kms, &entry)? {
                return Ok(done);
            }
            entry = self.kms.read_alive(entry.id())?;
            entry.check(self.operation)?;
        }
        Err(conflict(KeyRecord::address(entry.id())))
    }

    fn count_wrap(&self) {
        let policy = self.entry.record.rotation.as_ref();
        let most = uncounted(policy.map(|rotation| rotation.policy.budget()));
        let count = self.entry.meter().add(1);
        if count.is_multiple_of(most) {
            // What cannot be added now is added later; the wrap is done and good.
            let _ = self.kms.flush_usage_of(self.id());
        }
    }
}
