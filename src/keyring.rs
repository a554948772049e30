//! Policy of use: which keys wrap a message's data key, and which may unwrap it.

mod caching;
mod discovery;
mod fallback;
mod materials;
mod multi;
#[cfg(feature = "recipients")]
mod recipient;
mod report;
mod single;
mod threshold;
mod wrapping;

use std::fmt;
use std::sync::Arc;

pub use caching::{CacheCounters, CacheLimits, CacheStats, CachingKeyring};
pub use discovery::DiscoveryKeyring;
pub use fallback::{FallbackKeyring, FallbackLimits, NotAnswered, WhyNotAnswered};
pub use materials::{DecryptionMaterials, EncryptionMaterials};
pub(crate) use materials::{KeptMaterials, Reuse};
pub use multi::MultiKeyring;
#[cfg(feature = "recipients")]
pub use recipient::{
    InvalidRecipientKey, RecipientAlgorithm, RecipientKeyring, RecipientOpener,
    RecipientPrivateKey, RecipientPublicKey,
};
pub(crate) use report::Trials;
pub use report::{EntryOutcome, EntryReport, OpenReport};
pub use single::SingleKeyring;
pub use threshold::{InvalidThreshold, ThresholdKeyring};
pub(crate) use wrapping::{BoundKey, generate_data_key, keep_telling};

use crate::audit::PendingRecords;
use crate::context::EncryptionContext;
use crate::error::Error;
use crate::format::{KeyEntries, KeyEntriesBuf, KeyEntry, Share, Suite};
use crate::rng::RandomSource;
use crate::secret::DataKey;

/// Gives data keys to seal messages with, and finds the data key of a message to open.
///
/// # Contract
///
/// - **To seal**, a keyring gives a data key and at least one wrapped copy of it. A data key is
///   [fresh](EncryptionMaterials::fresh) only if it was generated in this very call; anything else
///   is [shared](EncryptionMaterials::shared). A data key belongs to one context for life.
/// - **To open**, there are three outcomes, and they are distinct. *Done*:
///   [`Unwrapped::Done`]. *Not mine*: no wrapped key names a key of this keyring,
///   [`Unwrapped::NotMine`]; nothing was tried, and another keyring may be asked. *Mine and
///   refused*: an error, [`Error::Decrypt`] where cryptography refused, and what the provider said
///   where it could not be asked.
/// - Wrapped keys are tried in the order of the message, and only those that name a held key by
///   its exact reference are ever given to a provider.
/// - **To let others open**, a keyring wraps a data key that it did not make
///   ([`wrap_data_key`](Self::wrap_data_key)) as it wraps its own: what it then gives opens with it.
/// - **A share** of a data key, where a request names one, is wrapped and unwrapped as a data key is,
///   and bound to the share besides. A keyring around others passes the request on whole.
/// - What is given for a request is for the caller of that request. Where a key of a
///   [`Kms`](crate::Kms) is asked for async code, that it was used may not be durably recorded yet:
///   the caller waits for that. A keyring that would give it to others as well, or does anything else
///   with it first, makes a new request, which is answered when it is recorded.
/// - What a keyring returns to open with is checked by the caller against the message's
///   commitment; a keyring need not look at the payload, and is not given it.
/// - The keyring may be called from many threads, and may block.
pub trait Keyring: fmt::Debug + Send + Sync {
    /// Gives the data key for one message.
    ///
    /// # Errors
    ///
    /// [`Error::Provider`] when a provider fails, [`Error::Random`] when there is no randomness.
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error>;

    /// Finds the data key of a message among its wrapped copies.
    ///
    /// # Errors
    ///
    /// [`Error::Decrypt`] when a wrapped key names a held key and does not unwrap, and
    /// [`Error::Provider`] when a provider could not be asked.
    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error>;

    /// As [`encryption_materials`](Self::encryption_materials), if that can be had without asking
    /// a provider that may block; else nothing, and nothing was done. For callers that must not
    /// block.
    fn try_encryption_materials(
        &self,
        _request: EncryptionRequest<'_>,
    ) -> Option<Result<EncryptionMaterials, Error>> {
        None
    }

    /// As [`decryption_materials`](Self::decryption_materials), if that can be had without asking
    /// a provider that may block; else nothing, and nothing was done. For callers that must not
    /// block.
    fn try_decryption_materials(
        &self,
        _request: DecryptionRequest<'_>,
    ) -> Option<Result<Unwrapped, Error>> {
        None
    }

    /// Wraps a data key that was made elsewhere, as [`encryption_materials`](Self::encryption_materials)
    /// wraps its own: for a message that several keyrings can open, and for one more key on a message
    /// that is there already.
    ///
    /// # Errors
    ///
    /// As `encryption_materials`, and [`Error::OpensOnly`] from a keyring that has no key to wrap
    /// under.
    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error>;

    /// Whether [`wrap_data_key`](Self::wrap_data_key) would now ask no provider that may block. A
    /// keyring that does not say is asked where blocking does no harm.
    fn wraps_at_once(&self) -> bool {
        false
    }

    /// Whether this keyring opens with the key that `entry` names, if the key allows it: that is,
    /// whether it would try. No provider is asked. Where that cannot be told, the answer is yes.
    fn holds(&self, entry: &KeyEntry<'_>) -> bool;

    /// The bytes that the wrapped keys take in the header of a message, at the most.
    fn max_entries_len(&self) -> usize;
}

/// Asks for the data key of a message to be sealed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct EncryptionRequest<'a> {
    /// The context that the data key must be bound to.
    pub context: &'a EncryptionContext,
    /// The suite of the message.
    pub suite: Suite,
    /// Where a new data key's bytes come from.
    pub random: &'a dyn RandomSource,
    /// The bytes of the message's payload, where they are known: not those of a stream.
    pub payload_len: Option<u64>,
    /// Where the caller waits for the records of the call.
    pub(crate) pending: Option<&'a PendingRecords>,
}

impl<'a> EncryptionRequest<'a> {
    /// Makes a request, for a payload of unknown length.
    #[must_use]
    pub fn new(context: &'a EncryptionContext, suite: Suite, random: &'a dyn RandomSource) -> Self {
        Self {
            context,
            suite,
            random,
            payload_len: None,
            pending: None,
        }
    }

    /// Says that the payload has this many bytes.
    #[must_use]
    pub fn with_payload_len(mut self, payload_len: u64) -> Self {
        self.payload_len = Some(payload_len);
        self
    }

    /// The same for a keyring whose answer does not go to the caller as it is: what it records, it
    /// waits for itself.
    pub(crate) fn recorded_at_once(mut self) -> Self {
        self.pending = None;
        self
    }
}

/// Asks for wrapped copies of a data key that is there already.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct WrapDataKeyRequest<'a> {
    /// The context that the data key belongs to.
    pub context: &'a EncryptionContext,
    /// The data key to wrap.
    pub data_key: &'a DataKey,
    /// Where random bytes come from, if the wrap needs any.
    pub random: &'a dyn RandomSource,
    /// Where the data key is not that of a message but a share of it: which one. The wrapped copies
    /// are bound to it.
    pub share: Option<Share>,
    /// The wrapped copies of the data key that are there, where the new ones take their place.
    pub(crate) replaced: Option<KeyEntries<'a>>,
}

impl<'a> WrapDataKeyRequest<'a> {
    /// Makes a request.
    #[must_use]
    pub fn new(
        context: &'a EncryptionContext,
        data_key: &'a DataKey,
        random: &'a dyn RandomSource,
    ) -> Self {
        Self {
            context,
            data_key,
            random,
            share: None,
            replaced: None,
        }
    }

    /// Says that the data key is a share of a message's data key.
    #[must_use]
    pub fn with_share(mut self, share: Share) -> Self {
        self.share = Some(share);
        // Those are of the whole data key, or of shares that do not go with this one.
        self.replaced = None;
        self
    }

    /// Says that the copies take the place of these: where a keyring goes without a copy, those that
    /// it has there are to stay.
    pub(crate) fn replacing(mut self, entries: KeyEntries<'a>) -> Self {
        self.replaced = Some(entries);
        self
    }
}

/// Asks for the data key of a message to be opened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DecryptionRequest<'a> {
    /// The context that the reader expects.
    pub context: &'a EncryptionContext,
    /// The suite of the message.
    pub suite: Suite,
    /// The wrapped copies of the data key: untrusted.
    pub entries: KeyEntries<'a>,
    /// Where they are not of the data key of a message but of a share of it: which one. They must
    /// be bound to it.
    pub share: Option<Share>,
    /// Where the caller waits for the records of the call.
    pub(crate) pending: Option<&'a PendingRecords>,
}

impl<'a> DecryptionRequest<'a> {
    /// Makes a request.
    #[must_use]
    pub fn new(context: &'a EncryptionContext, suite: Suite, entries: KeyEntries<'a>) -> Self {
        Self {
            context,
            suite,
            entries,
            share: None,
            pending: None,
        }
    }

    /// Says that what is wrapped is a share of a message's data key.
    #[must_use]
    pub fn with_share(mut self, share: Share) -> Self {
        self.share = Some(share);
        self
    }

    /// As [`EncryptionRequest::recorded_at_once`].
    pub(crate) fn recorded_at_once(mut self) -> Self {
        self.pending = None;
        self
    }

    /// The same for `keyrings` of which the next is asked where one cannot record: that must be
    /// known before the next is asked.
    pub(crate) fn with_recourse(self, keyrings: usize) -> Self {
        match keyrings {
            0 | 1 => self,
            _ => self.recorded_at_once(),
        }
    }
}

/// What came of the search for a message's data key.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Unwrapped {
    /// The data key, and which of the wrapped keys gave it.
    Done(DecryptionMaterials),
    /// No wrapped key names a key of this keyring.
    NotMine,
}

macro_rules! forward_to_pointee {
    ($($pointer:ident),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        impl<T: Keyring + ?Sized> Keyring for $pointer<T> {
            fn encryption_materials(
                &self,
                request: EncryptionRequest<'_>,
            ) -> Result<EncryptionMaterials, Error> {
                (**self).encryption_materials(request)
            }

            fn decryption_materials(
                &self,
                request: DecryptionRequest<'_>,
            ) -> Result<Unwrapped, Error> {
                (**self).decryption_materials(request)
            }

            fn try_encryption_materials(
                &self,
                request: EncryptionRequest<'_>,
            ) -> Option<Result<EncryptionMaterials, Error>> {
                (**self).try_encryption_materials(request)
            }

            fn try_decryption_materials(
                &self,
                request: DecryptionRequest<'_>,
            ) -> Option<Result<Unwrapped, Error>> {
                (**self).try_decryption_materials(request)
            }

            fn wrap_data_key(
                &self,
                request: WrapDataKeyRequest<'_>,
            ) -> Result<KeyEntriesBuf, Error> {
                (**self).wrap_data_key(request)
            }

            fn wraps_at_once(&self) -> bool {
                (**self).wraps_at_once()
            }

            fn holds(&self, entry: &KeyEntry<'_>) -> bool {
                (**self).holds(entry)
            }

            fn max_entries_len(&self) -> usize {
                (**self).max_entries_len()
            }
        }
    )*};
}

forward_to_pointee!(Arc, Box);
