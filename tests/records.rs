//! Records: what holds for every payload, and that every change is refused.

mod common;

use std::sync::Arc;

use common::header_store::Giving;
use proptest::prelude::*;
use waxseal::format::{FormatError, Limit, MAX_AAD_LEN, MAX_RECORD_PAYLOAD_LEN, RECORD_OVERHEAD};
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, Error, HeaderId, MemoryHeaderStore, Opener,
    Sealer, Suite,
};

const SUITES: [Suite; 2] = [Suite::Aes256Gcm, Suite::ChaCha20Poly1305];

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

/// A sealer and an opener over one store.
fn pair(envelope: &Envelope) -> (Sealer, Opener) {
    let headers = MemoryHeaderStore::new();
    let sealer = Sealer::new(envelope.clone(), context(), headers.clone());
    (sealer, Opener::new(envelope.clone(), context(), headers))
}

proptest! {
    #[test]
    fn what_is_sealed_opens_in_every_form(
        payload in prop::collection::vec(any::<u8>(), 0..3000),
        aad in prop::collection::vec(any::<u8>(), 0..100),
        suite in prop::sample::select(SUITES.to_vec()),
        shared: bool,
    ) {
        let envelope = if shared { common::sharing_envelope() } else { common::envelope() };
        let (sealer, opener) = pair(&envelope.with_suite(suite));
        let record = sealer.seal(&payload, &aad).unwrap();
        let mut buffer = vec![0x55; payload.len() + RECORD_OVERHEAD + 3];
        let len = sealer.seal_into(&payload, &aad, &mut buffer).unwrap();
        prop_assert_eq!(len, payload.len() + 32);
        prop_assert_eq!(&buffer[len..], [0x55; 3]);
        prop_assert_eq!(record.len(), len);
        prop_assert_ne!(&buffer[..len], &record[..]);
        for record in [&record[..], &buffer[..len]] {
            prop_assert!(record[0] >= 0x80);
            prop_assert_eq!(&*opener.open(record, &aad).unwrap(), &payload[..]);
            let mut plaintext = vec![0x55; payload.len() + 3];
            let len = opener.open_into(record, &aad, &mut plaintext).unwrap();
            prop_assert_eq!(&plaintext[..len], &payload[..]);
            prop_assert_eq!(&plaintext[len..], [0x55; 3]);
        }
    }
}

#[test]
fn many_at_once_in_order() {
    let (sealer, opener) = pair(&common::envelope());
    let rows: Vec<_> = (0..100u32)
        .map(|row| (row.to_string(), row.to_be_bytes()))
        .collect();
    let records = sealer.seal_all(rows.clone()).unwrap();
    let ids: Vec<_> = records.iter().map(|record| &record[..4]).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    let with_aads = |records: &[Vec<u8>]| {
        let aads = rows.iter().map(|(_, aad)| *aad);
        records.iter().cloned().zip(aads).collect::<Vec<_>>()
    };
    let opened = opener.open_all(with_aads(&records)).unwrap();
    for (opened, (plaintext, _)) in opened.iter().zip(&rows) {
        assert_eq!(**opened, *plaintext.as_bytes());
    }
    let mut swapped = records;
    swapped.swap(3, 4);
    let refused = opener.open_all(with_aads(&swapped)).unwrap_err();
    assert!(matches!(refused.error, Error::Decrypt));
    assert_eq!(refused.row, 3);
    assert!(refused.to_string().starts_with("row 3 "), "{refused}");
}

#[test]
fn after_the_first_record_nothing_is_allocated() {
    for suite in SUITES {
        let (sealer, opener) = pair(&common::envelope().with_suite(suite));
        for len in [0, 64, 1000, MAX_RECORD_PAYLOAD_LEN] {
            let payload = vec![7; len];
            let mut record = vec![0; len + RECORD_OVERHEAD];
            let mut opened = vec![0; len];
            let mut round_trip = || {
                sealer.seal_into(&payload, b"row 42", &mut record).unwrap();
                opener.open_into(&record, b"row 42", &mut opened).unwrap();
            };
            round_trip();
            let cost = allocation_counter::measure(round_trip);
            assert_eq!(cost.count_total, 0, "{len} bytes");
        }
    }
}

/// A sealed record and what opens it.
struct Sealed {
    opener: Opener,
    record: Vec<u8>,
}

const PAYLOAD: [u8; 64] = [0xa5; 64];

impl Sealed {
    fn new(suite: Suite) -> Self {
        let (sealer, opener) = pair(&common::envelope().with_suite(suite));
        let record = sealer.seal(&PAYLOAD, b"row 42").unwrap();
        opener.open(&record, b"row 42").unwrap();
        Self { opener, record }
    }

    /// Fails unless `record` is refused in every form, at a cost of at most its size and a little.
    fn refusal(&self, record: &[u8], what: &str) -> Error {
        let mut refused = None;
        let cost = allocation_counter::measure(|| {
            refused = self.opener.open(record, b"row 42").err();
        });
        let refused = refused.expect(what);
        let most = record.len() + 1000;
        assert!(cost.bytes_total <= most as u64, "{what}: {cost:?}");
        let mut buffer = vec![0x55; record.len()];
        let into = self.opener.open_into(record, b"row 42", &mut buffer);
        assert_eq!(into.unwrap_err().to_string(), refused.to_string(), "{what}");
        let untouched = buffer.iter().all(|&byte| byte == 0x55 || byte == 0);
        assert!(untouched, "{what}: the buffer holds something");
        refused
    }
}

#[test]
fn every_bit_is_bound() {
    for suite in SUITES {
        let sealed = Sealed::new(suite);
        for bit in 0..sealed.record.len() * 8 {
            let mut changed = sealed.record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let refused = sealed.refusal(&changed, &format!("bit {bit}"));
            let expected = match bit {
                7 => matches!(refused, Error::Format(FormatError::NotARecord)),
                0..32 => matches!(refused, Error::UnknownHeader { .. }),
                _ => matches!(refused, Error::Decrypt),
            };
            assert!(expected, "bit {bit}: {refused:?}");
        }
    }
}

#[test]
fn every_cut_and_every_extension_is_refused() {
    let sealed = Sealed::new(Suite::Aes256Gcm);
    let record = &sealed.record;
    for len in 0..record.len() {
        let refused = sealed.refusal(&record[..len], &format!("{len} bytes"));
        let expected = match len {
            0..32 => matches!(refused, Error::Format(FormatError::Truncated { .. })),
            _ => matches!(refused, Error::Decrypt),
        };
        assert!(expected, "{len} bytes: {refused:?}");
    }
    for more in (1..100).chain([4096, MAX_RECORD_PAYLOAD_LEN]) {
        for byte in [0, 0xff] {
            let more = vec![byte; more];
            sealed.refusal(&[&record[..], &more].concat(), "bytes behind");
            sealed.refusal(&[&more[..], record].concat(), "bytes in front");
            sealed.refusal(&[&record[..20], &more, &record[20..]].concat(), "within");
        }
    }
    sealed.refusal(&record.repeat(2), "twice");
}

#[test]
fn nothing_opens_with_another_context_aad_or_key() {
    let envelope = common::envelope();
    let headers = MemoryHeaderStore::new();
    let sealer = Sealer::new(envelope.clone(), context(), headers.clone());
    let record = sealer.seal(&PAYLOAD, b"row 42").unwrap();
    let open = |envelope: &Envelope, context, aad: &[u8]| {
        Opener::new(envelope.clone(), context, headers.clone()).open(&record, aad)
    };
    for aad in [&b""[..], b"row 43", b"row 4", b"row 420"] {
        let refused = open(&envelope, context(), aad);
        assert!(matches!(refused, Err(Error::Decrypt)));
    }
    let longer = EncryptionContext::new([("tenant", "acme"), ("x", "")]).unwrap();
    for context in [EncryptionContext::empty(), longer] {
        let refused = open(&envelope, context, b"row 42");
        assert!(matches!(refused, Err(Error::Decrypt)));
    }
    let refused = open(&common::created_key_envelope(), context(), b"row 42");
    assert!(matches!(refused, Err(Error::OtherKey { .. })));
    assert!(open(&envelope, context(), b"row 42").is_ok());
}

#[test]
fn records_messages_and_headers_are_told_apart() {
    let envelope = common::envelope();
    let headers = Arc::new(Giving::default());
    let sealer = Sealer::new(envelope.clone(), context(), Arc::clone(&headers));
    let opener = Opener::new(envelope.clone(), context(), Arc::clone(&headers));
    let record = sealer.seal(&PAYLOAD, b"").unwrap();
    let message = envelope.encrypt(&PAYLOAD, &context()).unwrap();
    let header = headers.headers().remove(0);

    for not_a_record in [&message[..], &message[..20], &header] {
        let refused = opener.open(not_a_record, b"").unwrap_err();
        assert!(matches!(refused, Error::Format(FormatError::NotARecord)));
        assert!(refused.to_string().contains("`decrypt`"), "{refused}");
    }
    let refused = envelope.decrypt(&record, &context()).unwrap_err();
    assert!(matches!(refused, Error::Format(FormatError::NotAMessage)));
    assert!(refused.to_string().contains("record"), "{refused}");
    let refused = envelope.decrypt(&header, &context()).unwrap_err();
    assert!(matches!(refused, Error::Format(FormatError::RecordHeader)));
    assert!(HeaderId::of_record(&message).is_err());
    let id = HeaderId::of_record(&record).unwrap();
    let (parsed, _) = waxseal::format::Header::parse(&header).unwrap();
    assert_eq!(parsed.header_id(), Some(id));
    let (parsed, _) = waxseal::format::Header::parse(&message).unwrap();
    assert_eq!(parsed.header_id(), None);
    let inspection = waxseal::inspect(&header).unwrap();
    assert!(inspection.is_record_header && inspection.is_shared);
    assert_eq!((header.len(), inspection.header_len), (125, 125));
}

fn is_limit<T>(result: Result<T, Error>, limit: Limit, size: u64) -> bool {
    match result.map(drop).unwrap_err() {
        Error::Limit(error) | Error::Format(FormatError::Limit(error)) => {
            error.limit == limit && error.size == size
        }
        _ => false,
    }
}

#[test]
fn payloads_and_associated_data_at_and_over_their_limits() {
    let (sealer, opener) = pair(&common::envelope());
    let long = vec![7; MAX_RECORD_PAYLOAD_LEN + 1];
    let aad = vec![1; MAX_AAD_LEN + 1];
    let mut out = vec![0x55; long.len() + RECORD_OVERHEAD];
    assert!(is_limit(sealer.seal(&long, b""), Limit::Record, 1_048_577));
    let into = sealer.seal_into(&long, b"", &mut out);
    assert!(is_limit(into, Limit::Record, 1_048_577));
    let into = sealer.seal_into(b"", &aad, &mut out);
    assert!(is_limit(into, Limit::AssociatedData, 65537));
    assert!(out.iter().all(|&byte| byte == 0x55));

    let record = sealer.seal(&long[1..], &aad[1..]).unwrap();
    assert_eq!(*opener.open(&record, &aad[1..]).unwrap(), long[1..]);
    let opened = opener.open(&record, &aad);
    assert!(is_limit(opened, Limit::AssociatedData, 65537));
    let longer = [&record[..], &[0]].concat();
    let opened = opener.open(&longer, b"");
    assert!(is_limit(opened, Limit::Record, 1_048_577));
}

#[test]
fn a_buffer_that_is_too_small_is_told_what_is_needed_and_left_alone() {
    let (sealer, opener) = pair(&common::envelope());
    let record = sealer.seal(b"payload", b"").unwrap();
    let mut buffer = [0x55; 38];
    let refused = sealer.seal_into(b"payload", b"", &mut buffer).unwrap_err();
    assert!(matches!(
        refused,
        Error::BufferTooSmall {
            needed: 39,
            len: 38
        }
    ));
    let refused = opener
        .open_into(&record, b"", &mut buffer[..6])
        .unwrap_err();
    assert!(matches!(
        refused,
        Error::BufferTooSmall { needed: 7, len: 6 }
    ));
    assert_eq!(buffer, [0x55; 38]);
}

#[test]
fn required_context_keys_are_required_on_both_sides() {
    let strict = common::envelope().with_required_context_keys(["purpose"]);
    let (sealer, _) = pair(&common::envelope());
    let record = sealer.seal(b"payload", b"").unwrap();
    let (sealer, opener) = pair(&strict);
    let missing = |error| matches!(error, Error::MissingContextKey { key } if key == "purpose");
    assert!(missing(sealer.seal(b"payload", b"").unwrap_err()));
    assert!(missing(opener.open(&record, b"").unwrap_err()));
}

#[test]
fn no_two_records_share_a_nonce() {
    let (sealer, _) = pair(&common::envelope());
    let mut seen = std::collections::HashSet::new();
    for _ in 0..10_000 {
        let record = sealer.seal(b"", b"").unwrap();
        assert!(seen.insert(record[4..16].to_vec()));
    }
}
