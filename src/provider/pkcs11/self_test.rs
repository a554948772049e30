//! Whether a token wraps as section 7.2 of `FORMAT.md` says, found out with keys of a session that
//! are known here.
//!
//! Software opens what the token wrapped: so the algorithm, the place of the IV and what is bound are
//! seen, and not only that the token understands itself.

use cryptoki::error::Error;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::error::Pkcs11Error;
use super::failure::{Failure, Verdict};
use super::sign::modulus_and_exponent;
use super::templates::generate_session_rsa_pair;
use super::wrap::{BoundSecret, KeyObjects, Method};
use crate::crypto::token::{BLOCK_LEN, OaepHash, cbc_decrypt, gcm_open, key_unwrap, oaep_encrypt};
use crate::crypto::{HASH_LEN, KEY_LEN, MacAlgorithm, RsaSize, WRAPPED_LEN, mac, sha256};
use crate::format::label;
use crate::provider::WrappedKey;
use crate::rng::{RandomSource, SystemRandom};
use crate::secret::DataKey;

/// What a test has shown. What it has not, is an error: the mechanism is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tested {
    /// The token does as it should.
    Passed,
    /// The token takes no key that is known here, so nothing could be compared. A key that it made
    /// is tried instead.
    NotTestable,
}

/// What is bound in tests.
const BINDING: &[u8] = label!("token-test");

/// Wraps and unwraps with a known key.
pub(super) fn known_answer(session: &Session, method: &Method) -> Result<Tested, Failure> {
    let data_key = random_key()?;
    if let Method::Oaep(hash) = method {
        return oaep(session, method, *hash, &data_key);
    }
    let (key, mac_key) = (random_key()?, random_key()?);
    let Some(objects) = known_objects(session, method, &key, &mac_key)? else {
        return Ok(Tested::NotTestable);
    };
    let wrapped = method.wrap(session, objects, &data_key, BINDING)?;
    let opened = open_in_software(method, key.expose(), mac_key.expose(), wrapped.as_bytes());
    if opened.is_none_or(|opened| opened != data_key) {
        return Err(Failure::Answer(
            "what it wrapped is not what its mechanism should give; configure another mechanism",
        ));
    }
    let unwrapped = method.unwrap(session, objects, wrapped.as_bytes(), BINDING)?;
    if unwrapped != data_key {
        return Err(ANOTHER_KEY);
    }
    for object in objects.each() {
        session.destroy_object(object)?;
    }
    Ok(Tested::Passed)
}

/// Wraps and unwraps with a key of the token that is not known.
pub(super) fn round_trip(
    session: &Session,
    method: &Method,
    objects: KeyObjects,
) -> Result<(), Failure> {
    let data_key = random_key()?;
    let wrapped = method.wrap(session, objects, &data_key, BINDING)?;
    match method.unwrap(session, objects, wrapped.as_bytes(), BINDING)? {
        unwrapped if unwrapped == data_key => Ok(()),
        _ => Err(ANOTHER_KEY),
    }
}

/// What a token gives wrongly in a test it will always give so.
pub(super) fn for_good(failure: Failure) -> Failure {
    match failure {
        Failure::Answer(what) => Failure::Runtime(Pkcs11Error::Mechanism { what }),
        Failure::Rejected => Failure::Runtime(Pkcs11Error::Mechanism {
            what: "it does not unwrap what it wrapped",
        }),
        other => other,
    }
}

/// A canary: wrapped by a key of the token, and never used.
pub(super) fn lay(
    session: &Session,
    method: &Method,
    objects: KeyObjects,
) -> Result<WrappedKey, Failure> {
    method.wrap(session, objects, &random_key()?, CANARY)
}

pub(super) fn check(
    session: &Session,
    method: &Method,
    objects: KeyObjects,
    canary: &[u8],
) -> Result<(), Failure> {
    method.unwrap(session, objects, canary, CANARY).map(drop)
}

const CANARY: &[u8] = label!("token-canary");

const ANOTHER_KEY: Failure =
    Failure::Answer("what it unwrapped is not what it wrapped; configure another mechanism");

fn random_key() -> Result<DataKey, Failure> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    SystemRandom
        .fill(key.as_mut_slice())
        .map_err(crate::provider::ProviderError::from)?;
    DataKey::from_bytes(key.as_slice()).map_err(|_| Failure::Rejected)
}

/// Puts known keys into the session. `None` if the token takes none.
fn known_objects(
    session: &Session,
    method: &Method,
    key: &DataKey,
    mac_key: &DataKey,
) -> Result<Option<KeyObjects>, Failure> {
    let uses: &[Attribute] = match method {
        Method::KeyWrap(_) => &[Attribute::Wrap(true), Attribute::Unwrap(true)],
        _ => &[Attribute::Encrypt(true), Attribute::Decrypt(true)],
    };
    let Some(object) = known_object(session, KeyType::AES, key, uses)? else {
        return Ok(None);
    };
    if *method != Method::CbcHmac {
        return Ok(Some(KeyObjects::Secret(object)));
    }
    let uses = [Attribute::Sign(true), Attribute::Verify(true)];
    let mac_object = known_object(session, KeyType::GENERIC_SECRET, mac_key, &uses)?;
    Ok(mac_object.map(|mac_object| KeyObjects::SecretAndMac(object, mac_object)))
}

fn known_object(
    session: &Session,
    kind: KeyType,
    value: &DataKey,
    uses: &[Attribute],
) -> Result<Option<ObjectHandle>, Failure> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(kind),
        Attribute::Token(false),
        Attribute::Private(true),
    ];
    template.extend_from_slice(uses);
    match super::wrap::create_with_value(session, template, value.expose()) {
        Ok(object) => Ok(Some(object)),
        Err(Failure::Token(error)) if is_refusal(&error) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn is_refusal(error: &Error) -> bool {
    let failure = match error {
        Error::Pkcs11(code, function) => Failure::Token(Error::Pkcs11(*code, *function)),
        Error::NullFunctionPointer => return true,
        _ => return false,
    };
    failure.class().verdict == Verdict::Refused
}

/// What software makes of what the token wrapped.
fn open_in_software(
    method: &Method,
    key: &[u8; KEY_LEN],
    mac_key: &[u8; KEY_LEN],
    wrapped: &[u8],
) -> Option<DataKey> {
    match method {
        Method::Gcm(_) => {
            let iv_len = wrapped.len().checked_sub(WRAPPED_LEN)?;
            let (iv, sealed) = wrapped.split_at_checked(iv_len)?;
            let opened = gcm_open(key, iv, BINDING, sealed).ok()?;
            DataKey::from_bytes(&opened).ok()
        }
        Method::KeyWrap(_) => BoundSecret::open(&key_unwrap(key, wrapped).ok()?, BINDING).ok(),
        Method::CbcHmac => {
            let (authentic, given) = wrapped.split_last_chunk::<HASH_LEN>()?;
            let message = [&sha256(&[BINDING]), authentic].concat();
            if mac(MacAlgorithm::HmacSha256, mac_key, &message).as_slice() != given {
                return None;
            }
            let (iv, ciphertext) = authentic.split_first_chunk::<BLOCK_LEN>()?;
            let padded = cbc_decrypt(key, iv, ciphertext);
            let (secret, padding) = padded.split_at_checked(BoundSecret::LEN)?;
            let is_padding = padding == [16; BLOCK_LEN];
            BoundSecret::open(secret, BINDING)
                .ok()
                .filter(|_| is_padding)
        }
        Method::Oaep(_) => None,
    }
}

/// The token unwraps what software wrapped, and what it wrapped itself.
fn oaep(
    session: &Session,
    method: &Method,
    hash: OaepHash,
    data_key: &DataKey,
) -> Result<Tested, Failure> {
    let (public, private) = generate_session_rsa_pair(session, RsaSize::Bits2048)?;
    let objects = KeyObjects::Pair { private, public };
    let (modulus, exponent) = modulus_and_exponent(session, public)?;
    let secret = BoundSecret::new(data_key, BINDING);
    let by_software = oaep_encrypt(&modulus, &exponent, hash, secret.as_bytes(), &SystemRandom)
        .map_err(|_| Failure::Answer("a public key of it does not encrypt"))?;
    let by_token = method.wrap(session, objects, data_key, BINDING)?;
    for wrapped in [&by_software[..], by_token.as_bytes()] {
        if method.unwrap(session, objects, wrapped, BINDING)? != *data_key {
            return Err(ANOTHER_KEY);
        }
    }
    for object in objects.each() {
        session.destroy_object(object)?;
    }
    Ok(Tested::Passed)
}
