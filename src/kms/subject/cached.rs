//! The keys of subjects in memory.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::record::{Live, SubjectRecord, seed_binding};
use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::crypto::{Expand, KEY_LEN, KeyWrap, Rejected, SecretArray, WRAPPED_LEN};
use crate::format::{KeyEntry, KeyId, KeyReference, Share, label};
use crate::keyring::BoundKey;
use crate::kms::error::KmsError;
use crate::kms::perform::AuthorisedKey;
use crate::provider::UnwrapRequest;
use crate::secret::DataKey;

/// After so long a seed is unwrapped anew, however often it is used.
const MAX_AGE: Duration = Duration::from_secs(300);

/// What is known of a subject: its key, if it has one, ready to wrap.
pub(in crate::kms) struct SubjectKey {
    live: Option<Wrapping>,
    erased: Vec<(KeyId, Timestamp)>,
    read_at: Duration,
}

struct Wrapping {
    reference: KeyReference,
    bound_key: BoundKey,
    key: KeyWrap,
}

impl SubjectKey {
    /// How messages name the key, if there is one.
    pub(super) fn reference(&self) -> Option<&KeyReference> {
        self.live.as_ref().map(|live| &live.reference)
    }

    /// When the key that an entry names was erased, if it was one of this subject.
    pub(super) fn erased_on(&self, subject: KeyId) -> Option<Timestamp> {
        let mut erased = self.erased.iter();
        let found = erased.find(|(id, _)| *id == subject);
        found.map(|(_, on)| *on)
    }

    /// The key that was erased last, and when.
    pub(super) fn last_erased(&self) -> Option<(KeyId, Timestamp)> {
        self.erased.last().copied()
    }

    /// A data key, wrapped under this key. `None` if there is no key any more.
    pub(super) fn wrap(
        &self,
        data_key: &DataKey,
        context: &EncryptionContext,
        share: Option<Share>,
    ) -> Option<(&KeyReference, [u8; WRAPPED_LEN])> {
        let live = self.live.as_ref()?;
        let binding = live.bound_key.with(context, share);
        let wrapped = live.key.wrap(&binding, data_key.expose());
        Some((&live.reference, wrapped))
    }

    /// The data key of an entry that names this key.
    pub(super) fn unwrap(
        &self,
        entry: &KeyEntry<'_>,
        context: &EncryptionContext,
        share: Option<Share>,
    ) -> Result<DataKey, Rejected> {
        let live = self.live.as_ref().ok_or(Rejected)?;
        let wrapped = entry.wrapped().try_into().map_err(|_| Rejected)?;
        let binding = live.bound_key.with(context, share);
        live.key.unwrap(&binding, wrapped).map(DataKey::from)
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectKey({:?})", self.reference())
    }
}

impl AuthorisedKey<'_> {
    /// The key of a subject. From the cache if it is there, is true and not too old.
    pub(super) fn subject(&self, name: &str) -> Result<Arc<SubjectKey>, KmsError> {
        let kms = self.kms();
        let address = kms.subject_address(self.id(), name);
        let now = kms.clock.now();
        if let Some(known) = kms.cache().subject(&address.id)
            && now.saturating_sub(known.read_at) < MAX_AGE
        {
            return Ok(known);
        }
        let epoch = kms.cache().epoch();
        let (record, revision) = kms.read_subject(self.id(), name)?;
        let subject = Arc::new(self.ready(&record, now)?);
        kms.cache()
            .keep_subject(epoch, address.id, &subject, revision);
        Ok(subject)
    }

    fn ready(&self, record: &SubjectRecord, now: Duration) -> Result<SubjectKey, KmsError> {
        let erased = record.erased.iter();
        Ok(SubjectKey {
            live: match &record.live {
                Some(live) => Some(self.wrapping(live)?),
                None => None,
            },
            erased: erased
                .map(|erased| (erased.subject, erased.erased))
                .collect(),
            read_at: now,
        })
    }

    fn wrapping(&self, live: &Live) -> Result<Wrapping, KmsError> {
        let seed = self.unwrap_seed(live)?;
        let key: SecretArray<KEY_LEN> = Expand::new(seed.expose()).derive(&[label!("kek-wrap")]);
        let reference = KeyReference::subject(self.id(), live.subject);
        Ok(Wrapping {
            bound_key: BoundKey::new(&reference),
            reference,
            key: KeyWrap::new(&key),
        })
    }

    pub(super) fn unwrap_seed(&self, live: &Live) -> Result<DataKey, KmsError> {
        let version = self.version(live.version)?;
        let binding = seed_binding(self.id(), live.version, live.subject);
        let request = UnwrapRequest::new(version.handle(), live.seed.as_bytes(), &binding);
        Ok(version.provider()?.unwrap_key(request)?)
    }
}
