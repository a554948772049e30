//! Keys of the token, found by their ids.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::error::Pkcs11Error;
use super::failure::Failure;

const LOOKS: usize = 3;

/// A key of the token, by what it is and its `CKA_ID`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct KeyName {
    class: Class,
    id: Box<[u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Class {
    Secret,
    Private,
    Public,
}

impl KeyName {
    pub(super) fn secret(id: &[u8]) -> Self {
        Self::new(Class::Secret, id)
    }

    pub(super) fn private(id: &[u8]) -> Self {
        Self::new(Class::Private, id)
    }

    pub(super) fn public(id: &[u8]) -> Self {
        Self::new(Class::Public, id)
    }

    fn new(class: Class, id: &[u8]) -> Self {
        Self {
            class,
            id: id.into(),
        }
    }

    #[cfg(test)]
    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }

    /// Finds it: exactly one key must be it.
    ///
    /// That it is not there is believed when it was seen three times, with other keys there each
    /// time: between any two calls others may log out and in again.
    pub(super) fn find(&self, session: &Session) -> Result<ObjectHandle, Failure> {
        for _ in 0..LOOKS {
            let id = Attribute::Id(self.id.to_vec());
            let found = session.find_objects(&[self.class(), Attribute::Token(true), id])?;
            match found[..] {
                [key] => return Ok(key),
                [] if self.is_alone_missing(session)? => {}
                [] => return Err(Failure::NothingFound),
                _ => {
                    return Err(Failure::Runtime(Pkcs11Error::SeveralKeys {
                        id: self.to_string(),
                        count: found.len(),
                    }));
                }
            }
        }
        Err(Failure::NotFound)
    }

    /// Whether the token shows other keys of the kind, as one does that works.
    fn is_alone_missing(&self, session: &Session) -> Result<bool, Failure> {
        let template = [self.class(), Attribute::Token(true)];
        let mut others = session.iter_objects_with_cache_size(&template, NonZeroUsize::MIN)?;
        Ok(others.next().transpose()?.is_some())
    }

    fn class(&self) -> Attribute {
        Attribute::Class(match self.class {
            Class::Secret => ObjectClass::SECRET_KEY,
            Class::Private => ObjectClass::PRIVATE_KEY,
            Class::Public => ObjectClass::PUBLIC_KEY,
        })
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.class)
    }
}

/// What is known of keys that were found.
///
/// A handle is good until handles may have changed: with the module initialised anew, or a login. A
/// canary is good for as long as the key.
#[derive(Debug, Default)]
pub(super) struct KnownKeys {
    known: RwLock<HashMap<KeyName, Known>>,
    era: AtomicU64,
}

#[derive(Debug, Clone)]
pub(super) struct Known {
    handle: ObjectHandle,
    era: u64,
    /// None where the key makes none.
    pub(super) canary: Option<Arc<[u8]>>,
}

/// More keys than that are not kept in mind.
const MAX_KNOWN: usize = 10_000;

impl KnownKeys {
    /// The handle of a key, if it is still good.
    pub(super) fn handle(&self, name: &KeyName) -> Option<ObjectHandle> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(name)
            .filter(|known| known.era == self.era())
            .map(|known| known.handle)
    }

    /// What was known of a key when it was last found.
    pub(super) fn last_known(&self, name: &KeyName) -> Option<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).cloned()
    }

    /// Handles found from now on are of this era until the next begins.
    pub(super) fn era(&self) -> u64 {
        self.era.load(Ordering::Acquire)
    }

    pub(super) fn remember(
        &self,
        name: &KeyName,
        handle: ObjectHandle,
        era: u64,
        canary: Option<Arc<[u8]>>,
    ) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN && !known.contains_key(name) {
            known.clear();
        }
        known.insert(
            name.clone(),
            Known {
                handle,
                era,
                canary,
            },
        );
    }

    /// The key was destroyed, by us.
    pub(super) fn forget(&self, name: &KeyName) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.remove(name);
    }

    /// All handles may have changed.
    pub(super) fn begin_era(&self) {
        self.era.fetch_add(1, Ordering::AcqRel);
    }
}
