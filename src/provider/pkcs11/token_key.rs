//! The objects of a key in a token.

use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;

use super::canary::Canary;
use super::failure::Failure;
use super::handle::TokenKey;
use super::objects::KeyName;
use super::wrap::{KeyObjects, Method};
use super::{self_test, sign};
use crate::provider::ProviderError;

impl TokenKey {
    /// The object that is the key, where there are several.
    pub(super) fn name(&self) -> KeyName {
        let is_pair = match self.mechanism {
            Some(mechanism) => mechanism.is_oaep(),
            None => self.spec.has_public_key(),
        };
        if is_pair {
            KeyName::private(&self.id)
        } else {
            KeyName::secret(&self.id)
        }
    }

    pub(super) fn other_names(&self) -> impl Iterator<Item = KeyName> {
        let is_pair = self.name() == KeyName::private(&self.id);
        let public = is_pair.then(|| KeyName::public(&self.id));
        let mac = (!self.mac_id.is_empty()).then(|| KeyName::secret(&self.mac_id));
        public.into_iter().chain(mac)
    }

    /// The objects that it wraps by.
    pub(super) fn objects(
        &self,
        session: &Session,
        object: ObjectHandle,
    ) -> Result<KeyObjects, Failure> {
        match self.other_names().next() {
            None => Ok(KeyObjects::Secret(object)),
            Some(mac) if !self.mac_id.is_empty() => {
                Ok(KeyObjects::SecretAndMac(object, mac.find(session)?))
            }
            Some(public) => Ok(KeyObjects::Pair {
                private: object,
                public: public.find(session)?,
            }),
        }
    }

    /// Makes sure that a pair is of the kind that it should be. Where its public half is not in the
    /// token, that is not seen, and it signs nevertheless.
    pub(super) fn check_public_half(&self, session: &Session) -> Result<(), Failure> {
        let Some(kind) = self.spec.key_pair() else {
            return Ok(());
        };
        match KeyName::public(&self.id).find(session) {
            Ok(public) => sign::public_key(session, public, kind).map(drop),
            Err(Failure::NotFound | Failure::NothingFound) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Makes sure that the object is there and is the key.
    pub(super) fn look_at(&self, session: &Session, object: ObjectHandle) -> Result<(), Failure> {
        let shown = session.get_attributes(object, &[AttributeType::Id])?;
        if shown == [Attribute::Id(self.id.clone())] {
            return Ok(());
        }
        Err(Failure::Answer("a key that it found by an id has another"))
    }

    pub(super) fn wrong_spec(&self, operation: &'static str) -> ProviderError {
        ProviderError::WrongSpec {
            spec: self.spec,
            operation,
        }
    }
}

/// The canary of a key.
pub(super) struct KeyCanary<'a> {
    pub(super) key: &'a TokenKey,
    pub(super) method: &'a Method,
}

impl Canary for KeyCanary<'_> {
    fn lay(&self, session: &Session, object: ObjectHandle) -> Result<Option<Box<[u8]>>, Failure> {
        let objects = self.key.objects(session, object)?;
        let canary = self_test::lay(session, self.method, objects)?;
        Ok(Some(canary.as_bytes().into()))
    }

    fn check(&self, session: &Session, object: ObjectHandle, canary: &[u8]) -> Result<(), Failure> {
        let objects = self.key.objects(session, object)?;
        self_test::check(session, self.method, objects, canary)
    }
}
