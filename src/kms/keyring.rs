//! Messages under a key of the KMS.

use std::sync::Arc;

use smallvec::SmallVec;

use super::KmsHandle;
use super::error::KmsError;
use super::name::{AliasName, KeySelector, Selected};
use super::operation::Operation;
use super::perform::Gate;
use super::wrap::keys_of;
use crate::audit::PendingRecords;
use crate::context::EncryptionContext;
use crate::error::Error;
use crate::format::{KeyEntriesBuf, KeyEntry, KeyId};
use crate::keyring::{
    DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring, Trials, Unwrapped,
    WrapDataKeyRequest,
};

/// A key of a [`Kms`](super::Kms) as the [`Keyring`] of an [`Envelope`](crate::Envelope), used in
/// the name of a principal. Made by [`KmsHandle::keyring`]; cloning is cheap.
///
/// Sealing is `GenerateDataKey` to the KMS, opening `Decrypt`, and wrapping a data key that was made
/// elsewhere, as a keyring of several keys asks for, `Encrypt`.
///
/// A message is sealed under the version that is primary then, which it names, and opens under that
/// version for as long as the key is there. With an alias, the key is the one that has the alias at
/// the time: messages under the key that had it before open with
/// [`opening_also`](Self::opening_also).
///
/// Every message asks the KMS, which costs no query of its store as long as the key is cached. A
/// [`CachingKeyring`](crate::CachingKeyring) around it asks for the data key of many messages at
/// once; when the key is disabled, or the principal's right to it is taken back, cached data keys go
/// on being used until they are as old as its limits let them be:
/// [`CacheLimits::max_age`](crate::CacheLimits::max_age), counted from when the KMS gave them. Who
/// cannot wait empties the cache. Messages under a cached data key make no record in the audit
/// trail; that of the data key covers them.
#[derive(Debug, Clone)]
pub struct KmsKeyring {
    handle: KmsHandle,
    /// The key that seals, unless it only opens.
    key: Option<OwnedSelector>,
    opens: Opens,
}

#[derive(Debug, Clone)]
pub(super) enum OwnedSelector {
    Id(KeyId),
    Alias(AliasName),
}

/// The keys, beside the one that seals, whose messages are opened.
#[derive(Debug, Clone)]
enum Opens {
    These(Arc<[OwnedSelector]>),
    Any,
}

impl KmsHandle {
    /// The keyring of a key.
    ///
    /// # Errors
    ///
    /// [`KmsError::InvalidSelector`] and [`KmsError::InvalidName`] for a text that can name no key.
    /// Whether there is such a key is found when the keyring is used.
    pub fn keyring<'k>(&self, key: impl Into<KeySelector<'k>>) -> Result<KmsKeyring, KmsError> {
        Ok(KmsKeyring {
            handle: self.clone(),
            key: Some(OwnedSelector::new(key.into())?),
            opens: Opens::These(Arc::new([])),
        })
    }
}

impl KmsKeyring {
    /// Opens messages under any key of the KMS that the principal may decrypt with, and seals none.
    pub(crate) fn discovering(handle: &KmsHandle) -> Self {
        Self {
            handle: handle.clone(),
            key: None,
            opens: Opens::Any,
        }
    }

    /// Opens messages under another key too, such as the one that had the alias before.
    ///
    /// # Errors
    ///
    /// As [`KmsHandle::keyring`].
    pub fn opening_also<'k>(mut self, key: impl Into<KeySelector<'k>>) -> Result<Self, KmsError> {
        let key = OwnedSelector::new(key.into())?;
        if let Opens::These(keys) = self.opens {
            let keys = keys.iter().cloned().chain([key]);
            self.opens = Opens::These(keys.collect());
        }
        Ok(self)
    }

    /// Opens messages under any key of the KMS that the principal may decrypt with.
    #[must_use]
    pub fn opening_any_key(mut self) -> Self {
        self.opens = Opens::Any;
        self
    }

    /// Whether a message under `key` is this keyring's to open.
    fn is_mine(&self, key: KeyId, request: &DecryptionRequest<'_>) -> Result<bool, KmsError> {
        let others = match &self.opens {
            Opens::Any => return Ok(true),
            Opens::These(keys) => keys.iter(),
        };
        for mine in self.key.iter().chain(others) {
            if mine.names(self.gate(request.pending), key, request.context)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As [`is_mine`](Self::is_mine), asked without a context, and so of nobody's rights.
    fn may_be_mine(&self, key: KeyId) -> bool {
        let others: &[OwnedSelector] = match &self.opens {
            Opens::Any => return true,
            Opens::These(keys) => keys,
        };
        let gate = self.handle.gate();
        self.key.iter().chain(others).any(|mine| {
            let known = gate.known_key(mine.as_selector());
            known.is_none_or(|known| known == key)
        })
    }

    fn sealing_key(&self) -> Result<KeySelector<'_>, Error> {
        let key = self.key.as_ref().ok_or(Error::OpensOnly)?;
        Ok(key.as_selector())
    }

    fn seal(&self, request: EncryptionRequest<'_>) -> Result<EncryptionMaterials, Error> {
        let EncryptionRequest {
            context,
            random,
            pending,
            ..
        } = request;
        Ok(self.gate(pending).perform(
            Operation::GenerateDataKey,
            self.sealing_key()?,
            Some(context),
            |key| Ok(key.encryption_materials(context, random)?.0),
        )?)
    }

    fn wrap(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        let WrapDataKeyRequest {
            context,
            data_key,
            share,
            ..
        } = request;
        Ok(self.handle.gate().perform(
            Operation::Encrypt,
            self.sealing_key()?,
            Some(context),
            |key| key.wrapped_copy(data_key, context, share),
        )?)
    }

    fn open(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        let context = request.context;
        let mut failed: SmallVec<[(KeyId, Error); 1]> = SmallVec::new();
        for key in keys_of(request.entries) {
            if !self.is_mine(key, &request)? {
                continue;
            }
            let opened = self.gate(request.pending).perform(
                Operation::Decrypt,
                key.into(),
                Some(context),
                |key| key.decryption_materials(request.entries, context, request.share),
            );
            match opened {
                Ok(Some((materials, _))) => return Ok(Unwrapped::Done(materials)),
                Ok(None) => {}
                // A message of another KMS, where every key of this one would do.
                Err(KmsError::NoKey { .. }) if matches!(self.opens, Opens::Any) => {}
                Err(error) => failed.push((key, error.into())),
            }
        }
        if failed.len() <= 1 {
            return failed
                .pop()
                .map_or(Ok(Unwrapped::NotMine), |(_, error)| Err(error));
        }
        let mut trials = Trials::new(request.entries);
        for (key, error) in failed {
            trials.failed_with(|entry| names(entry, key), error);
        }
        trials.end()
    }

    fn gate<'a>(&'a self, pending: Option<&'a PendingRecords>) -> Gate<'a> {
        self.handle.gate().leaving(pending)
    }

    fn seals_at_once(&self, pending: Option<&PendingRecords>) -> bool {
        self.key
            .as_ref()
            .is_none_or(|key| self.is_at_hand(key.as_selector(), pending))
    }

    /// Whether the KMS has a key at hand, so that using it asks neither the store nor a provider
    /// that may block, and waits for no record.
    fn is_at_hand(&self, key: KeySelector<'_>, pending: Option<&PendingRecords>) -> bool {
        let kms = &self.handle.kms;
        if kms.trail.is_some() && pending.is_none() {
            return false;
        }
        // What is still to be read of policies and grants may block too.
        if kms.cache().store_policy().is_none() {
            return false;
        }
        kms.at_hand(key).is_some_and(|entry| {
            if entry.record.grants.is_some() && entry.known_grants().is_none() {
                return false;
            }
            let primary = entry.version(entry.record.primary);
            primary.is_ok_and(|version| {
                version
                    .provider()
                    .is_ok_and(|provider| provider.capabilities().answers_at_once)
            })
        })
    }
}

impl Keyring for KmsKeyring {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        self.seal(request)
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        self.open(request)
    }

    fn try_encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Option<Result<EncryptionMaterials, Error>> {
        self.seals_at_once(request.pending)
            .then(|| self.encryption_materials(request))
    }

    fn try_decryption_materials(
        &self,
        request: DecryptionRequest<'_>,
    ) -> Option<Result<Unwrapped, Error>> {
        let mut keys = keys_of(request.entries);
        keys.all(|key| self.is_at_hand(key.into(), request.pending))
            .then(|| self.decryption_materials(request))
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        self.wrap(request)
    }

    fn wraps_at_once(&self) -> bool {
        self.seals_at_once(None)
    }

    /// Asks the store where the key is named by an alias; if it does not answer, says yes.
    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        let key = entry.reference().kms_version();
        key.is_some_and(|(key, _)| self.may_be_mine(key))
    }

    fn max_entries_len(&self) -> usize {
        // Tag, length of at most 2 bytes, key id, version of at most 5 bytes, mechanism.
        const FRONT: usize = 1 + 2 + 16 + 5 + 1;

        FRONT.saturating_add(self.handle.kms.providers.max_wrapped_len())
    }
}

fn names(entry: &KeyEntry<'_>, key: KeyId) -> bool {
    matches!(entry.reference().kms_version(), Some((named, _)) if named == key)
}

impl OwnedSelector {
    pub(super) fn new(key: KeySelector<'_>) -> Result<Self, KmsError> {
        match key.selected() {
            Selected::Id(id) => Ok(Self::Id(id)),
            Selected::Alias(name) => AliasName::new(name).map(Self::Alias),
            Selected::Invalid => Err(KmsError::InvalidSelector),
        }
    }

    pub(super) fn as_selector(&self) -> KeySelector<'_> {
        match self {
            Self::Id(id) => id.into(),
            Self::Alias(name) => name.into(),
        }
    }

    /// Whether it names `key` now.
    fn names(
        &self,
        gate: Gate<'_>,
        key: KeyId,
        context: &EncryptionContext,
    ) -> Result<bool, KmsError> {
        match self {
            Self::Id(id) => Ok(*id == key),
            Self::Alias(_) => {
                let known = gate.resolve(Operation::Decrypt, self.as_selector(), context)?;
                Ok(known == key)
            }
        }
    }
}
