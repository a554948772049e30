//! Sealing and opening payloads: what most applications touch.

mod body;
mod derive;
mod message;
mod record;
mod rewrap;
mod sealing;
mod stream;
#[cfg(feature = "tokio")]
mod tokio;
mod whole;

use std::fmt;
use std::sync::Arc;

pub(crate) use body::BodySettings;
pub use body::Parallelism;
pub use message::Envelope;
pub use record::{HeaderStore, HeaderStoreError, MemoryHeaderStore, Opener, RowError, Sealer};
pub(crate) use rewrap::is_left_by_rewrap;
pub use rewrap::{
    FileRewrap, Rewrap, RewrapFailure, RewrapFileError, RewrapJob, RewrapReport, Rewrapped,
    rewrap_file,
};
pub(crate) use sealing::MessageHeader;
pub use sealing::{Opening, Sealing};
pub use stream::{DecryptAt, DecryptReader, EncryptReader, EncryptWriter, ReadAt};
#[cfg(feature = "tokio")]
pub use tokio::{AsyncDecryptReader, AsyncEncryptWriter, AsyncEnvelope};
pub(crate) use whole::{WholeMessage, seal};

use crate::context::EncryptionContext;
use crate::error::Error;
use crate::format::Header;
use crate::secret::SecretBytes;

/// Seals payloads into messages, and opens them. [`Envelope`] is the implementation; an
/// application that depends on this trait can put another in its place in tests.
///
/// # Contract
///
/// - A message opens only with the context and the associated data that it was sealed with. No
///   associated data and empty associated data are the same.
/// - Every cryptographic failure is [`Error::Decrypt`] and nothing more.
/// - After an error the buffer of a `_into` call holds no plaintext that was not verified: it is
///   zeroized as far as it was written.
/// - Two calls never seal under the same key and nonce; sealing the same payload twice gives two
///   different messages.
pub trait EnvelopeEncryptor: fmt::Debug + Send + Sync {
    /// Seals `plaintext` under `context`.
    ///
    /// # Errors
    ///
    /// As [`encrypt_with`](Self::encrypt_with).
    fn encrypt(&self, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>, Error> {
        self.encrypt_with(plaintext, MessageOptions::new(context))
    }

    /// Opens a message that was sealed under `context`.
    ///
    /// # Errors
    ///
    /// As [`decrypt_with`](Self::decrypt_with).
    fn decrypt(&self, message: &[u8], context: &EncryptionContext) -> Result<SecretBytes, Error> {
        self.decrypt_with(message, MessageOptions::new(context))
            .map(|opened| opened.plaintext)
    }

    /// Seals `plaintext` under a context and associated data.
    ///
    /// # Errors
    ///
    /// [`Error::MissingContextKey`], [`Error::Limit`], and what the keyring says:
    /// [`Error::Provider`], [`Error::Random`].
    fn encrypt_with(&self, plaintext: &[u8], options: MessageOptions<'_>)
    -> Result<Vec<u8>, Error>;

    /// Opens a message that was sealed under a context and associated data.
    ///
    /// # Errors
    ///
    /// [`Error::Decrypt`] when the key, the context, the associated data or the message is not
    /// what it was; [`Error::Format`] when the bytes are no message or a truncated one;
    /// [`Error::OtherKey`]; [`Error::MissingContextKey`]; [`Error::Provider`].
    fn decrypt_with(&self, message: &[u8], options: MessageOptions<'_>) -> Result<Opened, Error>;

    /// Seals into `out`, without allocating, and returns the length of the message. `out` may be
    /// longer; [`max_message_len`](Self::max_message_len) bytes always suffice.
    ///
    /// # Errors
    ///
    /// As [`encrypt_with`](Self::encrypt_with), and [`Error::BufferTooSmall`].
    fn encrypt_into(
        &self,
        plaintext: &[u8],
        options: MessageOptions<'_>,
        out: &mut [u8],
    ) -> Result<usize, Error>;

    /// Opens into `out`, without allocating. `out` may be longer than the payload; the length of
    /// the message always suffices.
    ///
    /// # Errors
    ///
    /// As [`decrypt_with`](Self::decrypt_with), and [`Error::BufferTooSmall`].
    fn decrypt_into(
        &self,
        message: &[u8],
        options: MessageOptions<'_>,
        out: &mut [u8],
    ) -> Result<OpenedInto, Error>;

    /// Begins a message whose payload comes as a stream: what [`EncryptWriter`] and its kin do
    /// first. An implementation gets it from the [`Envelope`] that it wraps.
    ///
    /// # Errors
    ///
    /// As [`encrypt_with`](Self::encrypt_with).
    fn begin_sealing(&self, options: MessageOptions<'_>) -> Result<Sealing, Error>;

    /// Verifies the header of a message whose body comes as a stream: what [`DecryptReader`] and
    /// its kin do first. An implementation gets it from the [`Envelope`] that it wraps.
    ///
    /// # Errors
    ///
    /// As [`decrypt_with`](Self::decrypt_with), for the header.
    fn begin_opening(
        &self,
        header: &Header<'_>,
        options: MessageOptions<'_>,
    ) -> Result<Opening, Error>;

    /// Wraps the data key of a message or of records under the keys of now: those that the keyring
    /// holds, and that wrapped it so far, give way to those that it would wrap with.
    ///
    /// # Errors
    ///
    /// As [`rewrap_with`](Self::rewrap_with).
    fn rewrap(&self, header: &[u8], context: &EncryptionContext) -> Result<Rewrapped, Error> {
        self.rewrap_with(header, context, &Rewrap::new())
    }

    /// Changes under which keys the data key of a message or of records is wrapped. The payload is
    /// neither read nor decrypted, so the associated data is not needed; the context is.
    ///
    /// `header` is a header for records, or a message, or enough of its front to have the whole
    /// header. The header is verified first. What is already as it should be is returned as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Decrypt`] when the key or the context is not the one it was sealed with, or the
    /// header was changed; [`Error::Format`] when the bytes are no header, or only a part of one
    /// ([`FormatError::Truncated`](crate::FormatError::Truncated): give more); [`Error::OtherKey`];
    /// [`Error::MissingContextKey`]; [`Error::RemovesEveryKey`]; [`Error::Entry`] and
    /// [`Error::Limit`] for more wrapped keys than a header holds; and what the keyrings say.
    fn rewrap_with(
        &self,
        header: &[u8],
        context: &EncryptionContext,
        change: &Rewrap,
    ) -> Result<Rewrapped, Error>;

    /// The bytes of a message with a payload of `plaintext_len` bytes, at the most.
    fn max_message_len(&self, plaintext_len: usize) -> usize;
}

/// What a message is bound to besides its key.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct MessageOptions<'a> {
    /// The encryption context: bound to the wrapped keys and the header, visible to policies.
    pub context: &'a EncryptionContext,
    /// The associated data: bound to this message's payload, seen by nobody. Such as the table and
    /// primary key of a row. At most 65536 bytes.
    pub aad: &'a [u8],
}

impl<'a> MessageOptions<'a> {
    /// Binds to `context`, without associated data.
    #[must_use]
    pub fn new(context: &'a EncryptionContext) -> Self {
        Self { context, aad: &[] }
    }

    /// Binds to `aad` also.
    #[must_use]
    pub fn with_aad(mut self, aad: &'a [u8]) -> Self {
        self.aad = aad;
        self
    }
}

/// An opened message.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The payload.
    pub plaintext: SecretBytes,
    /// The number, from 0, of the wrapped key that opened it, as in
    /// [`Inspection::wrapped_keys`](crate::Inspection::wrapped_keys).
    pub opened_by: usize,
}

impl Opened {
    /// Puts an opened message together, as an implementation of [`EnvelopeEncryptor`] does.
    #[must_use]
    pub fn new(plaintext: SecretBytes, opened_by: usize) -> Self {
        Self {
            plaintext,
            opened_by,
        }
    }
}

/// A message opened into a caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenedInto {
    /// The bytes of the payload, at the front of the buffer.
    pub len: usize,
    /// The number, from 0, of the wrapped key that opened it.
    pub opened_by: usize,
}

impl OpenedInto {
    /// Puts an opened message together, as an implementation of [`EnvelopeEncryptor`] does.
    #[must_use]
    pub fn new(len: usize, opened_by: usize) -> Self {
        Self { len, opened_by }
    }
}

macro_rules! forward_to_pointee {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: EnvelopeEncryptor + ?Sized> EnvelopeEncryptor for $pointer<T> {
            fn encrypt(
                &self,
                plaintext: &[u8],
                context: &EncryptionContext,
            ) -> Result<Vec<u8>, Error> {
                (**self).encrypt(plaintext, context)
            }

            fn decrypt(
                &self,
                message: &[u8],
                context: &EncryptionContext,
            ) -> Result<SecretBytes, Error> {
                (**self).decrypt(message, context)
            }

            fn encrypt_with(
                &self,
                plaintext: &[u8],
                options: MessageOptions<'_>,
            ) -> Result<Vec<u8>, Error> {
                (**self).encrypt_with(plaintext, options)
            }

            fn decrypt_with(
                &self,
                message: &[u8],
                options: MessageOptions<'_>,
            ) -> Result<Opened, Error> {
                (**self).decrypt_with(message, options)
            }

            fn encrypt_into(
                &self,
                plaintext: &[u8],
                options: MessageOptions<'_>,
                out: &mut [u8],
            ) -> Result<usize, Error> {
                (**self).encrypt_into(plaintext, options, out)
            }

            fn decrypt_into(
                &self,
                message: &[u8],
                options: MessageOptions<'_>,
                out: &mut [u8],
            ) -> Result<OpenedInto, Error> {
                (**self).decrypt_into(message, options, out)
            }

            fn begin_sealing(&self, options: MessageOptions<'_>) -> Result<Sealing, Error> {
                (**self).begin_sealing(options)
            }

            fn begin_opening(
                &self,
                header: &Header<'_>,
                options: MessageOptions<'_>,
            ) -> Result<Opening, Error> {
                (**self).begin_opening(header, options)
            }

            fn rewrap(
                &self,
                header: &[u8],
                context: &EncryptionContext,
            ) -> Result<Rewrapped, Error> {
                (**self).rewrap(header, context)
            }

            fn rewrap_with(
                &self,
                header: &[u8],
                context: &EncryptionContext,
                change: &Rewrap,
            ) -> Result<Rewrapped, Error> {
                (**self).rewrap_with(header, context, change)
            }

            fn max_message_len(&self, plaintext_len: usize) -> usize {
                (**self).max_message_len(plaintext_len)
            }
        }
    )*};
}

forward_to_pointee!(Arc, Box);
