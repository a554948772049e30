//! The keys that are made in a token: never to leave it, and each for one use alone. The other uses are
//! denied by name, since some tokens allow what is not denied: and a key that both wraps and decrypts
//! gives out whatever key it may wrap.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism as TokenMechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use cryptoki_sys::CK_ULONG;

use super::failure::Failure;
use super::wrap::Method;
use crate::crypto::{KeyPair, MacAlgorithm, RsaSize};

/// The name of a new key in the token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) id: &'a [u8],
    pub(super) label: &'a str,
}

/// Makes the AES key, or the RSA pair, that a method wraps by.
pub(super) fn generate_wrapping_key(
    session: &Session,
    method: &Method,
    rsa_size: RsaSize,
    named: Named<'_>,
) -> Result<(), Failure> {
    let (wraps, encrypts) = match method {
        Method::Oaep(_) => return generate_rsa_pair(session, rsa_size, RsaUse::Wrap, named),
        Method::KeyWrap(_) => (true, false),
        Method::Gcm(_) | Method::CbcHmac => (false, true),
    };
    let mut template = kept_secret(KeyType::AES, named);
    template.push(Attribute::ValueLen(Ulong::from(32)));
    template.extend([
        Attribute::Wrap(wraps),
        Attribute::Unwrap(wraps),
        Attribute::Encrypt(encrypts),
        Attribute::Decrypt(encrypts),
    ]);
    session.generate_key(&TokenMechanism::AesKeyGen, &template)?;
    Ok(())
}

/// Makes a key for MACs: as many bytes as its MACs have.
pub(super) fn generate_mac_key(
    session: &Session,
    algorithm: MacAlgorithm,
    named: Named<'_>,
) -> Result<(), Failure> {
    let len = match algorithm {
        MacAlgorithm::HmacSha256 => 32,
        MacAlgorithm::HmacSha384 => 48,
        MacAlgorithm::HmacSha512 => 64,
    };
    let mut template = kept_secret(KeyType::GENERIC_SECRET, named);
    template.extend([
        Attribute::ValueLen(Ulong::from(len)),
        Attribute::Sign(true),
        Attribute::Verify(true),
    ]);
    session.generate_key(&TokenMechanism::GenericSecretKeyGen, &template)?;
    Ok(())
}

/// Makes a pair that signs.
pub(super) fn generate_signing_pair(
    session: &Session,
    kind: KeyPair,
    named: Named<'_>,
) -> Result<(), Failure> {
    match kind {
        KeyPair::Rsa(size) => generate_rsa_pair(session, size, RsaUse::Sign, named),
        KeyPair::EcdsaP256 => {
            generate_ec_pair(session, &TokenMechanism::EccKeyPairGen, P256, named)
        }
        KeyPair::EcdsaP384 => {
            generate_ec_pair(session, &TokenMechanism::EccKeyPairGen, P384, named)
        }
        KeyPair::Ed25519 => {
            let generate = |curve| {
                generate_ec_pair(session, &TokenMechanism::EccEdwardsKeyPairGen, curve, named)
            };
            match generate(ED25519) {
                Err(Failure::Token(Error::Pkcs11(code, _))) if is_about_curve(code) => {
                    generate(ED25519_BY_NAME)
                }
                done => done,
            }
        }
    }
}

/// Object identifiers in DER.
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";
/// As version 3.0 of the standard would have it: `PrintableString`.
const ED25519_BY_NAME: &[u8] = b"\x13\x0cedwards25519";

fn is_about_curve(code: RvError) -> bool {
    matches!(
        code,
        RvError::CurveNotSupported
            | RvError::DomainParamsInvalid
            | RvError::AttributeValueInvalid
            | RvError::TemplateInconsistent
    )
}

fn generate_ec_pair(
    session: &Session,
    mechanism: &TokenMechanism<'_>,
    curve: &[u8],
    named: Named<'_>,
) -> Result<(), Failure> {
    let mut public = public_half(named);
    public.extend([Attribute::EcParams(curve.to_vec()), Attribute::Verify(true)]);
    let mut private = private_half(named);
    private.push(Attribute::Sign(true));
    session.generate_key_pair(mechanism, &public, &private)?;
    Ok(())
}

#[derive(Clone, Copy)]
enum RsaUse {
    Wrap,
    Sign,
}

fn generate_rsa_pair(
    session: &Session,
    size: RsaSize,
    purpose: RsaUse,
    named: Named<'_>,
) -> Result<(), Failure> {
    let mut public = public_half(named);
    public.extend(rsa_parameters(size));
    let mut private = private_half(named);
    let (encrypts, signs) = match purpose {
        RsaUse::Wrap => (true, false),
        RsaUse::Sign => (false, true),
    };
    public.extend([
        Attribute::Encrypt(encrypts),
        Attribute::Verify(signs),
        Attribute::Wrap(false),
    ]);
    private.extend([
        Attribute::Decrypt(encrypts),
        Attribute::Sign(signs),
        Attribute::Unwrap(false),
    ]);
    session.generate_key_pair(&TokenMechanism::RsaPkcsKeyPairGen, &public, &private)?;
    Ok(())
}

/// A pair for a test, which goes with the session.
pub(super) fn generate_session_rsa_pair(
    session: &Session,
    size: RsaSize,
) -> Result<(ObjectHandle, ObjectHandle), Failure> {
    let mut public = vec![
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Encrypt(true),
    ];
    public.extend(rsa_parameters(size));
    let private = [
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Decrypt(true),
    ];
    Ok(session.generate_key_pair(&TokenMechanism::RsaPkcsKeyPairGen, &public, &private)?)
}

fn rsa_parameters(size: RsaSize) -> [Attribute; 2] {
    [
        Attribute::ModulusBits(Ulong::from(CK_ULONG::from(size.bits()))),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ]
}

fn kept_secret(kind: KeyType, named: Named<'_>) -> Vec<Attribute> {
    let mut template = kept(named);
    template.extend([
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(kind),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ]);
    template
}

fn private_half(named: Named<'_>) -> Vec<Attribute> {
    let mut template = kept(named);
    template.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ]);
    template
}

fn public_half(named: Named<'_>) -> Vec<Attribute> {
    let mut template = kept(named);
    template.push(Attribute::Private(false));
    template
}

fn kept(named: Named<'_>) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Id(named.id.to_vec()),
        Attribute::Label(named.label.as_bytes().to_vec()),
    ]
}
