use super::KeySpec;
use crate::crypto::SigningAlgorithm;
use crate::rng::RandomError;
use crate::secret::DataKeyLength;

/// Why a provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The wrapped key does not unwrap: another key, another binding, or changed bytes. There is
    /// no telling which.
    #[error(
        "the key refused the wrapped data key: it was wrapped under another key or with another binding, or was changed"
    )]
    Rejected,
    /// The handle is not one that this kind of provider issues.
    #[error("the key handle is not valid: {reason}; give the bytes that create_key returned")]
    InvalidHandle {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The provider issued no such handle, or no longer has the key.
    #[error(
        "the {provider} provider holds no key of that handle; check that it is the provider that created the key"
    )]
    UnknownKey {
        /// The provider's name.
        provider: String,
    },
    /// The handle belongs to a software key under another root key.
    #[error(
        "the key handle was made under another root key; use the root key that the provider had when it created the key"
    )]
    OtherRootKey,
    /// The key was destroyed.
    #[error("the key was destroyed; what it wrapped cannot be opened any more")]
    KeyDestroyed,
    /// A key of this kind is not for that.
    #[error("a key of spec {spec} does not {operation}; use a key of a spec that does")]
    WrongSpec {
        /// The kind of the key.
        spec: KeySpec,
        /// What was asked.
        operation: &'static str,
    },
    /// The key signs, but not so.
    #[error(transparent)]
    Signing(#[from] SigningMismatch),
    /// What was to be imported is no key of that kind.
    #[error("the key material is no key of spec {spec}: {reason}")]
    InvalidKeyMaterial {
        /// The kind of key that it should be.
        spec: KeySpec,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The provider's own policy forbids it.
    #[error("the {provider} provider denied the use of the key: {reason}")]
    Denied {
        /// The provider's name.
        provider: String,
        /// Why, in the provider's words.
        reason: String,
    },
    /// The provider cannot do this. Its capabilities say so beforehand.
    #[error(
        "the {provider} provider cannot {operation}; ask its capabilities first, or use another provider"
    )]
    Unsupported {
        /// The provider's name.
        provider: String,
        /// What was asked.
        operation: &'static str,
    },
    /// The provider refused the call, and would refuse it again: by its configuration, the key's
    /// attributes, or a login that failed.
    #[error("the {provider} provider refuses: {source}")]
    Refused {
        /// The provider's name.
        provider: String,
        /// Why, and what to do.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The provider could not be reached, or did not answer as it should. Retrying may help.
    #[error(
        "the {provider} provider is unavailable: {source}; try again, and check that it can be reached"
    )]
    Unavailable {
        /// The provider's name.
        provider: String,
        /// What the provider or its transport said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The random generator failed.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// A key does not sign, and so cannot verify, such a message in such a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningMismatch {
    /// The key is of another kind than the algorithm needs.
    #[error(
        "a key of spec {spec} does not sign by {algorithm}; use one of the algorithms of its spec"
    )]
    Algorithm {
        /// The kind of the key.
        spec: KeySpec,
        /// The algorithm asked for.
        algorithm: SigningAlgorithm,
    },
    /// The digest has another length than those of the algorithm's hash.
    #[error("{algorithm} signs digests of {expected} bytes, and {len} were given")]
    DigestLength {
        /// The algorithm asked for.
        algorithm: SigningAlgorithm,
        /// The bytes of its digests.
        expected: usize,
        /// The bytes given.
        len: usize,
    },
    /// The algorithm signs messages alone.
    #[error("{algorithm} signs messages and no digests; give the message itself")]
    Digest {
        /// The algorithm asked for.
        algorithm: SigningAlgorithm,
    },
}

impl ProviderError {
    /// Whether the same call may succeed later, with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// An unwrapped key of the wrong length was not wrapped by this crate.
impl From<DataKeyLength> for ProviderError {
    fn from(_: DataKeyLength) -> Self {
        Self::Rejected
    }
}
