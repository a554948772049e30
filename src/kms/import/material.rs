//! Material on its way in, and by what it is known again.

use zeroize::Zeroizing;

use super::super::error::KmsError;
use super::super::record::KeyRecord;
use super::super::store_key::OpenStore;
use crate::crypto::{HASH_LEN, KeyPairFailure, SecretArray, SigningKey, constant_time_eq, sha256};
use crate::format::codec::varint;
use crate::format::{KeyId, KeyVersion, label};
use crate::provider::ProviderError;
use crate::rng::RandomSource;
use crate::secret::SecretBytes;

pub(super) struct Imported {
    pub(super) material: SecretBytes,
    /// The public half of a pair: a private key has many encodings.
    public_key: Option<Vec<u8>>,
}

/// Tells material that was imported before from other material. Whoever reads the store learns
/// nothing of the material by it: it is made under the store's key.
pub(super) struct MaterialDigest(SecretArray<HASH_LEN>);

impl Imported {
    pub(super) fn new(
        record: &KeyRecord,
        material: SecretBytes,
        random: &dyn RandomSource,
    ) -> Result<Self, KmsError> {
        let public_key = match record.spec.key_pair() {
            None => None,
            Some(kind) => {
                let failed = |failure| match failure {
                    KeyPairFailure::Random(error) => KmsError::Random(error),
                    KeyPairFailure::Rejected => {
                        KmsError::Provider(ProviderError::InvalidKeyMaterial {
                            spec: record.spec,
                            reason: "it is not a valid private key of that kind in PKCS #8 DER, unencrypted",
                        })
                    }
                };
                let key = SigningKey::from_pkcs8(kind, &material)
                    .map_err(|invalid| failed(invalid.into()))?;
                key.check_consistent(random).map_err(failed)?;
                let public_key = key.verifying_key().to_spki();
                Some(public_key.map_err(|invalid| failed(invalid.into()))?)
            }
        };
        Ok(Self {
            material,
            public_key,
        })
    }

    pub(super) fn digest(
        &self,
        key: KeyId,
        version: KeyVersion,
        store: &OpenStore,
    ) -> MaterialDigest {
        let version: Vec<u8> = varint(version.get()).collect();
        let known_by = self.public_key.as_deref().unwrap_or(&self.material);
        let hash = Zeroizing::new(sha256(&[key.as_bytes(), &version, known_by]));
        let info: [&[u8]; 2] = [label!("kms-material"), hash.as_slice()];
        MaterialDigest(store.codec.derive(&info))
    }
}

impl MaterialDigest {
    pub(super) fn is(&self, other: &[u8]) -> bool {
        constant_time_eq(self.as_bytes(), other)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}
