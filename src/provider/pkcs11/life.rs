//! Keys are made in a token, taken over and destroyed.

use cryptoki::object::Attribute;
use cryptoki::session::Session;

use super::adopt::AdoptKey;
use super::failure::Failure;
use super::handle::TokenKey;
use super::pool::Access;
use super::provider::{Pkcs11KeyProvider, Settings};
use super::self_test;
use super::templates::{Named, generate_mac_key, generate_signing_pair, generate_wrapping_key};
use crate::crypto::MacAlgorithm;
use crate::format::Mechanism;
use crate::provider::{KeyHandle, KeySpec, ProviderError, unsupported};
use crate::rng::{RandomSource, SystemRandom};

impl Pkcs11KeyProvider {
    pub(super) fn create(&self, spec: KeySpec, binding: &[u8]) -> Result<KeyHandle, ProviderError> {
        if !self.abilities()?.creates.contains(spec) {
            return Err(unsupported(self, "create keys of that spec"));
        }
        let key = self.new_key(spec)?;
        let handle = key.to_handle(binding)?;
        let made = self.generate(&key).and_then(|()| self.try_out(&key));
        if let Err(error) = made {
            // Whatever was made protects nothing, and failing here must not hide why.
            let _ = self.destroy(&key);
            return Err(error);
        }
        Ok(handle)
    }

    /// What a new key will be.
    fn new_key(&self, spec: KeySpec) -> Result<TokenKey, ProviderError> {
        let mechanism = match spec.wraps() {
            true => Some(self.chosen()?),
            false => None,
        };
        Ok(TokenKey {
            spec,
            mechanism,
            id: new_id()?,
            mac_id: match mechanism {
                Some(Mechanism::CBC_HMAC_SHA256) => new_id()?,
                _ => Vec::new(),
            },
        })
    }

    fn generate(&self, key: &TokenKey) -> Result<(), ProviderError> {
        let Settings {
            wrapping, label, ..
        } = &*self.settings;
        let named = Named { id: &key.id, label };
        let method = match key.mechanism {
            Some(_) => Some(key.method(wrapping.vendor())?),
            None => None,
        };
        let mut is_second_try = false;
        self.token.with_session(Access::ReadWrite, |session| {
            if is_second_try {
                remove_all(session, [&key.id, &key.mac_id])?;
            }
            is_second_try = true;
            if let Some(method) = &method {
                generate_wrapping_key(session, method, wrapping.rsa_size(), named)?;
                if !key.mac_id.is_empty() {
                    let id = &key.mac_id;
                    generate_mac_key(session, MacAlgorithm::HmacSha256, Named { id, label })?;
                }
                Ok(())
            } else if let Some(algorithm) = key.spec.mac_algorithm() {
                generate_mac_key(session, algorithm, named)
            } else if let Some(kind) = key.spec.key_pair() {
                generate_signing_pair(session, kind, named)
            } else {
                Err(Failure::Answer("there is no way to make such a key"))
            }
        })
    }

    /// Destroys each object of a key. The key itself, which must be there, comes last: so a key that
    /// was destroyed in part is still found, and destroyed when it is tried again.
    pub(super) fn destroy(&self, key: &TokenKey) -> Result<(), ProviderError> {
        let name = key.name();
        self.token
            .with_key(&name, None, |session, _| name.find(session).map(drop))?;
        let mut is_gone = false;
        self.token.with_session(Access::ReadWrite, |session| {
            for other in key.other_names() {
                match other.find(session) {
                    Ok(object) => session.destroy_object(object)?,
                    // The key itself must be there, so this one alone is not.
                    Err(Failure::NotFound | Failure::NothingFound) => {}
                    Err(failure) => return Err(failure),
                }
            }
            match name.find(session) {
                Ok(object) => session.destroy_object(object)?,
                Err(Failure::NotFound | Failure::NothingFound) if is_gone => {}
                Err(failure) => return Err(failure),
            }
            is_gone = true;
            Ok(())
        })?;
        self.token.forget_key(&name);
        Ok(())
    }

    pub(super) fn adopt_key(&self, adopt: &AdoptKey) -> Result<KeyHandle, ProviderError> {
        let mechanism = match adopt.mechanism {
            None if adopt.spec.wraps() => Some(self.chosen()?),
            given => given,
        };
        let found = self
            .token
            .with_session(Access::ReadOnly, |session| adopt.find(session, mechanism))?;
        let key = TokenKey {
            spec: adopt.spec,
            mechanism,
            id: found.id,
            mac_id: found.mac_id,
        };
        let handle = key.to_handle(&adopt.binding)?;
        let key = TokenKey::read(&handle)?;
        self.try_out(&key)?;
        Ok(handle)
    }

    /// Uses a key once, so that what it cannot do is known now and not when it is needed.
    fn try_out(&self, key: &TokenKey) -> Result<(), ProviderError> {
        if key.mechanism.is_none() {
            return self.token.with_key(&key.name(), None, |session, _| {
                key.check_public_half(session).map_err(self_test::for_good)
            });
        }
        let method = self.tested_method(key)?;
        self.token.with_key(&key.name(), None, |session, object| {
            let objects = key.objects(session, object)?;
            self_test::round_trip(session, &method, objects).map_err(self_test::for_good)
        })
    }
}

/// Removes what a try that failed may have left, under ids that are ours alone.
fn remove_all(session: &Session, ids: [&Vec<u8>; 2]) -> Result<(), Failure> {
    for id in ids.into_iter().filter(|id| !id.is_empty()) {
        let named = [Attribute::Token(true), Attribute::Id(id.clone())];
        for object in session.find_objects(&named)? {
            session.destroy_object(object)?;
        }
    }
    Ok(())
}

/// Random, so that no two keys ever have the same: some tokens replace the one by the other.
fn new_id() -> Result<Vec<u8>, ProviderError> {
    let mut id = vec![0; 16];
    SystemRandom.fill(&mut id)?;
    Ok(id)
}
