//! Messages in memory.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroize;

use super::derive::MessageKeys;
use super::{EnvelopeEncryptor, MessageOptions, Opened, OpenedInto};
use crate::error::Error;
use crate::format::{
    COMMITMENT_LEN, FormatError, Header, HeaderKind, HeaderParts, Limit, LimitExceeded,
    MAX_AAD_LEN, MAX_HEADER_LEN, SALT_LEN, Suite, body,
};
use crate::keyring::{
    DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring, Reuse, Unwrapped,
};
use crate::rng::{RandomSource, SystemRandom};
use crate::secret::SecretBytes;

/// Seals and opens messages with the data keys of a [`Keyring`].
///
/// ```
/// use waxseal::{EncryptionContext, Envelope, EnvelopeEncryptor, RootKey, SingleKeyring};
///
/// let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate()?))
///     .with_required_context_keys(["tenant"]);
/// let context = EncryptionContext::new([("tenant", "acme")])?;
///
/// let message = envelope.encrypt(b"the payload", &context)?;
/// assert_eq!(*envelope.decrypt(&message, &context)?, *b"the payload");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Envelope {
    keyring: Arc<dyn Keyring>,
    suite: Suite,
    required_context_keys: Arc<[String]>,
    random: Arc<dyn RandomSource>,
}

impl Envelope {
    /// Seals with AES-256-GCM and opens both suites.
    #[must_use]
    pub fn new(keyring: impl Keyring + 'static) -> Self {
        Self {
            keyring: Arc::new(keyring),
            suite: Suite::default(),
            required_context_keys: Arc::default(),
            random: Arc::new(SystemRandom),
        }
    }

    /// Seals with `suite`.
    #[must_use]
    pub fn with_suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// Neither seals nor opens without these keys in the context, such as `tenant`: a safeguard
    /// against forgetting one.
    #[must_use]
    pub fn with_required_context_keys<K: Into<String>>(
        mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Self {
        self.required_context_keys = keys.into_iter().map(Into::into).collect();
        self
    }

    /// Takes data keys and salts from `random` in place of [`SystemRandom`].
    ///
    /// A source that repeats itself destroys the secrecy of everything sealed with it.
    #[must_use]
    pub fn with_random_source(mut self, random: impl RandomSource + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    fn check(&self, options: MessageOptions<'_>) -> Result<(), Error> {
        LimitExceeded::check(Limit::AssociatedData, options.aad.len(), MAX_AAD_LEN)?;
        let missing = self
            .required_context_keys
            .iter()
            .find(|key| options.context.get(key).is_none());
        missing.map_or(Ok(()), |key| {
            Err(Error::MissingContextKey { key: key.clone() })
        })
    }

    /// Gets the data key for a message and lays out its header.
    fn prepare<T>(
        &self,
        plaintext_len: usize,
        options: MessageOptions<'_>,
        seal: impl FnOnce(Preparation<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.check(options)?;
        body::check_payload_len(plaintext_len as u64)?;
        let materials = self.keyring.encryption_materials(EncryptionRequest::new(
            options.context,
            self.suite,
            self.random.as_ref(),
        ))?;
        if materials.entries().count() == 0 {
            return Err(Error::NoWrappedKey);
        }
        let mut salt = [0; SALT_LEN];
        let salt = match materials.reuse() {
            Reuse::Fresh => None,
            Reuse::Shared => {
                self.random.fill(&mut salt)?;
                Some(&salt)
            }
        };
        let header = HeaderParts {
            suite: self.suite,
            kind: HeaderKind::Message,
            salt,
            entries: materials.entries(),
            pad: None,
        };
        LimitExceeded::check(Limit::Header, header.len(), MAX_HEADER_LEN)?;
        seal(Preparation {
            header,
            materials: &materials,
            body_len: body_len(plaintext_len)?,
        })
    }

    /// Verifies the header of a message and finds what opens its body.
    fn open<T>(
        &self,
        message: &[u8],
        options: MessageOptions<'_>,
        open: impl FnOnce(Opening<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.check(options)?;
        let (header, body) = Header::parse(message)?;
        if header.kind() == HeaderKind::Record {
            return Err(FormatError::RecordHeader.into());
        }
        let payload_len = body::payload_len(body.len() as u64)?;
        let request = DecryptionRequest::new(options.context, header.suite(), header.entries());
        let Unwrapped::Done(materials) = self.keyring.decryption_materials(request)? else {
            return Err(Error::OtherKey {
                message_keys: header
                    .entries()
                    .iter()
                    .map(|entry| entry.reference())
                    .collect(),
            });
        };
        let keys = MessageKeys::new(materials.data_key());
        keys.verify(&header, options.context)?;
        open(Opening {
            cipher: keys.body_cipher(header.parts(), options),
            body,
            payload_len: usize::try_from(payload_len).map_err(|_| Error::Decrypt)?,
            opened_by: materials.entry(),
        })
    }
}

impl EnvelopeEncryptor for Envelope {
    fn encrypt_with(
        &self,
        plaintext: &[u8],
        options: MessageOptions<'_>,
    ) -> Result<Vec<u8>, Error> {
        self.prepare(plaintext.len(), options, |preparation| {
            let mut message = vec![0; preparation.message_len()?];
            preparation.seal(plaintext, options, &mut message)?;
            Ok(message)
        })
    }

    fn decrypt_with(&self, message: &[u8], options: MessageOptions<'_>) -> Result<Opened, Error> {
        self.open(message, options, |opening| {
            let mut plaintext = SecretBytes::zeroed(opening.payload_len);
            opening.open(plaintext.as_mut_slice())?;
            Ok(Opened::new(plaintext, opening.opened_by))
        })
    }

    fn encrypt_into(
        &self,
        plaintext: &[u8],
        options: MessageOptions<'_>,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        self.prepare(plaintext.len(), options, |preparation| {
            let needed = preparation.message_len()?;
            preparation.seal(plaintext, options, front_of(out, needed)?)?;
            Ok(needed)
        })
    }

    fn decrypt_into(
        &self,
        message: &[u8],
        options: MessageOptions<'_>,
        out: &mut [u8],
    ) -> Result<OpenedInto, Error> {
        self.open(message, options, |opening| {
            opening.open(front_of(out, opening.payload_len)?)?;
            Ok(OpenedInto::new(opening.payload_len, opening.opened_by))
        })
    }

    fn max_message_len(&self, plaintext_len: usize) -> usize {
        let header = 2 + SALT_LEN + COMMITMENT_LEN;
        header
            .saturating_add(self.keyring.max_entries_len())
            .saturating_add(body_len(plaintext_len).unwrap_or(usize::MAX))
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("keyring", &self.keyring)
            .field("suite", &self.suite)
            .field("required_context_keys", &self.required_context_keys)
            .finish_non_exhaustive()
    }
}

/// A message about to be sealed.
struct Preparation<'a> {
    header: HeaderParts<'a>,
    materials: &'a EncryptionMaterials,
    body_len: usize,
}

impl Preparation<'_> {
    fn message_len(&self) -> Result<usize, Error> {
        let header_len = self.header.len();
        header_len
            .checked_add(self.body_len)
            .ok_or_else(|| too_long(self.body_len))
    }

    /// Seals to `message`, which has the length of the message.
    fn seal(
        &self,
        plaintext: &[u8],
        options: MessageOptions<'_>,
        message: &mut [u8],
    ) -> Result<(), Error> {
        let no_room = |needed| Error::BufferTooSmall { needed, len: 0 };
        let (header, body) = message
            .split_at_mut_checked(self.header.len())
            .ok_or_else(|| no_room(self.header.len()))?;
        let (uncommitted, commitment) = header
            .split_last_chunk_mut::<COMMITMENT_LEN>()
            .ok_or_else(|| no_room(COMMITMENT_LEN))?;
        self.header
            .write_uncommitted(uncommitted)
            .map_err(|_| no_room(self.header.len()))?;
        let keys = MessageKeys::new(self.materials.data_key());
        *commitment = *keys.commitment(options.context, uncommitted);
        keys.body_cipher(&self.header, options)
            .seal(plaintext, body)
            .map_err(|_| too_long(plaintext.len()))
    }
}

/// A message whose header is verified.
struct Opening<'a> {
    cipher: super::body::BodyCipher,
    body: &'a [u8],
    payload_len: usize,
    opened_by: usize,
}

impl Opening<'_> {
    /// Opens to `payload`, which has the length of the payload and holds zeros after a failure.
    fn open(&self, payload: &mut [u8]) -> Result<(), Error> {
        self.cipher.open(self.body, payload).map_err(|_| {
            payload.zeroize();
            Error::Decrypt
        })
    }
}

fn front_of(out: &mut [u8], needed: usize) -> Result<&mut [u8], Error> {
    let len = out.len();
    out.get_mut(..needed)
        .ok_or(Error::BufferTooSmall { needed, len })
}

fn body_len(plaintext_len: usize) -> Result<usize, Error> {
    body::sealed_len(plaintext_len as u64)
        .and_then(|len| usize::try_from(len).ok())
        .ok_or_else(|| too_long(plaintext_len))
}

fn too_long(plaintext_len: usize) -> Error {
    LimitExceeded {
        limit: Limit::Payload,
        size: plaintext_len as u64,
        max: body::MAX_PAYLOAD_LEN,
    }
    .into()
}
