//! AES key wrap by `C_WrapKey` and `C_UnwrapKey`, of a secret that is an object of the session
//! meanwhile.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism as TokenMechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::super::failure::Failure;
use super::{BoundSecret, create_with_value};
use crate::provider::WrappedKey;

/// RFC 3394 adds 8 bytes.
pub(super) const WRAPPED_LEN: usize = BoundSecret::LEN + 8;

pub(super) fn wrap(
    session: &Session,
    key: ObjectHandle,
    secret: &BoundSecret,
) -> Result<WrappedKey, Failure> {
    let object = create_with_value(session, secret_template(), secret.as_bytes())?;
    let wrapped = session.wrap_key(&TokenMechanism::AesKeyWrap, key, object);
    // Some tokens give a longer buffer than they fill.
    let wrapped = destroying(session, object, wrapped.map_err(Failure::from))?;
    let wrapped = wrapped.get(..WRAPPED_LEN).ok_or(WRONG_LENGTH)?;
    Ok(WrappedKey::from(wrapped))
}

pub(super) fn unwrap(
    session: &Session,
    key: ObjectHandle,
    wrapped: &[u8],
    wants_length: bool,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if wrapped.len() != WRAPPED_LEN {
        return Err(Failure::Rejected);
    }
    let object = match unwrap_object(session, key, wrapped, wants_length) {
        Err(Error::Pkcs11(code, _)) if is_about_template(code) => {
            unwrap_object(session, key, wrapped, !wants_length)
        }
        other => other,
    }?;
    destroying(session, object, read_secret(session, object))
}

fn unwrap_object(
    session: &Session,
    key: ObjectHandle,
    wrapped: &[u8],
    with_length: bool,
) -> Result<ObjectHandle, Error> {
    let mut template = secret_template();
    if with_length {
        template.push(Attribute::ValueLen(BoundSecret::LEN.try_into()?));
    }
    session.unwrap_key(&TokenMechanism::AesKeyWrap, key, wrapped, &template)
}

fn secret_template() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

fn read_secret(session: &Session, object: ObjectHandle) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let attributes = session.get_attributes(object, &[AttributeType::Value])?;
    match attributes.into_iter().next() {
        Some(Attribute::Value(secret)) => Ok(Zeroizing::new(secret)),
        _ => Err(Failure::Answer("it does not show what it unwrapped")),
    }
}

/// Destroys an object of the session, whatever came of its use. Should that fail, the session is
/// closed with it.
fn destroying<T>(
    session: &Session,
    object: ObjectHandle,
    result: Result<T, Failure>,
) -> Result<T, Failure> {
    let destroyed = session.destroy_object(object);
    let value = result?;
    destroyed?;
    Ok(value)
}

/// Whether a template has something in it that the token does not want, or lacks something.
fn is_about_template(code: RvError) -> bool {
    matches!(
        code,
        RvError::TemplateIncomplete
            | RvError::TemplateInconsistent
            | RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::AttributeReadOnly
    )
}

const WRONG_LENGTH: Failure = Failure::Answer("a key that it wrapped has a wrong length");
