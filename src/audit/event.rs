//! What happened, as the KMS tells the trail.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::context::EncryptionContext;
use crate::format::{KeyId, KeyVersion};
use crate::kms::Operation;
use crate::names::named;
use crate::rng::{RandomError, RandomSource};

/// Something that somebody did or tried. It borrows: making one costs nothing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuditEvent<'a> {
    /// Names the call: the same in all records that it makes.
    pub request: &'a str,
    /// Who acted.
    pub principal: &'a str,
    /// What the application said of who acted.
    pub attributes: Option<&'a BTreeMap<String, String>>,
    /// Where the call came from, as the application said: an address, a trace.
    pub source: Option<&'a BTreeMap<String, String>>,
    /// What was done or tried.
    pub operation: Operation,
    /// The key, where it is known which.
    pub key: Option<KeyId>,
    /// The version of the key that was used.
    pub key_version: Option<KeyVersion>,
    /// How the caller named the key, where that was not by its id. It may be any text.
    pub selector: Option<&'a str>,
    /// The encryption context.
    pub context: Option<&'a EncryptionContext>,
    /// What else was asked for.
    pub parameters: Parameters<'a>,
    /// What came of it.
    pub outcome: Outcome,
    /// The kind of error, a short name that stays the same: `InvalidState`.
    pub error: Option<&'static str>,
    /// What allowed or denied it.
    pub decided_by: Option<DecidedBy<'a>>,
    /// Whether it was only tried whether it would be allowed.
    pub dry_run: bool,
}

/// Parameters of a request, by name.
pub type Parameters<'a> = SmallVec<[(&'static str, ParameterValue<'a>); 2]>;

impl<'a> AuditEvent<'a> {
    /// Something that was allowed. The fields say more.
    #[must_use]
    pub fn new(request: &'a str, principal: &'a str, operation: Operation) -> Self {
        Self {
            request,
            principal,
            attributes: None,
            source: None,
            operation,
            key: None,
            key_version: None,
            selector: None,
            context: None,
            parameters: Parameters::new(),
            outcome: Outcome::Allowed,
            error: None,
            decided_by: None,
            dry_run: false,
        }
    }

    /// Adds a parameter of the request. Never a secret. Of several with one name the last is
    /// recorded; `keyId` and `encryptionContext` are names that the record has itself, and cannot be
    /// given.
    #[must_use]
    pub fn with_parameter(
        mut self,
        name: &'static str,
        value: impl Into<ParameterValue<'a>>,
    ) -> Self {
        self.parameters.push((name, value.into()));
        self
    }

    /// The same, denied.
    #[must_use]
    pub fn denied(mut self) -> Self {
        self.outcome = Outcome::Denied;
        self.error = None;
        self
    }

    /// The same, failed for a reason of this kind.
    #[must_use]
    pub fn failed(mut self, error: &'static str) -> Self {
        self.outcome = Outcome::Failed;
        self.error = Some(error);
        self
    }
}

/// What came of what was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was allowed, and is done as far as the record can tell: see [`AuditTrail`](super::AuditTrail).
    Allowed,
    /// It was not allowed, and not done.
    Denied,
    /// It was allowed, and could not be done.
    Failed,
}

named!(Outcome, "outcome", {
    Allowed => "allowed",
    Denied => "denied",
    Failed => "failed",
});

/// What allowed or denied something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecidedBy<'a> {
    /// A statement of the key's policy, by its `Sid`, or its place if it has none: `key-policy:Sid`.
    KeyPolicy(&'a str),
    /// A statement of the store's policy: `store-policy:Sid`.
    StorePolicy(&'a str),
    /// A grant, by its id: `grant:id`.
    Grant(&'a str),
    /// No statement and no grant matched: `none`.
    Nothing,
}

impl fmt::Display for DecidedBy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyPolicy(sid) => write!(f, "key-policy:{sid}"),
            Self::StorePolicy(sid) => write!(f, "store-policy:{sid}"),
            Self::Grant(id) => write!(f, "grant:{id}"),
            Self::Nothing => f.write_str("none"),
        }
    }
}

/// The value of a parameter of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ParameterValue<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    List(Vec<Cow<'a, str>>),
}

impl<'a> From<&'a str> for ParameterValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for ParameterValue<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u64> for ParameterValue<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for ParameterValue<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for ParameterValue<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// Sixteen random bytes that name something, as 32 hexadecimal digits.
macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new one.
            ///
            /// # Errors
            ///
            /// [`RandomError`] when `random` fails.
            pub fn generate(random: &dyn RandomSource) -> Result<Self, RandomError> {
                let mut bytes = [0; 16];
                random.fill(&mut bytes)?;
                Ok(Self(bytes))
            }

            /// Takes the bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut digits = [0; 32];
                f.write_str(base16ct::lower::encode_str(&self.0, &mut digits).unwrap_or_default())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                let mut bytes = [0; 16];
                match base16ct::lower::decode(text.as_bytes(), &mut bytes) {
                    Ok(decoded) if decoded.len() == 16 => Ok(Self(bytes)),
                    _ => Err(serde::de::Error::custom("an id is 32 hexadecimal digits")),
                }
            }
        }
    };
}
pub(super) use random_id;

random_id! {
    /// Names one record: the same in each sink.
    EventId
}
