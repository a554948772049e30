//! Wrapping and unwrapping a data key by the token's own operations.
//!
//! Section 7.2 of `FORMAT.md` says what the bytes are. What a token gives is believed only as far as
//! it was checked: every length, every IV, and after unwrapping what the data key is bound to.

mod cbc_hmac;
mod gcm;
mod key_wrap;
mod oaep;

use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroize;

use self::gcm::Gcm;
use super::failure::Failure;
use super::wrapping::Vendor;
use crate::crypto::token::OaepHash;
use crate::crypto::{HASH_LEN, KEY_LEN, SecretArray, constant_time_eq, sha256};
use crate::format::Mechanism;
use crate::provider::WrappedKey;
use crate::secret::DataKey;

/// How a mechanism is done, and by which objects of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Gcm(Gcm),
    KeyWrap(Vendor),
    Oaep(OaepHash),
    CbcHmac,
}

/// The objects that a wrapping key consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyObjects {
    /// An AES key.
    Secret(ObjectHandle),
    /// An AES key and a key for MACs.
    SecretAndMac(ObjectHandle, ObjectHandle),
    /// A private and a public RSA key.
    Pair {
        private: ObjectHandle,
        public: ObjectHandle,
    },
}

impl KeyObjects {
    /// Each of them.
    pub(super) fn each(self) -> impl Iterator<Item = ObjectHandle> {
        let (first, second) = match self {
            Self::Secret(key) => (key, None),
            Self::SecretAndMac(key, mac_key) => (key, Some(mac_key)),
            Self::Pair { private, public } => (private, Some(public)),
        };
        [Some(first), second].into_iter().flatten()
    }
}

impl Method {
    /// `None` for a mechanism that tokens do not wrap by.
    pub(super) fn new(mechanism: Mechanism, vendor: Vendor) -> Option<Self> {
        Some(match mechanism {
            Mechanism::AES_KEY_WRAP => Self::KeyWrap(vendor),
            Mechanism::CBC_HMAC_SHA256 => Self::CbcHmac,
            _ => match (oaep::hash_of(mechanism), Gcm::new(mechanism, vendor)) {
                (Some(hash), _) => Self::Oaep(hash),
                (None, gcm) => Self::Gcm(gcm?),
            },
        })
    }

    /// The most bytes that any of them wraps to.
    pub(super) const MAX_WRAPPED_LEN: usize = oaep::MAX_WRAPPED_LEN;

    /// Whether bytes have the length of what it wraps.
    pub(super) fn may_have_wrapped(&self, wrapped: &[u8]) -> bool {
        match self {
            Self::Oaep(_) => oaep::MODULUS_LENS.contains(&wrapped.len()),
            _ => wrapped.len() == self.wrapped_len(),
        }
    }

    /// The length of what it wraps; of RSA-OAEP, with the largest of the keys that are made here.
    pub(super) fn wrapped_len(&self) -> usize {
        match self {
            Self::Gcm(gcm) => gcm.wrapped_len(),
            Self::KeyWrap(_) => key_wrap::WRAPPED_LEN,
            Self::Oaep(_) => oaep::MAX_WRAPPED_LEN,
            Self::CbcHmac => cbc_hmac::WRAPPED_LEN,
        }
    }

    pub(super) fn wrap(
        &self,
        session: &Session,
        key: KeyObjects,
        data_key: &DataKey,
        binding: &[u8],
    ) -> Result<WrappedKey, Failure> {
        match (self, key) {
            (Self::Gcm(gcm), KeyObjects::Secret(key)) => gcm.wrap(session, key, data_key, binding),
            (Self::KeyWrap(_), KeyObjects::Secret(key)) => {
                key_wrap::wrap(session, key, &BoundSecret::new(data_key, binding))
            }
            (Self::Oaep(hash), KeyObjects::Pair { public, .. }) => {
                oaep::wrap(session, public, *hash, &BoundSecret::new(data_key, binding))
            }
            (Self::CbcHmac, KeyObjects::SecretAndMac(key, mac_key)) => {
                let secret = BoundSecret::new(data_key, binding);
                cbc_hmac::wrap(session, key, mac_key, &secret)
            }
            _ => Err(OTHER_OBJECTS),
        }
    }

    /// Unwraps bytes that anybody may have made.
    pub(super) fn unwrap(
        &self,
        session: &Session,
        key: KeyObjects,
        wrapped: &[u8],
        binding: &[u8],
    ) -> Result<DataKey, Failure> {
        match (self, key) {
            (Self::Gcm(gcm), KeyObjects::Secret(key)) => gcm.unwrap(session, key, wrapped, binding),
            (Self::KeyWrap(vendor), KeyObjects::Secret(key)) => {
                let wants_length = vendor.unwrap_wants_length();
                let secret = key_wrap::unwrap(session, key, wrapped, wants_length)?;
                BoundSecret::open(&secret, binding)
            }
            (Self::Oaep(hash), KeyObjects::Pair { private, .. }) => {
                let secret = oaep::unwrap(session, private, *hash, wrapped)?;
                BoundSecret::open(&secret, binding)
            }
            (Self::CbcHmac, KeyObjects::SecretAndMac(key, mac_key)) => {
                let secret = cbc_hmac::unwrap(session, key, mac_key, wrapped, binding)?;
                BoundSecret::open(&secret, binding)
            }
            _ => Err(OTHER_OBJECTS),
        }
    }
}

const OTHER_OBJECTS: Failure = Failure::Answer("the objects found are not those of the mechanism");

/// Puts a secret into the session, as an object that goes with it at the latest.
pub(super) fn create_with_value(
    session: &Session,
    mut template: Vec<Attribute>,
    value: &[u8],
) -> Result<ObjectHandle, Failure> {
    template.push(Attribute::Value(value.to_vec()));
    let object = session.create_object(&template);
    if let Some(Attribute::Value(copy)) = template.last_mut() {
        copy.zeroize();
    }
    Ok(object?)
}

/// What is wrapped where the mechanism has no associated data: the data key, and the digest of what
/// it is bound to.
pub(super) struct BoundSecret(SecretArray<{ KEY_LEN + HASH_LEN }>);

impl BoundSecret {
    pub(super) const LEN: usize = KEY_LEN + HASH_LEN;

    pub(super) fn new(data_key: &DataKey, binding: &[u8]) -> Self {
        let mut secret = SecretArray::zeroed();
        let (key, digest) = secret.as_mut_slice().split_at_mut(KEY_LEN);
        key.copy_from_slice(data_key.expose());
        digest.copy_from_slice(&sha256(&[binding]));
        Self(secret)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    fn digest(&self) -> &[u8] {
        self.as_bytes().get(KEY_LEN..).unwrap_or_default()
    }

    pub(super) fn open(secret: &[u8], binding: &[u8]) -> Result<DataKey, Failure> {
        let secret: &[u8; Self::LEN] = secret.try_into().map_err(|_| Failure::Rejected)?;
        let (key, digest) = secret.split_at(KEY_LEN);
        if !constant_time_eq(digest, &sha256(&[binding])) {
            return Err(Failure::Rejected);
        }
        DataKey::from_bytes(key).map_err(|_| Failure::Rejected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_secret_opens_with_its_binding_alone() {
        let key = DataKey::from_bytes(&[7; 32]).unwrap();
        let secret = BoundSecret::new(&key, b"binding");
        assert_eq!(secret.as_bytes().len(), 64);
        assert_eq!(
            BoundSecret::open(secret.as_bytes(), b"binding").unwrap(),
            key
        );
        for (secret, binding) in [
            (secret.as_bytes(), &b"other"[..]),
            (&secret.as_bytes()[1..], b"binding"),
            (&[secret.as_bytes(), &[0]].concat(), b"binding"),
            (&[], b"binding"),
        ] {
            let refused = BoundSecret::open(secret, binding);
            assert!(matches!(refused, Err(Failure::Rejected)), "{refused:?}");
        }
    }

    #[test]
    fn mechanisms_that_tokens_do_not_wrap_by_have_no_method() {
        for number in 1..=255 {
            let mechanism = Mechanism::new(number).unwrap();
            let is_a_tokens = mechanism.name().is_some() && number != 255;
            let method = Method::new(mechanism, Vendor::Generic);
            assert_eq!(method.is_some(), is_a_tokens, "{mechanism}");
        }
    }
}
