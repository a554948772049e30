//! Checkpoints: lines that sign all lines before them.

use std::sync::Arc;

use base64ct::{Base64, Encoding};

use super::AuditKey;
use super::error::AuditError;
use crate::crypto::{MacAlgorithm, MessageInput, SigningAlgorithm, sha256};
use crate::format::label;
use crate::provider::{KeyHandle, KeyProvider, ProviderError, PublicKey, SignRequest};

/// What signs the checkpoints of a trail.
#[derive(Debug, Clone)]
pub struct CheckpointSigner(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Mac,
    Signature {
        provider: Arc<dyn KeyProvider>,
        handle: KeyHandle,
        algorithm: SigningAlgorithm,
        signer: String,
    },
}

impl CheckpointSigner {
    /// MACs under the trail's [`AuditKey`]: only who has the key can verify them, and could have
    /// made them.
    #[must_use]
    pub fn mac() -> Self {
        Self(Kind::Mac)
    }

    /// Signatures by a key pair of a provider, such as one of
    /// [`KeySpec::Ed25519`](crate::KeySpec::Ed25519): who has the public key can verify them.
    ///
    /// # Errors
    ///
    /// [`ProviderError`] when the provider has no such key, or it is no key pair that signs.
    pub fn key_pair(
        provider: impl KeyProvider + 'static,
        handle: KeyHandle,
    ) -> Result<Self, ProviderError> {
        let public_key = provider.public_key(&handle)?;
        let spec = public_key.spec();
        let algorithm = spec.signing_algorithms().first().copied().ok_or_else(|| {
            ProviderError::Unsupported {
                provider: provider.name().to_owned(),
                operation: "sign with this key",
            }
        })?;
        Ok(Self(Kind::Signature {
            provider: Arc::new(provider),
            handle,
            algorithm,
            signer: signer_id(&public_key),
        }))
    }

    pub(super) fn names(&self) -> [&str; 2] {
        match &self.0 {
            Kind::Mac => [MAC_SIGNER, MacAlgorithm::HmacSha256.name()],
            Kind::Signature {
                algorithm, signer, ..
            } => [signer, algorithm.name()],
        }
    }

    /// Signs what stands in a line before its signature.
    pub(super) fn sign(&self, line: &[u8], key: &AuditKey) -> Result<String, AuditError> {
        let message = message(line);
        match &self.0 {
            Kind::Mac => Ok(Base64::encode_string(&key.mac(&message))),
            Kind::Signature {
                provider,
                handle,
                algorithm,
                ..
            } => {
                let request = SignRequest::new(handle, *algorithm, MessageInput::Raw(&message));
                let signature = provider
                    .sign(request)
                    .map_err(|error| AuditError::Signing(Arc::new(error)))?;
                Ok(Base64::encode_string(signature.as_bytes()))
            }
        }
    }
}

/// What a MAC names as its signer.
pub(super) const MAC_SIGNER: &str = "trail-key";

pub(super) fn message(line: &[u8]) -> Vec<u8> {
    [label!("audit-checkpoint"), line].concat()
}

/// What a signature names as its signer: half of a hash of the public key, in hexadecimal.
pub(super) fn signer_id(key: &PublicKey) -> String {
    let hash = sha256(&[label!("audit-signer"), key.as_der()]);
    let (half, _) = hash.split_at(16);
    base16ct::lower::encode_string(half)
}
