//! What the bytes of a token key's handle say (FORMAT.md, section 23).

use crate::crypto::{constant_time_eq, sha256};
use crate::format::codec::Reader;
use crate::format::{KeyReference, Mechanism, label};
use crate::provider::{KeyDescription, KeyHandle, KeySpec, ProviderError};

use super::wrap::Method;
use super::wrapping::Vendor;

/// A key of a token: what it is for, and the ids of the objects that it consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenKey {
    pub(super) spec: KeySpec,
    /// By what it wraps; `None` for one that does not.
    pub(super) mechanism: Option<Mechanism>,
    pub(super) id: Vec<u8>,
    /// The id of the second key that some mechanisms need, for MACs.
    pub(super) mac_id: Vec<u8>,
}

const VERSION: u8 = 1;
const CHECK_LEN: usize = 16;

impl TokenKey {
    pub(super) fn to_handle(&self, binding: &[u8]) -> Result<KeyHandle, ProviderError> {
        let too_long = |_| ProviderError::InvalidHandle {
            reason: "the CKA_ID of its key is longer than 255 bytes",
        };
        let mut bytes = vec![
            VERSION,
            self.spec.code(),
            self.mechanism.map_or(0, Mechanism::get),
        ];
        for id in [&self.id, &self.mac_id] {
            bytes.push(u8::try_from(id.len()).map_err(too_long)?);
            bytes.extend_from_slice(id);
        }
        let check = check(&bytes, binding);
        bytes.extend_from_slice(&check);
        Ok(KeyHandle::from_bytes(bytes).with_binding(binding))
    }

    pub(super) fn read(handle: &KeyHandle) -> Result<Self, ProviderError> {
        let (named, given) = handle
            .as_bytes()
            .split_last_chunk::<CHECK_LEN>()
            .ok_or(MALFORMED)?;
        let key = Self::read_fields(named).ok_or(MALFORMED)?;
        if !constant_time_eq(&check(named, handle.binding()), given) {
            return Err(ProviderError::InvalidHandle {
                reason: "its bytes were changed, or its key was created for another purpose than stated",
            });
        }
        Ok(key)
    }

    fn read_fields(named: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(named);
        if reader.u8("").ok()? != VERSION {
            return None;
        }
        let spec = KeySpec::of_code(reader.u8("").ok()?)?;
        let mechanism = Mechanism::new(reader.u8("").ok()?);
        let mut id = || {
            let len = reader.u8("").ok()?;
            Some(reader.take(usize::from(len), "").ok()?.to_vec())
        };
        let (id, mac_id) = (id()?, id()?);
        let has_mac = mechanism == Some(Mechanism::CBC_HMAC_SHA256);
        let fits = spec.wraps() == mechanism.is_some() && has_mac != mac_id.is_empty();
        let key = Self {
            spec,
            mechanism,
            id,
            mac_id,
        };
        (reader.is_empty() && fits && !key.id.is_empty()).then_some(key)
    }

    /// How messages name it. A key that does not wrap occurs in none, but its name is its own too.
    pub(super) fn reference(&self) -> Result<KeyReference, ProviderError> {
        let mechanism = self.mechanism.unwrap_or(Mechanism::PROVIDER_DEFINED);
        KeyReference::pkcs11(&self.id, mechanism).map_err(|_| MALFORMED)
    }

    /// How it wraps.
    pub(super) fn method(&self, vendor: Vendor) -> Result<Method, ProviderError> {
        let mechanism = self.mechanism.ok_or(ProviderError::WrongSpec {
            spec: self.spec,
            operation: "wrap data keys",
        })?;
        Method::new(mechanism, vendor).ok_or(ProviderError::InvalidHandle {
            reason: "it names a mechanism that is not known; it may be of a newer version of this crate",
        })
    }

    pub(super) fn describe(&self, vendor: Vendor) -> Result<KeyDescription, ProviderError> {
        let reference = self.reference()?;
        match self.mechanism {
            None => Ok(KeyDescription::of_spec(reference, self.spec)),
            Some(mechanism) => {
                let len = self.method(vendor)?.wrapped_len();
                Ok(KeyDescription::new(reference, len).with_mechanism(mechanism))
            }
        }
    }
}

/// For the fuzz target, which has no token: reads a handle as a provider does, and writes it again.
///
/// # Errors
///
/// [`ProviderError::InvalidHandle`] for what is none.
#[cfg(fuzzing)]
pub fn reread_handle(handle: &KeyHandle) -> Result<KeyHandle, ProviderError> {
    let key = TokenKey::read(handle)?;
    key.describe(Vendor::SoftHsm)?;
    key.to_handle(handle.binding())
}

const MALFORMED: ProviderError = ProviderError::InvalidHandle {
    reason: "it has not the shape of a token key's handle",
};

/// Tells a handle from its changed copy, and from one for another purpose. It has no key, so whoever
/// writes handles can make it: where that matters, the record that holds the handle is protected.
fn check(named: &[u8], binding: &[u8]) -> [u8; CHECK_LEN] {
    let digest = sha256(&[label!("token-handle"), named, binding]);
    let mut check = [0; CHECK_LEN];
    check
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = from);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> [TokenKey; 3] {
        let key = |spec, mechanism, mac_id: &[u8]| TokenKey {
            spec,
            mechanism,
            id: vec![7; 16],
            mac_id: mac_id.to_vec(),
        };
        [
            key(KeySpec::Wrapping256, Some(Mechanism::GCM_CALLER_IV), b""),
            key(
                KeySpec::Wrapping256,
                Some(Mechanism::CBC_HMAC_SHA256),
                b"mac",
            ),
            key(KeySpec::Ed25519, None, b""),
        ]
    }

    #[test]
    fn a_handle_says_what_its_key_is() {
        for key in keys() {
            let handle = key.to_handle(b"purpose").unwrap();
            assert_eq!(TokenKey::read(&handle).unwrap(), key);
        }
    }

    #[test]
    fn a_handle_that_was_changed_is_none() {
        for key in keys() {
            let handle = key.to_handle(b"purpose").unwrap();
            let bytes = handle.as_bytes();
            let flipped = (0..bytes.len()).flat_map(|place| {
                (0..8).map(move |bit| {
                    let mut changed = bytes.to_vec();
                    changed[place] ^= 1 << bit;
                    changed
                })
            });
            let cut = (0..bytes.len()).map(|len| bytes[..len].to_vec());
            let longer = [[bytes, &[0]].concat(), [&[0], bytes].concat()];
            for changed in flipped.chain(cut).chain(longer) {
                let changed = KeyHandle::from_bytes(changed).with_binding(*b"purpose");
                let refused = TokenKey::read(&changed);
                assert!(matches!(refused, Err(ProviderError::InvalidHandle { .. })));
            }
            for purpose in [&b""[..], b"other"] {
                let other = KeyHandle::from_bytes(bytes).with_binding(purpose);
                assert!(TokenKey::read(&other).is_err());
            }
        }
    }

    #[test]
    fn what_no_key_is_has_no_handle() {
        for (spec, mechanism, id_len, mac_len) in [
            (KeySpec::Wrapping256, None, 16, 0),
            (KeySpec::Ed25519, Some(Mechanism::GCM_CALLER_IV), 16, 0),
            (KeySpec::Wrapping256, Some(Mechanism::GCM_CALLER_IV), 16, 1),
            (
                KeySpec::Wrapping256,
                Some(Mechanism::CBC_HMAC_SHA256),
                16,
                0,
            ),
            (KeySpec::Wrapping256, Some(Mechanism::GCM_CALLER_IV), 0, 0),
        ] {
            let key = TokenKey {
                spec,
                mechanism,
                id: vec![7; id_len],
                mac_id: vec![8; mac_len],
            };
            let refused = TokenKey::read(&key.to_handle(b"").unwrap());
            assert!(refused.is_err(), "{refused:?}");
        }
        let long = TokenKey {
            id: vec![7; 256],
            ..keys()[0].clone()
        };
        assert!(long.to_handle(b"").is_err());
    }
}
