//! What is stored of a subject (`FORMAT.md`, "Records of subjects").

use serde::{Deserialize, Serialize};

use super::SubjectMetadata;
use super::proof::ErasureProof;
use crate::clock::Timestamp;
use crate::crypto::sha256;
use crate::format::codec::varint;
use crate::format::{KeyId, KeyVersion, label};
use crate::kms::error::KmsError;
use crate::kms::inner::Inner;
use crate::kms::record::StoredBytes;
use crate::store::{Collection, RecordKey};

/// The most erasures of one subject: they are all in one record.
pub(super) const MAX_ERASURES: usize = 100;

const MAX_NAME_LEN: usize = 256;

/// A record of the collection `subjects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubjectRecord {
    pub(in crate::kms) key: KeyId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::kms) live: Option<Live>,
    /// The oldest first.
    pub(super) erased: Vec<Erased>,
}

/// The key that a subject has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Live {
    /// How messages name it.
    pub(in crate::kms) subject: KeyId,
    pub(super) created: Timestamp,
    /// The version of the KMS key that the seed is under.
    pub(in crate::kms) version: KeyVersion,
    pub(super) seed: StoredBytes,
}

/// A key that a subject had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Erased {
    pub(super) subject: KeyId,
    pub(super) created: Timestamp,
    pub(super) erased: Timestamp,
    pub(super) by: String,
    /// Of the wrapped seed.
    pub(super) digest: StoredBytes,
}

impl SubjectRecord {
    pub(super) fn new(key: KeyId) -> Self {
        Self {
            key,
            live: None,
            erased: Vec::new(),
        }
    }

    pub(super) fn check_name(name: &str) -> Result<(), KmsError> {
        if (1..=MAX_NAME_LEN).contains(&name.len()) {
            return Ok(());
        }
        Err(KmsError::InvalidName {
            what: "the name of a subject",
            rule: "1 to 256 bytes of text",
        })
    }

    /// When the key that messages name so was erased, if it was.
    pub(super) fn erased_on(&self, subject: KeyId) -> Option<Timestamp> {
        let mut erased = self.erased.iter();
        let found = erased.find(|erased| erased.subject == subject);
        found.map(|erased| erased.erased)
    }

    pub(super) fn metadata(&self, kms: &Inner, name: &str) -> SubjectMetadata {
        let proofs = self.erased.iter();
        SubjectMetadata {
            id: self.live.as_ref().map(|live| live.subject),
            created: self.live.as_ref().map(|live| live.created),
            erasures: proofs
                .map(|erased| erased.clone().proof(kms, self.key, name))
                .collect(),
        }
    }
}

impl Live {
    pub(super) fn erased(self, now: Timestamp, by: &str) -> Erased {
        Erased {
            subject: self.subject,
            created: self.created,
            erased: now,
            by: by.to_owned(),
            digest: StoredBytes::new(&sha256(&[self.seed.as_bytes()])),
        }
    }
}

impl Erased {
    pub(super) fn proof(self, kms: &Inner, key: KeyId, name: &str) -> ErasureProof {
        ErasureProof::new(kms, key, kms.subject_digest(key, name), self)
    }
}

impl Inner {
    /// What the store knows a name by: nobody without its key can tell whose it is.
    pub(super) fn subject_digest(&self, key: KeyId, name: &str) -> [u8; 32] {
        let name = sha256(&[name.as_bytes()]);
        let info = [label!("kms-subject"), key.as_bytes(), &name];
        *self.store_key.codec.derive(&info)
    }

    /// Where the record of a subject is in the store.
    pub(super) fn subject_address(&self, key: KeyId, name: &str) -> RecordKey {
        RecordKey::new(Collection::SUBJECTS, self.subject_digest(key, name).into())
    }
}

/// What the seed of a subject is bound to when it is wrapped.
pub(super) fn seed_binding(key: KeyId, version: KeyVersion, subject: KeyId) -> Vec<u8> {
    let mut binding = label!("kms-subject-seed").to_vec();
    binding.extend_from_slice(key.as_bytes());
    binding.extend(varint(version.get()));
    binding.extend_from_slice(subject.as_bytes());
    binding
}
