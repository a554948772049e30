//! Signatures and MACs in the token, and the public halves of its pairs.

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism as TokenMechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;

use super::failure::Failure;
use crate::crypto::token::{Hash, RawScheme, RawSigning, ecdsa_to_der};
use crate::crypto::{KeyPair, MacAlgorithm, VerifyingKey};
use crate::provider::{Mac, PublicKey, Signature};

/// Signs what was hashed here: not every token hashes.
pub(super) fn sign(
    session: &Session,
    private: ObjectHandle,
    kind: KeyPair,
    signing: &RawSigning,
) -> Result<Signature, Failure> {
    let mechanism = match signing.scheme {
        RawScheme::Ed25519 => {
            TokenMechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))
        }
        RawScheme::Ecdsa => TokenMechanism::Ecdsa,
        RawScheme::RsaPkcs1 => TokenMechanism::RsaPkcs,
        RawScheme::RsaPss(hash) => TokenMechanism::RsaPkcsPss(pss(hash)),
    };
    let made = session.sign(&mechanism, private, &signing.input)?;
    match kind {
        KeyPair::EcdsaP256 | KeyPair::EcdsaP384 => ecdsa_to_der(kind, &made)
            .map(Signature::from_bytes)
            .map_err(|_| NO_SIGNATURE),
        KeyPair::Ed25519 => of_len(made, 64),
        KeyPair::Rsa(size) => of_len(made, usize::from(size.bits() / 8)),
    }
}

fn pss(hash: Hash) -> PkcsPssParams {
    let (hash_alg, mgf, len) = match hash {
        Hash::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32),
        Hash::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
        Hash::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
    };
    PkcsPssParams {
        hash_alg,
        mgf,
        s_len: Ulong::from(len),
    }
}

fn of_len(made: Vec<u8>, len: usize) -> Result<Signature, Failure> {
    if made.len() != len {
        return Err(NO_SIGNATURE);
    }
    Ok(Signature::from_bytes(made))
}

const NO_SIGNATURE: Failure = Failure::Answer("what it signed is no signature of its kind of key");

pub(super) fn mac(
    session: &Session,
    key: ObjectHandle,
    algorithm: MacAlgorithm,
    message: &[u8],
) -> Result<Mac, Failure> {
    let mechanism = match algorithm {
        MacAlgorithm::HmacSha256 => TokenMechanism::Sha256Hmac,
        MacAlgorithm::HmacSha384 => TokenMechanism::Sha384Hmac,
        MacAlgorithm::HmacSha512 => TokenMechanism::Sha512Hmac,
    };
    let made = session.sign(&mechanism, key, message)?;
    if made.len() != algorithm.mac_len() {
        return Err(Failure::Answer("a MAC that it made has a wrong length"));
    }
    Ok(Mac::from_bytes(&made))
}

/// The public half, from the attributes of its object.
pub(super) fn public_key(
    session: &Session,
    public: ObjectHandle,
    kind: KeyPair,
) -> Result<PublicKey, Failure> {
    let key = match kind {
        KeyPair::Rsa(_) => {
            let (modulus, exponent) = modulus_and_exponent(session, public)?;
            VerifyingKey::from_modulus(&modulus, &exponent)
        }
        KeyPair::Ed25519 | KeyPair::EcdsaP256 | KeyPair::EcdsaP384 => {
            let point = attribute(session, public, AttributeType::EcPoint)?;
            VerifyingKey::from_point(kind, inside(&point, point_len(kind)))
        }
    };
    let key = key.and_then(PublicKey::from_verifying_key);
    match key {
        Ok(key) if key.spec() == kind.into() => Ok(key),
        _ => Err(Failure::Answer("a public key of it is none of its kind")),
    }
}

pub(super) fn modulus_and_exponent(
    session: &Session,
    public: ObjectHandle,
) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    Ok((
        attribute(session, public, AttributeType::Modulus)?,
        attribute(session, public, AttributeType::PublicExponent)?,
    ))
}

fn attribute(
    session: &Session,
    object: ObjectHandle,
    wanted: AttributeType,
) -> Result<Vec<u8>, Failure> {
    let attributes = session.get_attributes(object, &[wanted])?;
    match attributes.into_iter().next() {
        Some(
            Attribute::EcPoint(bytes)
            | Attribute::Modulus(bytes)
            | Attribute::PublicExponent(bytes),
        ) => Ok(bytes),
        _ => Err(Failure::Answer("it does not show a public key of it")),
    }
}

/// The bytes of an uncompressed point; of Ed25519, of its only form.
fn point_len(kind: KeyPair) -> usize {
    match kind {
        KeyPair::EcdsaP256 => 65,
        KeyPair::EcdsaP384 => 97,
        KeyPair::Ed25519 | KeyPair::Rsa(_) => 32,
    }
}

/// The point inside an `OCTET STRING`, in which the standard wants it and some tokens do not put it.
fn inside(point: &[u8], len: usize) -> &[u8] {
    match point {
        [0x04, stated, inner @ ..] if usize::from(*stated) == len && inner.len() == len => inner,
        _ => point,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_taken_with_and_without_its_octet_string() {
        for len in [32, 65, 97] {
            let point = vec![0x04; len];
            let wrapped = [&[0x04, u8::try_from(len).unwrap()], &point[..]].concat();
            assert_eq!(inside(&wrapped, len), point);
            assert_eq!(inside(&point, len), point);
        }
    }
}
