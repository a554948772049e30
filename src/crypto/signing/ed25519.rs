//! Ed25519 (RFC 8032).

use ed25519_dalek::pkcs8::KeypairBytes;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;

use super::{MessageInput, Rejected};

pub(super) fn generate(rng: &mut impl CryptoRng) -> SigningKey {
    SigningKey::generate(rng)
}

/// The key as version 1 of PKCS #8 holds it, which every reader takes.
pub(super) fn without_public_key(key: &SigningKey) -> KeypairBytes {
    KeypairBytes {
        secret_key: key.to_bytes(),
        public_key: None,
    }
}

pub(super) fn sign(key: &SigningKey, message: MessageInput<'_>) -> Result<Vec<u8>, Rejected> {
    let MessageInput::Raw(message) = message else {
        return Err(Rejected);
    };
    let signature = key.try_sign(message).map_err(|_| Rejected)?;
    Ok(signature.to_bytes().to_vec())
}

/// Verifies without the cofactor, and takes no key of small order, under which one signature is
/// that of any message.
pub(super) fn verify(
    key: &VerifyingKey,
    message: MessageInput<'_>,
    signature: &[u8],
) -> Result<(), Rejected> {
    let MessageInput::Raw(message) = message else {
        return Err(Rejected);
    };
    let signature = Signature::from_slice(signature).map_err(|_| Rejected)?;
    key.verify_strict(message, &signature).map_err(|_| Rejected)
}
