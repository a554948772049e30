//! The one error type of the envelope layer and of keyrings.

use std::io;

use crate::envelope::HeaderStoreError;
use crate::format::{FormatError, HeaderId, InvalidEntry, KeyReference, LimitExceeded};
#[cfg(feature = "recipients")]
use crate::keyring::InvalidRecipientKey;
use crate::keyring::{NotAnswered, OpenReport};
use crate::kms::KmsError;
use crate::provider::ProviderError;
use crate::rng::RandomError;

/// Why a message was not sealed or not opened.
///
/// [`Decrypt`](Self::Decrypt) stands for every cryptographic failure, so that an attacker who sees
/// it learns nothing; what reveals nothing stays distinct and says what to do. No variant holds
/// key bytes, payload or a context value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A wrong key, context or associated data, or a changed message: there is no telling which.
    #[error(
        "could not decrypt: the key, the encryption context or the associated data is not the one it was sealed with, or the message was changed or cut off"
    )]
    Decrypt,
    /// The bytes are no message that this version reads.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A size is over a limit of the format.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// None of the message's wrapped keys is under a key that the keyring holds.
    #[error("{}", sealed_under(.message_keys))]
    OtherKey {
        /// The keys that the message names.
        message_keys: Vec<KeyReference>,
    },
    /// Keys that the keyring holds did not open the message, and not for reasons of cryptography
    /// alone.
    #[error("no key opened the message ({report}): {source}")]
    NotOpened {
        /// What became of each of the message's wrapped keys.
        report: OpenReport,
        /// Of what keyrings said, what tells most.
        source: Box<Self>,
    },
    /// The data key is in shares, and the keyring holds keys of too few of them. Nothing was tried.
    #[error(
        "{needed} shares of the data key are needed, and this keyring holds the keys of {held}; open it together with those who hold the others"
    )]
    TooFewShares {
        /// The shares that are needed.
        needed: u8,
        /// The shares in the message whose keys the keyring holds.
        held: u8,
    },
    /// The header store has no header that the record could have been sealed under.
    #[error(
        "no header for records {id} is in the header store; give the store that the sealer put it into, and restore the header if it was removed: without it, its records cannot be opened; or these bytes were never sealed as a record"
    )]
    UnknownHeader {
        /// What the record begins with.
        id: HeaderId,
    },
    /// The header store has, for a record's header, something that is no header for records.
    #[error(
        "the header store gave something else than a header for records {id}; put the header back as it was: {source}"
    )]
    StoredHeader {
        /// What the record begins with.
        id: HeaderId,
        /// What is wrong with it.
        source: FormatError,
    },
    /// The header store did not do its part.
    #[error(transparent)]
    HeaderStore(#[from] HeaderStoreError),
    /// The context lacks a key that the encryptor requires.
    #[error(
        "the encryption context has no {key:?}, which this encryptor requires; add the pair to the context"
    )]
    MissingContextKey {
        /// The key that is required.
        key: String,
    },
    /// The caller's buffer cannot hold the result. Nothing was written.
    #[error("the buffer has {len} bytes and {needed} are needed; give a larger one")]
    BufferTooSmall {
        /// The bytes needed.
        needed: usize,
        /// The bytes given.
        len: usize,
    },
    /// The provider of a key did not do its part.
    #[error(transparent)]
    Provider(ProviderError),
    /// The keyring and its provider do not fit together.
    #[error(transparent)]
    Entry(#[from] InvalidEntry),
    /// A keyring gave no answer in time, or none at all.
    #[error(transparent)]
    NotAnswered(#[from] NotAnswered),
    /// The public key of a recipient is none (feature `recipients`).
    #[cfg(feature = "recipients")]
    #[error(transparent)]
    Recipient(#[from] InvalidRecipientKey),
    /// The keyring gave no wrapped key, so nobody could have opened the message.
    #[error(
        "the keyring wrapped the data key under no key, so the message could never be opened; add a key to the keyring"
    )]
    NoWrappedKey,
    /// The keyring has no key to wrap under.
    #[error(
        "this keyring opens messages and seals none; seal with a keyring that has a key to wrap under"
    )]
    OpensOnly,
    /// A rewrap would leave no wrapped key, and the message could never be opened.
    #[error(
        "the rewrap would take away every wrapped key, so the message could never be opened; add a key in the same rewrap, or leave one"
    )]
    RemovesEveryKey,
    /// The random generator failed.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The KMS did not do its part: it refused the use of a key, for instance.
    #[error(transparent)]
    Kms(Box<KmsError>),
}

impl Error {
    /// Whether the same call may succeed later, with nothing changed: a provider or the store of a
    /// KMS was unavailable.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Provider(error) => error.is_retryable(),
            Self::Kms(error) => error.is_retryable(),
            Self::NotAnswered(_) => true,
            Self::NotOpened { report, source } => report.is_retryable() || source.is_retryable(),
            _ => false,
        }
    }
}

/// The kind says as much as `io` can: `InvalidData` for what was changed or is no message,
/// `UnexpectedEof` for what is truncated. [`io::Error::get_ref`] gives the error itself.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Format(FormatError::Truncated { .. }) => io::ErrorKind::UnexpectedEof,
            Error::Decrypt | Error::Format(_) => io::ErrorKind::InvalidData,
            Error::Limit(_) => io::ErrorKind::FileTooLarge,
            Error::MissingContextKey { .. } | Error::BufferTooSmall { .. } => {
                io::ErrorKind::InvalidInput
            }
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// What a provider said to a KMS is the provider's answer, and a failure of the random generator one.
impl From<KmsError> for Error {
    fn from(error: KmsError) -> Self {
        match error {
            KmsError::Provider(error) => error.into(),
            KmsError::Random(error) => error.into(),
            KmsError::Message(error) => *error,
            other => Self::Kms(Box::new(other)),
        }
    }
}

/// A provider's refusal of a wrapped key is a cryptographic failure like any other.
impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Rejected => Self::Decrypt,
            other => Self::Provider(other),
        }
    }
}

fn sealed_under(keys: &[KeyReference]) -> String {
    let names = keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    let whose = if keys.iter().all(KeyReference::is_software) {
        "another root key"
    } else {
        "another key"
    };
    format!(
        "sealed under {whose}: the message names {}, which this keyring does not hold; open it with the key it was sealed under",
        names.join(", ")
    )
}
