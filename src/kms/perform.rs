//! The gate: whatever is done with a KMS is done through here.

use std::sync::Arc;

use super::acting::Acting;
use super::asked::Asked;
use super::attempt::Attempt;
use super::authority::{authorise, hide, may_look};
use super::commit::{MAX_ATTEMPTS, conflict};
use super::entry::{KeyEntry, KeyVersionHandle};
use super::error::KmsError;
use super::grant::KeyGrants;
use super::inner::Inner;
use super::name::KeySelector;
use super::observe::Observed;
use super::operation::Operation;
use super::record::KeyRecord;
use super::session::Session;
use super::usage::uncounted;
use crate::audit::PendingRecords;
use crate::context::EncryptionContext;
use crate::format::{KeyId, KeyVersion};

/// Lets a principal act.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'a> {
    kms: &'a Inner,
    session: &'a Session,
    pending: Option<&'a PendingRecords>,
}

/// A key that an operation may be done with.
pub(crate) struct AuthorisedKey<'a> {
    acting: Acting<'a>,
    operation: Operation,
    entry: Arc<KeyEntry>,
}

impl<'a> Gate<'a> {
    pub(super) fn new(kms: &'a Inner, session: &'a Session) -> Self {
        Self {
            kms,
            session,
            pending: None,
        }
    }

    /// Leaves records to be waited for by the caller of a keyring, if it does.
    pub(super) fn leaving(mut self, pending: Option<&'a PendingRecords>) -> Self {
        self.pending = pending;
        self
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
        self.perform_asked(Asked::new(operation).about(context), key, action)
    }

    /// As [`perform`](Self::perform), with parameters that policies may look at.
    pub(crate) fn perform_asked<T>(
        &self,
        asked: Asked<'_>,
        key: KeySelector<'_>,
        action: impl FnOnce(&AuthorisedKey<'_>) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        let attempt = self.attempt(&asked, Some(key));
        self.pass(
            &attempt,
            || Ok(Some(self.kms.find(key)?)),
            |acting, entry| match entry {
                Some(entry) => {
                    let key = AuthorisedKey::new(acting, asked.operation, entry);
                    let done = action(&key)?;
                    if asked.operation.wraps() {
                        key.count_wrap();
                    }
                    Ok(done)
                }
                None => Err(KmsError::InvalidSelector),
            },
        )
    }

    /// The key that a selector names, for one who means to do something with it if it is the right
    /// one: who may neither do that nor look is not told, and that is recorded.
    pub(super) fn resolve(
        &self,
        operation: Operation,
        key: KeySelector<'_>,
        context: &EncryptionContext,
    ) -> Result<KeyId, KmsError> {
        let asked = Asked::new(operation).about(Some(context));
        let attempt = self.attempt(&asked, Some(key));
        self.kms.refresh()?;
        let found = match self.kms.find(key) {
            Ok(entry) if may_look(&attempt)? => Ok(entry.id()),
            Ok(entry) => authorise(&attempt, Some(&entry)).map(|()| entry.id()),
            Err(error) => Err(hide(&attempt, error)),
        };
        match found {
            Err(KmsError::Denied { .. }) => attempt.conclude(found),
            found => found,
        }
    }

    /// The key that a selector names, if there is one. Not to be told to anybody.
    pub(super) fn known_key(&self, key: KeySelector<'_>) -> Option<KeyId> {
        self.kms.refresh().ok()?;
        Some(self.kms.find(key).ok()?.id())
    }

    /// Does something that is not about one key.
    pub(crate) fn perform_on_store<'q, T>(
        &self,
        asked: impl Into<Asked<'q>>,
        action: impl FnOnce(&Acting<'_>) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        let asked = asked.into();
        let attempt = self.attempt(&asked, None);
        self.pass(&attempt, || Ok(None), |acting, _| action(&acting))
    }

    /// Does work that is due on a key, which the store has as it is given.
    pub(super) fn perform_due<T>(
        &self,
        operation: Operation,
        entry: &Arc<KeyEntry>,
        action: impl FnOnce(&Acting<'_>) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        let asked = Asked::new(operation);
        let attempt = self.attempt(&asked, None).due();
        attempt.told.key.set(Some(entry.id()));
        self.pass(
            &attempt,
            || Ok(Some(Arc::clone(entry))),
            |acting, _| action(&acting),
        )
    }

    /// Does what is due on the store itself.
    pub(super) fn perform_due_on_store<T>(
        &self,
        operation: Operation,
        action: impl FnOnce(&Acting<'_>) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        let asked = Asked::new(operation);
        let attempt = self.attempt(&asked, None).due();
        self.pass(&attempt, || Ok(None), |acting, _| action(&acting))
    }

    fn attempt<'t>(&self, asked: &'t Asked<'t>, selector: Option<KeySelector<'t>>) -> Attempt<'t>
    where
        'a: 't,
    {
        Attempt::new(self.kms, self.session, asked, selector).leaving(self.pending)
    }

    /// The one way to do anything: whether the principal may is decided, then the state of the key is
    /// looked at, and what came of it is recorded before anything is given out: by the gate, or by the caller who
    /// waits for the record.
    fn pass<T>(
        &self,
        attempt: &Attempt<'_>,
        find: impl FnOnce() -> Result<Option<Arc<KeyEntry>>, KmsError>,
        act: impl FnOnce(Acting<'_>, Option<Arc<KeyEntry>>) -> Result<T, KmsError>,
    ) -> Result<T, KmsError> {
        let observed = Observed::begin(attempt);
        let done = observed.during(|| {
            let done = attempt.watch(|| {
                let entry = self.enter(attempt, find)?;
                act(Acting::new(self.kms, attempt), entry)
            });
            attempt.conclude(done)
        });
        observed.end(attempt, &done);
        done
    }

    fn enter(
        &self,
        attempt: &Attempt<'_>,
        find: impl FnOnce() -> Result<Option<Arc<KeyEntry>>, KmsError>,
    ) -> Result<Option<Arc<KeyEntry>>, KmsError> {
        if !attempt.is_due_work() {
            self.session.principal.check()?;
        }
        self.kms.refresh()?;
        let entry = find().map_err(|error| hide(attempt, error))?;
        attempt.told.key.set(entry.as_ref().map(|entry| entry.id()));
        if !attempt.is_due_work() {
            authorise(attempt, entry.as_deref())?;
        }
        if let Some(entry) = &entry {
            if !attempt.is_due_work() {
                entry.alive()?;
            }
            entry.check(attempt.asked.operation)?;
        }
        attempt.end_dry_run()?;
        Ok(entry)
    }
}

impl<'a> AuthorisedKey<'a> {
    fn new(acting: Acting<'a>, operation: Operation, entry: Arc<KeyEntry>) -> Self {
        Self {
            acting,
            operation,
            entry,
        }
    }

    /// The KMS, by whoever may act.
    pub(super) fn kms(&self) -> &Acting<'a> {
        &self.acting
    }

    pub(crate) fn id(&self) -> KeyId {
        self.entry.id()
    }

    /// What is stored of the key.
    pub(crate) fn record(&self) -> &KeyRecord {
        &self.entry.record
    }

    /// Its grants.
    pub(super) fn grants(&self) -> Result<Arc<KeyGrants>, KmsError> {
        self.acting.grants(&self.entry)
    }

    pub(super) fn entry(&self) -> &Arc<KeyEntry> {
        &self.entry
    }

    /// The version that wraps, signs and makes MACs.
    pub(crate) fn primary(&self) -> Result<KeyVersionHandle, KmsError> {
        self.primary_of(&self.entry)
    }

    /// The same, of the key as it has become meanwhile.
    pub(super) fn primary_of(&self, entry: &KeyEntry) -> Result<KeyVersionHandle, KmsError> {
        self.tell(entry.version(entry.record.primary).cloned())
    }

    /// A version that a message names. Another process may have made it just now, so the store is
    /// asked before it is said not to be there.
    pub(crate) fn version(&self, number: KeyVersion) -> Result<KeyVersionHandle, KmsError> {
        match self.entry.version(number) {
            Err(KmsError::NoVersion { .. }) => {
                let entry = self.acting.read_key(self.id())?;
                self.check_again(&entry)?;
                self.tell(entry.version(number).cloned())
            }
            found => self.tell(found.cloned()),
        }
    }

    /// Lets the audit trail know which version is used.
    fn tell(
        &self,
        version: Result<KeyVersionHandle, KmsError>,
    ) -> Result<KeyVersionHandle, KmsError> {
        if let (Ok(version), Some(attempt)) = (&version, self.acting.attempt()) {
            attempt.told.version.set(Some(version.number()));
        }
        version
    }

    /// Looks at the key as it has become meanwhile, as the gate did before.
    fn check_again(&self, entry: &KeyEntry) -> Result<(), KmsError> {
        self.acting.authorise(entry)?;
        entry.alive()?;
        entry.check(self.operation)
    }

    /// The key as it has become meanwhile, if the operation is still allowed.
    pub(super) fn read_again(&self) -> Result<Arc<KeyEntry>, KmsError> {
        let entry = self.acting.read_key(self.id())?;
        self.check_again(&entry)?;
        Ok(entry)
    }

    /// Changes the key's record, also if others change it meanwhile: the edit is then made again,
    /// on what they have written, if the operation is still allowed.
    pub(crate) fn change(
        &self,
        mut edit: impl FnMut(&mut KeyRecord) -> Result<(), KmsError>,
    ) -> Result<Arc<KeyEntry>, KmsError> {
        self.acting.change(Arc::clone(&self.entry), |entry| {
            if !std::ptr::eq(entry, &*self.entry) {
                self.check_again(entry)?;
            }
            let mut record = entry.record.clone();
            edit(&mut record)?;
            Ok(record)
        })
    }

    /// Tries to do something that commits, with the key as it is known first and then, whenever
    /// others were faster, as the store has it. `attempt` returns nothing when they were.
    pub(super) fn until_done<T>(
        &self,
        mut attempt: impl FnMut(&Acting<'_>, &KeyEntry) -> Result<Option<T>, KmsError>,
    ) -> Result<T, KmsError> {
        let mut entry = Arc::clone(&self.entry);
        for _ in 0..MAX_ATTEMPTS {
            if let Some(done) = attempt(&self.acting, &entry)? {
                return Ok(done);
            }
            entry = self.read_again()?;
        }
        Err(conflict(KeyRecord::address(entry.id())))
    }

    fn count_wrap(&self) {
        let policy = self.entry.record.rotation.as_ref();
        let most = uncounted(policy.map(|rotation| rotation.policy.budget()));
        let count = self.entry.meter().add(1);
        if count.is_multiple_of(most) {
            // What cannot be added now is added later; the wrap is done and good.
            let _ = self.acting.flush_usage_of(self.id());
        }
    }
}
