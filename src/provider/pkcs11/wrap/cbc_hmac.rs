//! AES-CBC, then HMAC-SHA-256, by two keys: for tokens that have nothing better.

use cryptoki::mechanism::Mechanism as TokenMechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::super::failure::Failure;
use super::BoundSecret;
use crate::crypto::{HASH_LEN, constant_time_eq, sha256};
use crate::provider::WrappedKey;
use crate::rng::{RandomSource, SystemRandom};

const BLOCK_LEN: usize = 16;
/// Padding always adds: here a whole block.
const CIPHERTEXT_LEN: usize = BoundSecret::LEN + BLOCK_LEN;
pub(super) const WRAPPED_LEN: usize = BLOCK_LEN + CIPHERTEXT_LEN + HASH_LEN;

pub(super) fn wrap(
    session: &Session,
    key: ObjectHandle,
    mac_key: ObjectHandle,
    secret: &BoundSecret,
) -> Result<WrappedKey, Failure> {
    let mut iv = [0; BLOCK_LEN];
    SystemRandom
        .fill(&mut iv)
        .map_err(crate::provider::ProviderError::from)?;
    let ciphertext = session.encrypt(&TokenMechanism::AesCbcPad(iv), key, secret.as_bytes())?;
    if ciphertext.len() != CIPHERTEXT_LEN {
        return Err(Failure::Answer("what it encrypted has a wrong length"));
    }
    let mut wrapped = [&iv[..], &ciphertext].concat();
    let mac = mac(session, mac_key, secret.digest(), &wrapped)?;
    wrapped.extend(mac);
    Ok(WrappedKey::from(wrapped))
}

pub(super) fn unwrap(
    session: &Session,
    key: ObjectHandle,
    mac_key: ObjectHandle,
    wrapped: &[u8],
    binding: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if wrapped.len() != WRAPPED_LEN {
        return Err(Failure::Rejected);
    }
    let (authentic, given) = wrapped
        .split_last_chunk::<HASH_LEN>()
        .ok_or(Failure::Rejected)?;
    let (iv, ciphertext) = authentic
        .split_first_chunk::<BLOCK_LEN>()
        .ok_or(Failure::Rejected)?;
    let made = mac(session, mac_key, &sha256(&[binding]), authentic)?;
    if !constant_time_eq(&made, given) {
        return Err(Failure::Rejected);
    }
    let secret = session.decrypt(&TokenMechanism::AesCbcPad(*iv), key, ciphertext)?;
    Ok(Zeroizing::new(secret))
}

/// `HMAC(SHA-256(binding) || IV || ciphertext)`.
fn mac(
    session: &Session,
    mac_key: ObjectHandle,
    digest: &[u8],
    authentic: &[u8],
) -> Result<Vec<u8>, Failure> {
    let message = [digest, authentic].concat();
    let mac = session.sign(&TokenMechanism::Sha256Hmac, mac_key, &message)?;
    if mac.len() != HASH_LEN {
        return Err(Failure::Answer("a MAC that it made has a wrong length"));
    }
    Ok(mac)
}
