use std::fmt;
use std::sync::Arc;

use super::cache::{Cache, OpenHeader, Tried, open_with_one};
use super::check_aad;
use super::header_store::HeaderStore;
use super::key::parse_header;
use super::row::{RowError, for_each_row};
use crate::context::EncryptionContext;
use crate::envelope::message::front_of;
use crate::envelope::{Envelope, MessageOptions};
use crate::error::Error;
use crate::fork::PerProcess;
use crate::format::{HeaderId, Limit, LimitExceeded, MAX_CANDIDATE_HEADERS, Record};
use crate::secret::SecretBytes;

/// Opens the records of one context, whichever [`Sealer`](super::Sealer) sealed them; see there for
/// an example.
///
/// The header of a record is looked up in a [`HeaderStore`] and verified once: its wrapped key is
/// unwrapped, and its commitment checked under the context. It is then kept, for
/// [64 headers](Self::with_cache) at a time; opening a record under a kept header asks nobody. So a
/// key that is disabled, and a header that is removed, open their records until the header leaves
/// the cache or the opener is dropped. A forked child begins with none.
///
/// **The store is asked** when no kept header opens the record: for a header that is not kept, and
/// for every record that was changed or is bound to something else. What it answers replaces what
/// was kept under that id; a header that is known by all of its bytes is not verified again, and
/// that a header does not fit is not remembered.
///
/// **Several headers of one id** are all tried, at most 8, and exactly one must open the record.
/// Those that this context and keyring do not verify are passed over. A header and its rewrapped
/// copy have one record key and count as one.
pub struct Opener {
    envelope: Envelope,
    context: EncryptionContext,
    headers: Arc<dyn HeaderStore>,
    cache: PerProcess<Cache>,
}

const DEFAULT_CACHE: usize = 64;

impl Opener {
    /// Opens what was sealed under `context`, with headers from `headers` and the keys of
    /// `envelope`.
    #[must_use]
    pub fn new(
        envelope: Envelope,
        context: EncryptionContext,
        headers: impl HeaderStore + 'static,
    ) -> Self {
        Self {
            envelope,
            context,
            headers: Arc::new(headers),
            cache: PerProcess::new(Cache::new(DEFAULT_CACHE)),
        }
    }

    /// Keeps the headers of `ids` header ids instead of 64: those that were used last. With 0, each
    /// record costs a `get` and a question to the keyring.
    #[must_use]
    pub fn with_cache(mut self, ids: usize) -> Self {
        self.cache = PerProcess::new(Cache::new(ids));
        self
    }

    /// Opens a record that was sealed with `aad`.
    ///
    /// # Errors
    ///
    /// [`Error::Decrypt`] when the context, the associated data or the record is not what it was;
    /// [`Error::Format`] when the bytes are no record, or too few or too many for one;
    /// [`Error::UnknownHeader`] when the store has no header for it; [`Error::OtherKey`];
    /// [`Error::StoredHeader`], [`Error::Limit`] and [`Error::HeaderStore`] when the store has
    /// something else, too much, or does not answer; [`Error::MissingContextKey`]; and what the
    /// keyring says.
    pub fn open(&self, record: &[u8], aad: &[u8]) -> Result<SecretBytes, Error> {
        check_aad(aad)?;
        let record = Record::parse(record)?;
        let mut plaintext = SecretBytes::zeroed(record.ciphertext.len());
        self.open_to(&record, aad, plaintext.as_mut_slice())?;
        Ok(plaintext)
    }

    /// Opens into `out`, which may be longer than the payload, and returns the payload's length.
    /// Does not allocate, but for a header that is not kept. After an error, `out` holds zeros as
    /// far as it was written.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`Error::BufferTooSmall`].
    pub fn open_into(&self, record: &[u8], aad: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        check_aad(aad)?;
        let record = Record::parse(record)?;
        let plaintext = front_of(out, record.ciphertext.len())?;
        self.open_to(&record, aad, plaintext)?;
        Ok(plaintext.len())
    }

    /// Opens pairs of record and associated data, in order; all of them or, after an error, none.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), with the number of the row.
    pub fn open_all<R: AsRef<[u8]>, A: AsRef<[u8]>>(
        &self,
        rows: impl IntoIterator<Item = (R, A)>,
    ) -> Result<Vec<SecretBytes>, RowError> {
        for_each_row(rows, |(record, aad)| {
            self.open(record.as_ref(), aad.as_ref())
        })
    }

    /// Fills all of `plaintext`, with zeros after an error.
    fn open_to(&self, record: &Record<'_>, aad: &[u8], plaintext: &mut [u8]) -> Result<(), Error> {
        match self.cache.get().open(record, aad, plaintext) {
            Tried::OneFits => Ok(()),
            Tried::NoneFits => self.open_from_store(record, aad, plaintext),
            Tried::SeveralFit => Err(Error::Decrypt),
        }
    }

    #[cold]
    fn open_from_store(
        &self,
        record: &Record<'_>,
        aad: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), Error> {
        self.envelope.check(MessageOptions::new(&self.context))?;
        let stored = self.headers.get(record.id)?;
        let mut candidates = Candidates::of(self, record.id, &stored)?;
        self.cache.get().put(record.id, candidates.verified.clone());
        match open_with_one(&candidates.verified, record, aad, plaintext) {
            Tried::OneFits => Ok(()),
            Tried::NoneFits => Err(candidates.refusal(record.id)),
            Tried::SeveralFit => Err(Error::Decrypt),
        }
    }

    /// Verifies a header that the store gave for `id`; `None` if its id is another.
    fn verify(&self, id: HeaderId, bytes: &[u8]) -> Result<Option<OpenHeader>, Error> {
        let (header, own_id) =
            parse_header(bytes).map_err(|source| Error::StoredHeader { id, source })?;
        if own_id != id {
            return Ok(None);
        }
        let key = self.envelope.open_record_header(&header, &self.context)?;
        Ok(Some(OpenHeader {
            bytes: bytes.into(),
            key,
        }))
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("envelope", &self.envelope)
            .field("context", &self.context)
            .field("headers", &self.headers)
            .field("cached", &self.cache.get().len())
            .finish_non_exhaustive()
    }
}

/// What came of the headers that the store gave for one id.
#[derive(Default)]
struct Candidates {
    /// With different keys.
    verified: Vec<Arc<OpenHeader>>,
    /// Why another may have been the one.
    refused: Option<Error>,
}

impl Candidates {
    fn of(opener: &Opener, id: HeaderId, stored: &[Vec<u8>]) -> Result<Self, LimitExceeded> {
        LimitExceeded::check(Limit::Candidates, stored.len(), MAX_CANDIDATE_HEADERS)?;
        let known = opener.cache.get().headers(id);
        let mut candidates = Self::default();
        for bytes in stored {
            let known = known.iter().find(|known| *known.bytes == **bytes);
            match known {
                Some(known) => candidates.add(Arc::clone(known)),
                None => match opener.verify(id, bytes) {
                    Ok(Some(header)) => candidates.add(Arc::new(header)),
                    Ok(None) => {}
                    Err(error) => candidates.refuse(error),
                },
            }
        }
        Ok(candidates)
    }

    fn add(&mut self, header: Arc<OpenHeader>) {
        if !self
            .verified
            .iter()
            .any(|other| other.key.is_same(&header.key))
        {
            self.verified.push(header);
        }
    }

    /// Keeps the error that says the most about what is to be done.
    fn refuse(&mut self, error: Error) {
        let rank = |error: &Error| match error {
            Error::OtherKey { .. } => 0,
            Error::Decrypt => 1,
            Error::StoredHeader { .. } => 2,
            _could_not_be_asked => 3,
        };
        if self
            .refused
            .as_ref()
            .is_none_or(|kept| rank(kept) < rank(&error))
        {
            self.refused = Some(error);
        }
    }

    /// Why a record was refused that none of them opened.
    fn refusal(&mut self, id: HeaderId) -> Error {
        if !self.verified.is_empty() {
            self.refuse(Error::Decrypt);
        }
        self.refused.take().unwrap_or(Error::UnknownHeader { id })
    }
}
