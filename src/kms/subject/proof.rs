use serde::{Deserialize, Serialize};

use super::record::Erased;
use crate::clock::Timestamp;
use crate::crypto::{constant_time_eq, sha256};
use crate::format::{KeyId, label};
use crate::kms::KmsHandle;
use crate::kms::error::KmsError;
use crate::kms::inner::Inner;
use crate::kms::operation::Operation;
use crate::kms::record::StoredBytes;

/// What proves that the key of a subject was destroyed: what, when and by whom. Made by
/// [`KmsHandle::erase_subject`]; [`KmsHandle::verify_erasure`] tells whether it is genuine.
///
/// It is tagged under the key of the store. So it convinces who trusts the store and has it, and is
/// no signature that convinces others. It names the subject by a digest that only the store can make.
/// With serde it is JSON to be kept where proofs are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ErasureProof {
    /// The id of the store.
    pub store: KeyId,
    /// The KMS key that the subject's key was under.
    pub key: KeyId,
    /// The id that messages name the subject's key by.
    pub subject: KeyId,
    /// When the key was created.
    pub created: Timestamp,
    /// When it was destroyed.
    pub erased: Timestamp,
    /// In whose name.
    pub by: String,
    /// The store's digest of the name of the subject.
    name: StoredBytes,
    /// SHA-256 of the wrapped seed that was destroyed.
    digest: StoredBytes,
    tag: StoredBytes,
}

impl ErasureProof {
    pub(super) fn new(kms: &Inner, key: KeyId, name: [u8; 32], erased: Erased) -> Self {
        let mut proof = Self {
            store: kms.store_key.id(),
            key,
            subject: erased.subject,
            created: erased.created,
            erased: erased.erased,
            by: erased.by,
            name: StoredBytes::new(&name),
            digest: erased.digest,
            tag: StoredBytes::new(&[]),
        };
        proof.tag = StoredBytes::new(&proof.expected_tag(kms));
        proof
    }

    fn expected_tag(&self, kms: &Inner) -> [u8; 32] {
        let created = self.created.as_unix_millis().to_be_bytes();
        let erased = self.erased.as_unix_millis().to_be_bytes();
        let hash = sha256(&[
            self.store.as_bytes(),
            self.key.as_bytes(),
            self.subject.as_bytes(),
            &created,
            &erased,
            &sha256(&[self.name.as_bytes()]),
            &sha256(&[self.digest.as_bytes()]),
            self.by.as_bytes(),
        ]);
        let codec = &kms.store_key.codec;
        *codec.derive(&[label!("kms-erasure"), &hash])
    }
}

impl KmsHandle {
    /// Whether a proof is one that this store made: that the key of a subject was destroyed, when,
    /// and by whom. With the name of the subject, whether it is about that one.
    ///
    /// # Errors
    ///
    /// [`KmsError::InvalidErasureProof`] when it is not, and the failures of the store.
    pub fn verify_erasure(
        &self,
        proof: &ErasureProof,
        subject: Option<&str>,
    ) -> Result<(), KmsError> {
        self.gate()
            .perform_on_store(Operation::VerifyErasure, |kms| {
                let tag = proof.expected_tag(kms);
                let is_about = subject.is_none_or(|name| {
                    let name = kms.subject_digest(proof.key, name);
                    constant_time_eq(&name, proof.name.as_bytes())
                });
                if constant_time_eq(&tag, proof.tag.as_bytes()) && is_about {
                    Ok(())
                } else {
                    Err(KmsError::InvalidErasureProof { key: proof.key })
                }
            })
    }
}
