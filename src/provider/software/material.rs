//! What keys are made of: bytes that a handle holds wrapped.

use std::ops::RangeInclusive;

use zeroize::Zeroizing;

use crate::crypto::{KEY_LEN, KeyPair, KeyPairFailure, SigningKey};
use crate::provider::{KeySpec, ProviderError};
use crate::rng::RandomSource;

/// The bytes of a symmetric key, or a private key in PKCS #8 DER.
pub(super) type Material = Zeroizing<Vec<u8>>;

/// The bytes that material of a spec may have.
pub(super) fn lens(spec: KeySpec) -> RangeInclusive<usize> {
    match spec.mac_algorithm() {
        Some(algorithm) => algorithm.mac_len()..=MAX_MAC_KEY_LEN,
        None if spec.wraps() => KEY_LEN..=KEY_LEN,
        None => 1..=MAX_PRIVATE_KEY_LEN,
    }
}

const MAX_MAC_KEY_LEN: usize = 128;
/// Room for an RSA key of 4096 bits.
const MAX_PRIVATE_KEY_LEN: usize = 4080;

pub(super) fn generate(
    spec: KeySpec,
    random: &dyn RandomSource,
) -> Result<Material, KeyPairFailure> {
    if let Some(kind) = spec.key_pair() {
        return Ok(SigningKey::generate(kind, random)?.to_pkcs8()?);
    }
    let len = *lens(spec).start();
    let mut material = Zeroizing::new(vec![0; len]);
    random.fill(&mut material)?;
    Ok(material)
}

/// Checks material from elsewhere and brings it into the form of generated material.
pub(super) fn import(
    spec: KeySpec,
    given: &[u8],
    random: &dyn RandomSource,
) -> Result<Material, ProviderError> {
    let invalid = |reason| ProviderError::InvalidKeyMaterial { spec, reason };
    if let Some(kind) = spec.key_pair() {
        return import_key_pair(kind, given, random).map_err(|failure| match failure {
            KeyPairFailure::Random(error) => error.into(),
            KeyPairFailure::Rejected => {
                invalid("it is not a valid private key of that kind in PKCS #8 DER, unencrypted")
            }
        });
    }
    if !lens(spec).contains(&given.len()) {
        return Err(invalid(if spec.wraps() {
            "it must have 32 bytes"
        } else {
            "it must have as many bytes as its MACs, and at most 128"
        }));
    }
    Ok(Zeroizing::new(given.to_vec()))
}

fn import_key_pair(
    kind: KeyPair,
    given: &[u8],
    random: &dyn RandomSource,
) -> Result<Material, KeyPairFailure> {
    let key = SigningKey::from_pkcs8(kind, given)?;
    key.check_consistent(random)?;
    Ok(key.to_pkcs8()?)
}
