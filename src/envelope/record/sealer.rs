use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::check_aad;
use super::header_store::HeaderStore;
use super::key::{NewHeader, RecordKey};
use super::row::{RowError, for_each_row};
use crate::context::EncryptionContext;
use crate::crypto::{NONCE_LEN, Rejected};
use crate::envelope::Envelope;
use crate::envelope::message::front_of;
use crate::error::Error;
use crate::fork::{ForkGuard, ForkableState, PerProcess};
use crate::format::{
    HeaderId, LimitExceeded, MAX_RECORDS_PER_HEADER, RECORD_OVERHEAD, check_record_payload_len,
};

/// Seals small payloads of one context: many records under one header, which goes to a
/// [`HeaderStore`].
///
/// A record is 32 bytes longer than its payload, of at most 1 MiB, and sealing it asks no keyring.
/// The keyring is asked for one data key when the first record is sealed, and again after
/// [2^32 records](Self::with_max_records) or in a forked child, always for a new header.
///
/// Records do not say where they belong: put what identifies the row, such as table and primary key,
/// into the associated data, or a record moved to another row opens there.
///
/// ```
/// use waxseal::{
///     EncryptionContext, Envelope, MemoryHeaderStore, Opener, RootKey, Sealer, SingleKeyring,
/// };
///
/// let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate()?));
/// let context = EncryptionContext::new([("tenant", "acme"), ("column", "users.email")])?;
/// let headers = MemoryHeaderStore::new();
///
/// let sealer = Sealer::new(envelope.clone(), context.clone(), headers.clone());
/// let record = sealer.seal(b"zoe@example.com", b"user 42")?;
/// assert_eq!(record.len(), 15 + 32);
///
/// let opener = Opener::new(envelope, context, headers);
/// assert_eq!(*opener.open(&record, b"user 42")?, *b"zoe@example.com");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It is meant to live as long as the process and to be shared between its threads.
pub struct Sealer {
    envelope: Envelope,
    context: EncryptionContext,
    headers: Arc<dyn HeaderStore>,
    max_records: u64,
    state: PerProcess<State>,
}

impl Sealer {
    /// Seals under headers that `envelope` makes for `context`, and keeps them in `headers`. Nothing
    /// is made or asked before the first record.
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
            max_records: MAX_RECORDS_PER_HEADER,
            state: PerProcess::new(State::default()),
        }
    }

    /// Seals at most `max` records under one header, instead of 2^32, which is also the most.
    ///
    /// Lower it to have record keys change more often: each new header costs one question to the
    /// keyring and one `put`.
    #[must_use]
    pub fn with_max_records(mut self, max: u64) -> Self {
        self.max_records = max.clamp(1, MAX_RECORDS_PER_HEADER);
        self
    }

    /// Seals `plaintext`, at most 1048576 bytes, bound to `aad`, at most 65536 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`]. Where a header must be made first: [`Error::HeaderStore`],
    /// [`Error::MissingContextKey`], and what the keyring says. [`Error::Random`].
    pub fn seal(&self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        check(plaintext, aad)?;
        let mut record = vec![0; plaintext.len() + RECORD_OVERHEAD];
        self.seal_to(plaintext, aad, &mut record)?;
        Ok(record)
    }

    /// Seals into `out`, which may be longer than the record, and returns the record's length. Does
    /// not allocate, but for a new header.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal), and [`Error::BufferTooSmall`].
    pub fn seal_into(&self, plaintext: &[u8], aad: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        check(plaintext, aad)?;
        let record = front_of(out, plaintext.len() + RECORD_OVERHEAD)?;
        self.seal_to(plaintext, aad, record)?;
        Ok(record.len())
    }

    /// Seals pairs of plaintext and associated data, in order; all of them or, after an error, none.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal), with the number of the row.
    pub fn seal_all<P: AsRef<[u8]>, A: AsRef<[u8]>>(
        &self,
        rows: impl IntoIterator<Item = (P, A)>,
    ) -> Result<Vec<Vec<u8>>, RowError> {
        for_each_row(rows, |(plaintext, aad)| {
            self.seal(plaintext.as_ref(), aad.as_ref())
        })
    }

    /// Writes all of `record`.
    fn seal_to(&self, plaintext: &[u8], aad: &[u8], record: &mut [u8]) -> Result<(), Error> {
        let mut nonce = [0; NONCE_LEN];
        self.envelope.random().fill(&mut nonce)?;
        let state = self.state.get();
        {
            let current = state.current.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(current) = current.as_deref()
                && current.reserve_one(self.max_records)
            {
                return current.seal(&nonce, plaintext, aad, record);
            }
        }
        self.renew(state)?.seal(&nonce, plaintext, aad, record)
    }

    /// Gives a header under which one record is reserved for the caller.
    fn renew(&self, state: &State) -> Result<Arc<Current>, Error> {
        let _one_at_a_time = state
            .renewing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let current = state.current.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(renewed) = current
            .as_ref()
            .filter(|renewed| renewed.reserve_one(self.max_records))
        {
            return Ok(Arc::clone(renewed));
        }
        drop(current);
        let fork_guard = ForkGuard::new();
        let NewHeader { id, bytes, key } = self.envelope.begin_records(&self.context)?;
        self.headers.put(id, &bytes)?;
        let renewed = Arc::new(Current {
            id,
            key,
            reserved: AtomicU64::new(1),
            fork_guard,
        });
        let mut current = state
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let exhausted = current.replace(Arc::clone(&renewed));
        drop(current);
        drop(exhausted);
        Ok(renewed)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("envelope", &self.envelope)
            .field("context", &self.context)
            .field("headers", &self.headers)
            .field("max_records", &self.max_records)
            .finish_non_exhaustive()
    }
}

fn check(plaintext: &[u8], aad: &[u8]) -> Result<(), LimitExceeded> {
    check_aad(aad)?;
    check_record_payload_len(plaintext.len())
}

#[derive(Default)]
struct State {
    current: RwLock<Option<Arc<Current>>>,
    /// Held by the one thread that makes a new header.
    renewing: Mutex<()>,
}

impl ForkableState for State {
    fn for_child(&self) -> Self {
        Self::default()
    }

    fn try_clear(&self) -> bool {
        self.current
            .try_write()
            .map(|mut current| *current = None)
            .is_ok()
    }
}

/// The header that is sealed under now; it is in the store.
struct Current {
    id: HeaderId,
    key: RecordKey,
    /// The records that were begun. Once it is over the limit it means nothing more.
    reserved: AtomicU64,
    fork_guard: ForkGuard,
}

impl Current {
    /// Whether one more record may be sealed, which then must not be counted again.
    fn reserve_one(&self, max_records: u64) -> bool {
        !self.fork_guard.is_forked() && self.reserved.fetch_add(1, Ordering::Relaxed) < max_records
    }

    /// Seals a record that was reserved.
    fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        plaintext: &[u8],
        aad: &[u8],
        record: &mut [u8],
    ) -> Result<(), Error> {
        self.key
            .seal_record(self.id, nonce, aad, plaintext, record)
            .map_err(|Rejected| LimitExceeded::record(plaintext.len()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryHeaderStore, RootKey, SingleKeyring};

    fn sealer(headers: &MemoryHeaderStore) -> Sealer {
        let root_key = RootKey::from_bytes(&[7; 32]);
        let envelope = Envelope::new(SingleKeyring::software(&root_key));
        Sealer::new(envelope, EncryptionContext::empty(), headers.clone())
    }

    fn set_reserved(sealer: &Sealer, reserved: u64) {
        let current = sealer.state.get().current.read().unwrap();
        let current = current.as_ref().unwrap();
        current.reserved.store(reserved, Ordering::Relaxed);
    }

    #[test]
    fn the_record_number_two_to_the_32_is_the_last_under_its_header() {
        let headers = MemoryHeaderStore::new();
        for sealer in [
            sealer(&headers),
            sealer(&headers).with_max_records(u64::MAX),
        ] {
            let id = |record: &[u8]| HeaderId::of_record(record).unwrap();
            let first = sealer.seal(b"", b"").unwrap();
            set_reserved(&sealer, (1 << 32) - 1);
            let last = sealer.seal(b"", b"").unwrap();
            assert_eq!(id(&last), id(&first));
            let next = sealer.seal(b"", b"").unwrap();
            assert_ne!(id(&next), id(&first));
            assert_eq!(id(&sealer.seal(b"", b"").unwrap()), id(&next));
        }
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn a_limit_of_no_records_is_one_of_one() {
        let headers = MemoryHeaderStore::new();
        let sealer = sealer(&headers).with_max_records(0);
        for made in 1..4 {
            sealer.seal(b"", b"").unwrap();
            assert_eq!(headers.len(), made);
        }
    }
}
