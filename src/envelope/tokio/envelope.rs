use tokio::task::{spawn_blocking, yield_now};

use crate::audit::PendingRecords;
use crate::context::EncryptionContext;
use crate::crypto::Rejected;
use crate::envelope::body::BodyCipher;
use crate::envelope::sealing::{Opening, Sealing, check_message, message_len};
use crate::envelope::{
    Envelope, EnvelopeEncryptor, MessageOptions, Opened, Rewrap, Rewrapped, WholeMessage,
};
use crate::error::Error;
use crate::format::body::{CHUNK_LEN, SEALED_CHUNK_LEN};
use crate::format::{Header, LimitExceeded, MAX_HEADER_LEN};
use crate::keyring::DecryptionRequest;
use crate::kms::KmsError;
use crate::provider::ProviderError;
use crate::secret::SecretBytes;

/// Chunks that are sealed or opened between two points at which other tasks may run: 256 KiB.
const CHUNKS_BETWEEN_YIELDS: usize = 16;

/// An [`Envelope`] for async code: the same messages, without blocking the runtime.
///
/// While the data key is at hand, or a software provider wraps it, all runs in place; where a
/// provider must be asked, the keyring is called on a blocking thread. Large payloads let other
/// tasks run every 256 KiB.
///
/// Under a key of a [`Kms`](crate::Kms) with an audit trail, no thread waits for a record: thousands
/// of operations share a write to the disk, and each goes on when its own record is durable, not
/// before. If that fails, the audit error is all that it gives, whatever the KMS said. What a
/// [`CachingKeyring`](crate::CachingKeyring) is to keep, and what a keyring asks for that goes on to
/// another key where the first cannot record, is waited for on a blocking thread.
///
/// Needs a Tokio runtime. Every future may be dropped at any await: its message is lost, and
/// nothing else.
///
/// ```
/// use waxseal::{AsyncEnvelope, EncryptionContext, Envelope, RootKey, SingleKeyring};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate()?));
/// let envelope = AsyncEnvelope::new(envelope);
/// let context = EncryptionContext::new([("tenant", "acme")])?;
/// let message = envelope.encrypt(b"a payload", &context).await?;
/// assert_eq!(*envelope.decrypt(&message, &context).await?, *b"a payload");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct AsyncEnvelope {
    envelope: Envelope,
}

impl AsyncEnvelope {
    /// Takes the envelope, with its keyring and settings.
    #[must_use]
    pub fn new(envelope: Envelope) -> Self {
        Self { envelope }
    }

    /// As [`EnvelopeEncryptor::encrypt`](crate::EnvelopeEncryptor::encrypt).
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn encrypt(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>, Error> {
        self.encrypt_with(plaintext, MessageOptions::new(context))
            .await
    }

    /// As [`EnvelopeEncryptor::decrypt`](crate::EnvelopeEncryptor::decrypt).
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn decrypt(
        &self,
        message: &[u8],
        context: &EncryptionContext,
    ) -> Result<SecretBytes, Error> {
        let opened = self.decrypt_with(message, MessageOptions::new(context));
        Ok(opened.await?.plaintext)
    }

    /// As [`EnvelopeEncryptor::encrypt_with`](crate::EnvelopeEncryptor::encrypt_with).
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn encrypt_with(
        &self,
        plaintext: &[u8],
        options: MessageOptions<'_>,
    ) -> Result<Vec<u8>, Error> {
        let over = |Rejected| LimitExceeded::payload(plaintext.len() as u64);
        let sealing = self
            .begin_sealing(options, Some(plaintext.len() as u64))
            .await?;
        let mut message = vec![0; message_len(sealing.header.len(), plaintext.len())?];
        let (header, body) = message
            .split_at_mut_checked(sealing.header.len())
            .ok_or(over(Rejected))?;
        header.copy_from_slice(&sealing.header);
        let cipher = BodyCipher::new(&sealing.body_key);
        let (mut number, mut plain, mut sealed) = (0, plaintext, body);
        while plain.len() >= CHUNKS_BETWEEN_YIELDS * CHUNK_LEN {
            let (now, later) = plain.split_at(CHUNKS_BETWEEN_YIELDS * CHUNK_LEN);
            let (to, room) = sealed
                .split_at_mut_checked(CHUNKS_BETWEEN_YIELDS * SEALED_CHUNK_LEN)
                .ok_or(over(Rejected))?;
            cipher.seal_full(number, now, to).map_err(over)?;
            number += CHUNKS_BETWEEN_YIELDS as u64;
            (plain, sealed) = (later, room);
            yield_now().await;
        }
        cipher.seal(number, plain, sealed).map_err(over)?;
        Ok(message)
    }

    /// As [`EnvelopeEncryptor::decrypt_with`](crate::EnvelopeEncryptor::decrypt_with).
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn decrypt_with(
        &self,
        message: &[u8],
        options: MessageOptions<'_>,
    ) -> Result<Opened, Error> {
        self.envelope.check(options)?;
        let whole = WholeMessage::parse(message)?;
        let opening = self.begin_opening(message, &whole.header, options).await?;
        let mut plaintext = SecretBytes::zeroed(whole.payload_len);
        let cipher = BodyCipher::new(&opening.body_key);
        let (mut number, mut sealed, mut plain) = (0, whole.body, plaintext.as_mut_slice());
        while sealed.len() >= CHUNKS_BETWEEN_YIELDS * SEALED_CHUNK_LEN {
            let (now, later) = sealed.split_at(CHUNKS_BETWEEN_YIELDS * SEALED_CHUNK_LEN);
            let (to, room) = plain
                .split_at_mut_checked(CHUNKS_BETWEEN_YIELDS * CHUNK_LEN)
                .ok_or(Error::Decrypt)?;
            let opened = cipher.open_full(number, now, to);
            opened.map_err(|Rejected| Error::Decrypt)?;
            number += CHUNKS_BETWEEN_YIELDS as u64;
            (sealed, plain) = (later, room);
            yield_now().await;
        }
        let opened = cipher.open(number, sealed, plain);
        opened.map_err(|Rejected| Error::Decrypt)?;
        Ok(Opened::new(plaintext, opening.opened_by))
    }

    /// As [`EnvelopeEncryptor::rewrap`](crate::EnvelopeEncryptor::rewrap).
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn rewrap(
        &self,
        header: &[u8],
        context: &EncryptionContext,
    ) -> Result<Rewrapped, Error> {
        self.rewrap_with(header, context, &Rewrap::new()).await
    }

    /// As [`EnvelopeEncryptor::rewrap_with`](crate::EnvelopeEncryptor::rewrap_with), always on a
    /// thread for what blocks: a rewrap asks for keys of the past, which are seldom at hand.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn rewrap_with(
        &self,
        header: &[u8],
        context: &EncryptionContext,
        change: &Rewrap,
    ) -> Result<Rewrapped, Error> {
        let envelope = self.envelope.clone();
        let front = header.get(..MAX_HEADER_LEN).unwrap_or(header).to_vec();
        let (context, change) = (context.clone(), change.clone());
        off_the_runtime(move || envelope.rewrap_with(&front, &context, &change)).await?
    }

    pub(super) async fn begin_sealing(
        &self,
        options: MessageOptions<'_>,
        payload_len: Option<u64>,
    ) -> Result<Sealing, Error> {
        self.envelope.check(options)?;
        let at_hand = Answer::recorded_in(|pending| {
            let envelope = &self.envelope;
            let mut request = envelope.encryption_request(options.context, payload_len);
            request.pending = Some(pending);
            envelope.keyring().try_encryption_materials(request)
        });
        let materials = match at_hand.when_durable().await? {
            Some(materials) => materials?,
            None => {
                let envelope = self.envelope.clone();
                let context = options.context.clone();
                let asked = off_the_runtime(move || {
                    Answer::recorded_in(|pending| {
                        let mut request = envelope.encryption_request(&context, payload_len);
                        request.pending = Some(pending);
                        envelope.keyring().encryption_materials(request)
                    })
                });
                asked.await?.when_durable().await??
            }
        };
        self.envelope.sealing(&materials, options)
    }

    /// Begins to open a message; `front` are its bytes, from the header on.
    pub(super) async fn begin_opening(
        &self,
        front: &[u8],
        header: &Header<'_>,
        options: MessageOptions<'_>,
    ) -> Result<Opening, Error> {
        self.envelope.check(options)?;
        check_message(header)?;
        let at_hand = Answer::recorded_in(|pending| {
            let mut request =
                DecryptionRequest::new(options.context, header.suite(), header.entries());
            request.pending = Some(pending);
            self.envelope.keyring().try_decryption_materials(request)
        });
        let unwrapped = match at_hand.when_durable().await? {
            Some(unwrapped) => unwrapped?,
            None => {
                let envelope = self.envelope.clone();
                let context = options.context.clone();
                let front = front.get(..header.len()).unwrap_or_default().to_vec();
                let asked = off_the_runtime(move || {
                    Answer::recorded_in(|pending| {
                        let (header, _) = Header::parse(&front)?;
                        let mut request =
                            DecryptionRequest::new(&context, header.suite(), header.entries());
                        request.pending = Some(pending);
                        envelope.keyring().decryption_materials(request)
                    })
                });
                asked.await?.when_durable().await??
            }
        };
        self.envelope.opening(header, unwrapped, options)
    }
}

/// What a keyring said, which nobody may know before it is on record.
struct Answer<T> {
    said: T,
    pending: PendingRecords,
}

impl<T> Answer<T> {
    /// Asks a keyring, which leaves its records to be waited for.
    fn recorded_in(ask: impl FnOnce(&PendingRecords) -> T) -> Self {
        let pending = PendingRecords::default();
        Self {
            said: ask(&pending),
            pending,
        }
    }

    /// Waits for the records. If one fails, that is all that there is to tell.
    async fn when_durable(self) -> Result<T, Error> {
        self.pending.durable().await.map_err(KmsError::from)?;
        Ok(self.said)
    }
}

/// Runs what may block on a thread for that.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(|failed| {
        Error::Provider(ProviderError::Unavailable {
            provider: "asked".to_owned(),
            source: failed.into(),
        })
    })
}
