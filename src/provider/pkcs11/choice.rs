//! By which mechanism keys wrap: one that the token has, and that was tested.

use std::sync::PoisonError;

use super::abilities;
use super::error::Pkcs11Error;
use super::handle::TokenKey;
use super::pool::Access;
use super::provider::{Pkcs11KeyProvider, Settings};
use super::self_test;
use super::wrap::Method;
use crate::format::Mechanism;
use crate::provider::ProviderError;

impl Pkcs11KeyProvider {
    pub(super) fn chosen(&self) -> Result<Mechanism, ProviderError> {
        if let Some(&chosen) = self.known.chosen.get() {
            return Ok(chosen);
        }
        let Settings { wrapping, .. } = &*self.settings;
        let mut passed_over = Vec::new();
        for &mechanism in wrapping.candidates() {
            let Some(method) = Method::new(mechanism, wrapping.vendor()) else {
                passed_over.push(format!("{mechanism}: no mechanism of a token"));
                continue;
            };
            let is_there = self.token.on_slot(|context, slot| {
                abilities::offers(context, slot, &method, wrapping.rsa_size())
            })?;
            if !is_there {
                passed_over.push(format!("{mechanism}: the token does not have it"));
                continue;
            }
            match self.test(mechanism, &method) {
                Ok(()) => return Ok(*self.known.chosen.get_or_init(|| mechanism)),
                Err(ProviderError::Refused { source, .. }) => {
                    passed_over.push(format!("{mechanism}: {source}"));
                }
                Err(ProviderError::Rejected) => {
                    passed_over.push(format!("{mechanism}: it does not unwrap what it wrapped"));
                }
                Err(other) => return Err(other),
            }
        }
        Err(Pkcs11Error::NoMechanism { passed_over }.into())
    }

    /// How a key wraps, by a mechanism that was tested.
    pub(super) fn tested_method(&self, key: &TokenKey) -> Result<Method, ProviderError> {
        let method = key.method(self.settings.wrapping.vendor())?;
        if let Some(mechanism) = key.mechanism
            // What it would take, to make a pair, is too much for each start.
            && !matches!(method, Method::Oaep(_))
        {
            self.test(mechanism, &method)?;
        }
        Ok(method)
    }

    /// Tests a mechanism, once.
    fn test(&self, mechanism: Mechanism, method: &Method) -> Result<(), ProviderError> {
        let tested = || {
            self.known
                .tested
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if tested().contains_key(&mechanism) {
            return Ok(());
        }
        let outcome = self.token.with_session(Access::ReadOnly, |session| {
            self_test::known_answer(session, method).map_err(self_test::for_good)
        })?;
        tested().insert(mechanism, outcome);
        Ok(())
    }
}
