//! The headers of records: made durable first, counted, found again, and not trusted.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::header_store::{Failing, Giving};
use common::vector;
use waxseal::format::{FormatError, KeyEntriesBuf, KeyEntry, Limit};
use waxseal::{
    DecryptionRequest, EncryptionContext, EncryptionMaterials, EncryptionRequest, Envelope,
    EnvelopeEncryptor, Error, HeaderId, HeaderStore, HeaderStoreError, Keyring, MemoryHeaderStore,
    Opener, ProviderError, RandomError, RandomSource, RootKey, Sealer, SingleKeyring, SystemRandom,
    Unwrapped, WrapDataKeyRequest,
};

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

fn sealer(headers: impl HeaderStore + 'static) -> Sealer {
    Sealer::new(common::envelope(), context(), headers)
}

fn opener(headers: impl HeaderStore + 'static) -> Opener {
    Opener::new(common::envelope(), context(), headers)
}

fn id(record: &[u8]) -> HeaderId {
    HeaderId::of_record(record).unwrap()
}

/// The bytes of a header for records, and a record under it.
fn header_and_record(envelope: Envelope) -> (Vec<u8>, Vec<u8>) {
    let headers = Arc::new(Giving::default());
    let record = Sealer::new(envelope, context(), Arc::clone(&headers))
        .seal(b"payload", b"")
        .unwrap();
    (headers.headers().remove(0), record)
}

#[test]
fn without_a_durable_header_there_is_no_record() {
    let sealer = sealer(Failing);
    let mut buffer = [0x55; 40];
    for _ in 0..2 {
        let refused = sealer.seal(b"payload", b"").unwrap_err();
        assert!(matches!(refused, Error::HeaderStore(_)));
        let cause = std::error::Error::source(&refused).unwrap();
        assert_eq!(cause.to_string(), "the disk is full");
        let refused = sealer.seal_into(b"payload", b"", &mut buffer);
        assert!(matches!(refused, Err(Error::HeaderStore(_))));
        assert_eq!(buffer, [0x55; 40]);
    }
    let (_, record) = header_and_record(common::envelope());
    let refused = opener(Failing).open(&record, b"");
    assert!(matches!(refused, Err(Error::HeaderStore(_))));
}

/// Notes what it was given, and fails until it is told not to.
#[derive(Debug, Default)]
struct Mending {
    mended: AtomicBool,
    put: Mutex<Vec<Vec<u8>>>,
}

impl HeaderStore for Mending {
    fn put(&self, _id: HeaderId, header: &[u8]) -> Result<(), HeaderStoreError> {
        self.put.lock().unwrap().push(header.to_vec());
        match self.mended.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(HeaderStoreError::new("not yet")),
        }
    }

    fn get(&self, _id: HeaderId) -> Result<Vec<Vec<u8>>, HeaderStoreError> {
        Ok(self.put.lock().unwrap().clone())
    }
}

#[test]
fn a_header_that_was_not_put_is_never_sealed_under() {
    let headers = Arc::new(Mending::default());
    let sealer = sealer(Arc::clone(&headers));
    assert!(sealer.seal(b"payload", b"").is_err());
    headers.mended.store(true, Ordering::Relaxed);
    let record = sealer.seal(b"payload", b"").unwrap();
    let put = headers.put.lock().unwrap();
    let (failed, kept) = (put[0].clone(), put[1].clone());
    assert_eq!(put.len(), 2);
    let refused = opener(Giving::new([failed])).open(&record, b"");
    assert!(matches!(refused, Err(Error::UnknownHeader { .. })));
    assert!(opener(Giving::new([kept])).open(&record, b"").is_ok());
}

#[test]
fn racing_threads_never_seal_more_records_than_the_limit() {
    let headers = MemoryHeaderStore::new();
    let sealer = sealer(headers.clone()).with_max_records(1000);
    let counts = Mutex::new(BTreeMap::<HeaderId, usize>::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let records = sealer.seal_all(vec![(b"", b""); 2500]).unwrap();
                let mut counts = counts.lock().unwrap();
                for record in records {
                    *counts.entry(id(&record)).or_default() += 1;
                }
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    assert_eq!(headers.len(), 20);
    assert_eq!(counts.len(), 20);
    assert!(counts.values().all(|&count| count == 1000), "{counts:?}");
}

/// Random, but for the first bytes of every salt.
#[derive(Debug)]
struct SameIds;

impl RandomSource for SameIds {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        SystemRandom.fill(buffer)?;
        if buffer.len() == 24 {
            buffer[..4].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
        }
        Ok(())
    }
}

#[test]
fn headers_with_the_same_id_do_no_harm() {
    let headers = Arc::new(Giving::default());
    let envelope = common::envelope().with_random_source(SameIds);
    let tenant = |name: &str| EncryptionContext::new([("tenant", name)]).unwrap();
    let seal = |name| {
        Sealer::new(envelope.clone(), tenant(name), Arc::clone(&headers))
            .seal(b"payload", b"")
            .unwrap()
    };
    let opener = |name| Opener::new(envelope.clone(), tenant(name), Arc::clone(&headers));
    let (acme, other) = (opener("acme"), opener("other"));

    let first = seal("acme");
    assert_eq!(id(&first).to_string(), "92345678");
    acme.open(&first, b"").unwrap();
    assert_eq!(headers.take_gets(), 1);

    // The second header comes after the first was cached.
    let second = seal("acme");
    acme.open(&second, b"").unwrap();
    assert_eq!(headers.take_gets(), 1);
    for record in [&first, &second, &first] {
        assert_eq!(*acme.open(record, b"").unwrap(), *b"payload");
    }
    assert_eq!(headers.take_gets(), 0);

    let foreign = seal("other");
    assert_eq!(*other.open(&foreign, b"").unwrap(), *b"payload");
    assert!(matches!(acme.open(&foreign, b""), Err(Error::Decrypt)));
    assert!(matches!(other.open(&first, b""), Err(Error::Decrypt)));
    assert_eq!(headers.headers().len(), 3);
}

#[test]
fn a_record_that_opens_under_two_headers_is_refused_also_when_they_are_cached() {
    let vector = vector::named("record_two_openings");
    let open = |opener: &Opener| opener.open(&vector.sealed_record, b"");
    let headers = Arc::new(Giving::new(vector.headers[..1].to_vec()));
    let opener = Opener::new(vector.opener(), vector.context(), Arc::clone(&headers));
    let opened = open(&opener).unwrap();
    headers.set(vector.headers.clone());
    // What opens under a cached header is not looked for elsewhere, until something fails.
    assert_eq!(open(&opener).unwrap(), opened);
    let mut changed = vector.sealed_record.clone();
    changed[10] ^= 1;
    assert!(matches!(opener.open(&changed, b""), Err(Error::Decrypt)));
    assert_eq!(headers.take_gets(), 2);
    let mut buffer = [0x55; 100];
    for _ in 0..2 {
        let refused = opener.open_into(&vector.sealed_record, b"", &mut buffer);
        assert!(matches!(refused, Err(Error::Decrypt)));
        assert!(buffer.iter().all(|&byte| byte == 0 || byte == 0x55));
    }
}

#[test]
fn the_store_is_asked_again_until_it_has_the_header() {
    let (header, record) = header_and_record(common::envelope());
    let headers = Arc::new(Giving::default());
    let opener = opener(Arc::clone(&headers));
    for _ in 0..2 {
        let refused = opener.open(&record, b"").unwrap_err();
        let named = refused.to_string();
        assert!(matches!(refused, Error::UnknownHeader { id: found } if found == id(&record)));
        assert!(named.contains(&id(&record).to_string()), "{named}");
    }
    headers.set([header]);
    assert_eq!(*opener.open(&record, b"").unwrap(), *b"payload");
    headers.set([]);
    assert_eq!(*opener.open(&record, b"").unwrap(), *b"payload");
    // A record that does not open shows that the header was removed.
    assert!(opener.open(&record, b"other").is_err());
    assert!(opener.open(&record, b"").is_err());
}

#[test]
fn the_headers_used_last_are_kept() {
    let all = (0..4).map(|_| header_and_record(common::envelope()));
    let (stored, records): (Vec<_>, Vec<_>) = all.unzip();
    let headers = Arc::new(Giving::new(stored));
    let gets_to_open = |opener: &Opener, number: usize| {
        opener.open(&records[number], b"").unwrap();
        headers.take_gets()
    };
    let two = opener(Arc::clone(&headers)).with_cache(2);
    let gets = [0, 1, 0, 2, 0, 1, 2].map(|number| gets_to_open(&two, number));
    assert_eq!(gets, [1, 1, 0, 1, 0, 1, 1]);
    let none = opener(Arc::clone(&headers)).with_cache(0);
    assert_eq!([0, 0, 0].map(|number| gets_to_open(&none, number)), [1; 3]);
    let by_default = opener(Arc::clone(&headers));
    let gets = [0, 1, 2, 3, 0, 1, 2, 3].map(|number| gets_to_open(&by_default, number));
    assert_eq!(gets, [1, 1, 1, 1, 0, 0, 0, 0]);
}

#[test]
fn a_store_that_gives_something_else_is_told_so() {
    let envelope = common::envelope();
    let (header, record) = header_and_record(envelope.clone());
    let message = envelope.encrypt(b"payload", &context()).unwrap();
    let open = |headers: Vec<Vec<u8>>| opener(Giving::new(headers)).open(&record, b"");

    for cut in 0..header.len() {
        let refused = open(vec![header[..cut].to_vec()]).unwrap_err();
        let truncated = matches!(
            refused,
            Error::StoredHeader { source: FormatError::Truncated { .. }, id: named }
                if named == id(&record)
        );
        assert!(truncated, "{cut}: {refused:?}");
    }
    for bit in 0..header.len() * 8 {
        let mut changed = header.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(open(vec![changed.clone()]).is_err(), "bit {bit}");
        let beside = open(vec![changed, header.clone()]);
        assert_eq!(*beside.unwrap(), *b"payload", "bit {bit}");
    }
    let refused = open(vec![message]).unwrap_err();
    assert!(refused.to_string().contains("header store"), "{refused}");
    for garbage in [vec![], vec![0xff; 125], vec![0x11; 70_000]] {
        let refused = open(vec![garbage]);
        assert!(matches!(refused, Err(Error::StoredHeader { .. })));
    }
    let refused = open(vec![header.clone(); 9]).unwrap_err();
    assert!(matches!(refused, Error::Limit(error) if error.limit == Limit::Candidates));
    assert!(open(vec![header; 8]).is_ok());
}

#[test]
fn another_tenants_header_is_passed_over_or_named() {
    let (header, record) = header_and_record(common::envelope().with_random_source(SameIds));
    let other_root = SingleKeyring::software(&RootKey::from_bytes(&[9; 32]));
    let other = Envelope::new(other_root).with_random_source(SameIds);
    let (foreign, _) = header_and_record(other);
    let open = |headers: Vec<Vec<u8>>| opener(Giving::new(headers)).open(&record, b"");
    assert!(open(vec![foreign.clone(), header]).is_ok());
    let refused = open(vec![foreign]);
    assert!(matches!(refused, Err(Error::OtherKey { .. })));
}

/// Counts, and is not available for messages under keys that it does not hold.
#[derive(Debug)]
struct Counting {
    inner: SingleKeyring,
    calls: Arc<AtomicUsize>,
}

impl Keyring for Counting {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.encryption_materials(request)
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match self.inner.decryption_materials(request)? {
            Unwrapped::NotMine => Err(Error::Provider(ProviderError::Unavailable {
                provider: "remote".to_owned(),
                source: "timeout".into(),
            })),
            done => Ok(done),
        }
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        self.inner.wrap_data_key(request)
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        self.inner.holds(entry)
    }

    fn max_entries_len(&self) -> usize {
        self.inner.max_entries_len()
    }
}

#[test]
fn the_keyring_is_asked_once_for_each_header() {
    let calls = Arc::new(AtomicUsize::new(0));
    let keyring = Counting {
        inner: SingleKeyring::software(&RootKey::from_bytes(&common::ROOT_KEY)),
        calls: Arc::clone(&calls),
    };
    let envelope = Envelope::new(keyring).with_random_source(SameIds);
    let headers = Arc::new(Giving::default());
    let sealer = Sealer::new(envelope.clone(), context(), Arc::clone(&headers));
    let opener = Opener::new(envelope, context(), Arc::clone(&headers));
    let records = sealer.seal_all(vec![(b"payload", b""); 100]).unwrap();
    assert_eq!(calls.swap(0, Ordering::Relaxed), 1);
    let with_aads = || records.iter().map(|record| (record, b""));
    opener.open_all(with_aads()).unwrap();
    assert_eq!(calls.swap(0, Ordering::Relaxed), 1);

    // One that cannot be asked about does not keep the right one from opening, and is reported.
    let other_root = SingleKeyring::software(&RootKey::from_bytes(&[9; 32]));
    let other = Envelope::new(other_root).with_random_source(SameIds);
    let (foreign, _) = header_and_record(other);
    headers.set([foreign, headers.headers().remove(0)]);
    let refused = opener.open(&records[0], b"other").unwrap_err();
    assert!(refused.is_retryable(), "{refused:?}");
    assert_eq!(calls.swap(0, Ordering::Relaxed), 1);
    opener.open_all(with_aads()).unwrap();
    assert_eq!(calls.swap(0, Ordering::Relaxed), 0);
}

#[test]
fn one_opener_serves_many_threads_with_few_cached_headers() {
    let headers = MemoryHeaderStore::new();
    let sealer = sealer(headers.clone()).with_max_records(5);
    let records = sealer.seal_all(vec![(b"payload", b"aad"); 40]).unwrap();
    let opener = opener(headers).with_cache(3);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (opener, records) = (&opener, &records);
            scope.spawn(move || {
                for number in 0..400 {
                    let record = &records[(number * 7 + thread * 11) % records.len()];
                    assert_eq!(*opener.open(record, b"aad").unwrap(), *b"payload");
                }
            });
        }
    });
}

#[test]
fn the_store_in_memory_keeps_its_contract() {
    let headers = MemoryHeaderStore::new();
    let (a, b) = (
        HeaderId::from_bytes([0x80, 0, 0, 1]),
        HeaderId::from_bytes([0x80, 0, 0, 2]),
    );
    let behind: Box<dyn HeaderStore> = Box::new(headers.clone());
    for header in [b"one", b"two", b"one"] {
        behind.put(a, header).unwrap();
    }
    assert_eq!(headers.get(a).unwrap(), [b"one", b"two"]);
    assert_eq!(headers.get(b).unwrap(), [[0u8; 0]; 0]);
    assert_eq!((headers.len(), headers.is_empty()), (2, false));
}
