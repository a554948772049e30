//! Messages in memory.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use super::body::BodySettings;
use super::record::{NewHeader, RecordKey};
use super::rewrap::{Rewrap, Rewrapped, room};
use super::sealing::{MessageHeader, Opening, Sealing, check_message, message_len};
use super::whole::{WholeMessage, seal, seal_to};
use super::{EnvelopeEncryptor, MessageOptions, Opened, OpenedInto, Parallelism};
use crate::context::EncryptionContext;
use crate::crypto::Engine;
use crate::error::Error;
use crate::format::{
    COMMITMENT_LEN, Header, Limit, LimitExceeded, MAX_AAD_LEN, SALT_LEN, Suite, body,
};
use crate::keyring::{
    DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring, Unwrapped,
};
use crate::rng::{RandomSource, SystemRandom};

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
    settings: BodySettings,
    required_context_keys: Arc<[String]>,
    room: u16,
    random: Arc<dyn RandomSource>,
}

impl Envelope {
    /// Seals with AES-256-GCM and opens both suites.
    #[must_use]
    pub fn new(keyring: impl Keyring + 'static) -> Self {
        Self {
            keyring: Arc::new(keyring),
            suite: Suite::default(),
            settings: BodySettings::default(),
            required_context_keys: Arc::default(),
            room: 0,
            random: Arc::new(SystemRandom),
        }
    }

    /// Seals with `suite`.
    #[must_use]
    pub fn with_suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// Encrypts and decrypts with `engine`; the bytes are the same.
    #[must_use]
    pub fn with_engine(mut self, engine: Engine) -> Self {
        self.settings.engine = engine;
        self
    }

    /// Seals and opens large payloads on several processors; the bytes are the same.
    #[must_use]
    pub fn with_parallelism(mut self, parallelism: Parallelism) -> Self {
        self.settings.parallelism = parallelism;
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

    /// Reserves so many bytes in the header of every message, at most 4096, for wrapped keys to be
    /// added [in place](crate::Rewrapped::fits_in_place). One more key of software, or of a KMS,
    /// takes 67 to 71 bytes; to replace a wrapped key by one of the same length takes none.
    #[must_use]
    pub fn with_room(mut self, bytes: u16) -> Self {
        self.room = room(bytes);
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

    /// Checks what the caller asks before anything else is done.
    pub(super) fn check(&self, options: MessageOptions<'_>) -> Result<(), Error> {
        LimitExceeded::check(Limit::AssociatedData, options.aad.len(), MAX_AAD_LEN)?;
        let missing = self
            .required_context_keys
            .iter()
            .find(|key| options.context.get(key).is_none());
        missing.map_or(Ok(()), |key| {
            Err(Error::MissingContextKey { key: key.clone() })
        })
    }

    /// Gets the data key of a message with a payload of that length, if it is known.
    fn materials(
        &self,
        options: MessageOptions<'_>,
        payload_len: Option<u64>,
    ) -> Result<EncryptionMaterials, Error> {
        self.check(options)?;
        let request = self.encryption_request(options.context, payload_len);
        self.keyring.encryption_materials(request)
    }

    pub(super) fn keyring(&self) -> &dyn Keyring {
        self.keyring.as_ref()
    }

    pub(super) fn encryption_request<'a>(
        &'a self,
        context: &'a EncryptionContext,
        payload_len: Option<u64>,
    ) -> EncryptionRequest<'a> {
        let mut request = EncryptionRequest::new(context, self.suite, self.random.as_ref());
        request.payload_len = payload_len;
        request
    }

    /// Begins a message with a data key that the keyring gave.
    pub(super) fn sealing(
        &self,
        materials: &EncryptionMaterials,
        options: MessageOptions<'_>,
    ) -> Result<Sealing, Error> {
        let begun = self.message_header(materials)?;
        let mut header = SmallVec::from_elem(0, begun.len()?);
        let body_key = begun.write(options, self.settings, &mut header)?;
        Ok(Sealing { header, body_key })
    }

    fn message_header<'m>(
        &self,
        materials: &'m EncryptionMaterials,
    ) -> Result<MessageHeader<'m>, Error> {
        let header = MessageHeader::new(materials, self.suite, self.random())?;
        Ok(header.with_room(self.room))
    }

    /// Verifies the header of a message with what the keyring found.
    pub(super) fn opening(
        &self,
        header: &Header<'_>,
        unwrapped: Unwrapped,
        options: MessageOptions<'_>,
    ) -> Result<Opening, Error> {
        Opening::new(header, unwrapped, options, self.settings)
    }

    /// Makes a header of records under `context`, with a data key that the keyring gives.
    pub(super) fn begin_records(&self, context: &EncryptionContext) -> Result<NewHeader, Error> {
        self.check(MessageOptions::new(context))?;
        let materials = self
            .keyring
            .encryption_materials(self.encryption_request(context, None))?;
        NewHeader::seal(
            &materials,
            self.suite,
            self.random(),
            context,
            self.settings.engine,
        )
    }

    /// Verifies a header of records under `context` and finds the key of the records.
    pub(super) fn open_record_header(
        &self,
        header: &Header<'_>,
        context: &EncryptionContext,
    ) -> Result<RecordKey, Error> {
        self.check(MessageOptions::new(context))?;
        let request = DecryptionRequest::new(context, header.suite(), header.entries());
        let unwrapped = self.keyring.decryption_materials(request)?;
        RecordKey::open(header, unwrapped, context, self.settings.engine)
    }

    pub(super) fn random(&self) -> &dyn RandomSource {
        self.random.as_ref()
    }

    /// Verifies the header of a whole message and finds what opens its body.
    fn open_whole<'m>(
        &self,
        message: &'m [u8],
        options: MessageOptions<'_>,
    ) -> Result<(WholeMessage<'m>, Opening), Error> {
        self.check(options)?;
        let whole = WholeMessage::parse(message)?;
        let opening = self.begin_opening(&whole.header, options)?;
        Ok((whole, opening))
    }
}

impl EnvelopeEncryptor for Envelope {
    fn encrypt_with(
        &self,
        plaintext: &[u8],
        options: MessageOptions<'_>,
    ) -> Result<Vec<u8>, Error> {
        let materials = self.materials(options, Some(plaintext.len() as u64))?;
        let header = self.message_header(&materials)?;
        seal(&header, plaintext, options, self.settings)
    }

    fn decrypt_with(&self, message: &[u8], options: MessageOptions<'_>) -> Result<Opened, Error> {
        let (whole, opening) = self.open_whole(message, options)?;
        Ok(Opened::new(whole.open(&opening)?, opening.opened_by))
    }

    fn encrypt_into(
        &self,
        plaintext: &[u8],
        options: MessageOptions<'_>,
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let materials = self.materials(options, Some(plaintext.len() as u64))?;
        let header = self.message_header(&materials)?;
        let needed = message_len(header.len()?, plaintext.len())?;
        let message = front_of(out, needed)?;
        seal_to(&header, plaintext, options, self.settings, message)?;
        Ok(needed)
    }

    fn decrypt_into(
        &self,
        message: &[u8],
        options: MessageOptions<'_>,
        out: &mut [u8],
    ) -> Result<OpenedInto, Error> {
        let (whole, opening) = self.open_whole(message, options)?;
        whole.open_to(&opening, front_of(out, whole.payload_len)?)?;
        Ok(OpenedInto::new(whole.payload_len, opening.opened_by))
    }

    fn begin_sealing(&self, options: MessageOptions<'_>) -> Result<Sealing, Error> {
        self.sealing(&self.materials(options, None)?, options)
    }

    fn begin_opening(
        &self,
        header: &Header<'_>,
        options: MessageOptions<'_>,
    ) -> Result<Opening, Error> {
        self.check(options)?;
        check_message(header)?;
        let request = DecryptionRequest::new(options.context, header.suite(), header.entries());
        let unwrapped = self.keyring.decryption_materials(request)?;
        self.opening(header, unwrapped, options)
    }

    fn rewrap_with(
        &self,
        header: &[u8],
        context: &EncryptionContext,
        change: &Rewrap,
    ) -> Result<Rewrapped, Error> {
        let (header, _body) = Header::parse(header)?;
        self.rewrap_header(&header, context, change)
    }

    fn max_message_len(&self, plaintext_len: usize) -> usize {
        let body_len = body::sealed_len(plaintext_len as u64)
            .and_then(|len| usize::try_from(len).ok())
            .unwrap_or(usize::MAX);
        let pad_len = match self.room {
            0 => 0,
            room => 2 + usize::from(room),
        };
        (2 + SALT_LEN + COMMITMENT_LEN + pad_len)
            .saturating_add(self.keyring.max_entries_len())
            .saturating_add(body_len)
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

pub(super) fn front_of(out: &mut [u8], needed: usize) -> Result<&mut [u8], Error> {
    let len = out.len();
    out.get_mut(..needed)
        .ok_or(Error::BufferTooSmall { needed, len })
}
