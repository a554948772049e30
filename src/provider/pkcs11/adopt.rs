//! Taking keys that are in the token already.

use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;

use super::error::Pkcs11Error;
use super::failure::Failure;
use super::objects::KeyName;
use crate::format::Mechanism;
use crate::provider::KeySpec;

/// Says which key of the token is taken, and how it is used.
///
/// Two keys may have the same label, which is then an error: the id is safer. A key that can be read
/// out of the token is taken too; whether it should be is the caller's to know, and
/// [`list_keys`](super::Pkcs11KeyProvider::list_keys) tells.
///
/// ```
/// use waxseal::pkcs11::AdoptKey;
/// use waxseal::{KeySpec, Mechanism};
///
/// let wrapping = AdoptKey::by_label("orders-2026");
/// let signing = AdoptKey::by_id([0x01, 0x02]).with_spec(KeySpec::EcdsaP256);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct AdoptKey {
    by: By,
    pub(super) spec: KeySpec,
    pub(super) mechanism: Option<Mechanism>,
    mac_id: Vec<u8>,
    pub(super) binding: Vec<u8>,
}

#[derive(Debug, Clone)]
enum By {
    Id(Vec<u8>),
    Label(String),
}

/// The ids of a key that was found.
pub(super) struct Found {
    pub(super) id: Vec<u8>,
    pub(super) mac_id: Vec<u8>,
}

impl AdoptKey {
    /// The key with this `CKA_ID`, which wraps.
    pub fn by_id(id: impl Into<Vec<u8>>) -> Self {
        Self::new(By::Id(id.into()))
    }

    /// The key with this label, which wraps.
    pub fn by_label(label: impl Into<String>) -> Self {
        Self::new(By::Label(label.into()))
    }

    fn new(by: By) -> Self {
        Self {
            by,
            spec: KeySpec::Wrapping256,
            mechanism: None,
            mac_id: Vec::new(),
            binding: Vec::new(),
        }
    }

    /// Says that it is a key of another kind.
    pub fn with_spec(mut self, spec: KeySpec) -> Self {
        self.spec = spec;
        self
    }

    /// Says by which mechanism it wraps, in place of the one by which new keys of the provider do. A
    /// key that has wrapped already must go on as before.
    pub fn with_mechanism(mut self, mechanism: Mechanism) -> Self {
        self.mechanism = Some(mechanism);
        self
    }

    /// Names the key for MACs, of 32 bytes, that [`Mechanism::CBC_HMAC_SHA256`] needs beside it.
    pub fn with_mac_key(mut self, id: impl Into<Vec<u8>>) -> Self {
        self.mac_id = id.into();
        self
    }

    /// Says what it is for, as [`CreateKeyRequest`](crate::CreateKeyRequest) does for a new key.
    pub fn with_binding(mut self, binding: impl Into<Vec<u8>>) -> Self {
        self.binding = binding.into();
        self
    }

    pub(super) fn find(
        &self,
        session: &Session,
        mechanism: Option<Mechanism>,
    ) -> Result<Found, Failure> {
        let is_pair = mechanism.map_or(self.spec.has_public_key(), Mechanism::is_oaep);
        let id = match &self.by {
            By::Id(id) => id.clone(),
            By::Label(label) => {
                let class = match is_pair {
                    true => ObjectClass::PRIVATE_KEY,
                    false => ObjectClass::SECRET_KEY,
                };
                id_of_label(session, class, label)?
            }
        };
        let name = match is_pair {
            true => KeyName::private(&id),
            false => KeyName::secret(&id),
        };
        must_find(&name, session)?;
        if mechanism == Some(Mechanism::CBC_HMAC_SHA256) {
            must_find(&KeyName::secret(&self.mac_id), session)?;
        }
        Ok(Found {
            id,
            mac_id: self.mac_id.clone(),
        })
    }
}

/// A key that was never used: that the token has none at all does not mean that it is away.
fn must_find(name: &KeyName, session: &Session) -> Result<(), Failure> {
    match name.find(session) {
        Ok(_) => Ok(()),
        Err(Failure::NothingFound) => Err(Failure::NotFound),
        Err(failure) => Err(failure),
    }
}

fn id_of_label(session: &Session, class: ObjectClass, label: &str) -> Result<Vec<u8>, Failure> {
    let found = session.find_objects(&[
        Attribute::Class(class),
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
    ])?;
    let key = match found[..] {
        [key] => key,
        [] => return Err(Failure::NotFound),
        _ => {
            return Err(Failure::Runtime(Pkcs11Error::SeveralKeysOfLabel {
                label: label.to_owned(),
                count: found.len(),
            }));
        }
    };
    match session.get_attributes(key, &[AttributeType::Id])?.pop() {
        Some(Attribute::Id(id)) if !id.is_empty() => Ok(id),
        _ => Err(Failure::Runtime(Pkcs11Error::KeyWithoutId {
            label: label.to_owned(),
        })),
    }
}
