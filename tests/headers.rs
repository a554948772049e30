//! The public codec of headers: parsing then writing gives the same bytes, and limits hold.

mod common;

use common::vector;
use proptest::prelude::*;
use waxseal::format::{
    FormatError, Header, InvalidEntry, InvalidReference, KeyEntriesBuf, Limit, MAX_ENTRY_LEN,
};
use waxseal::{KeyId, KeyReference, KeyVersion, inspect, inspect_front};

proptest! {
    #[test]
    fn an_accepted_header_is_written_as_it_was_read(
        name in prop::sample::select(vec![
            "known_answer", "two_wrapped_keys", "two_deks", "unknown_tag_skipped",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = vector::named(name).message;
        for (index, byte) in changes {
            let position = index.index(bytes.len());
            bytes[position] = byte;
        }
        if let Ok((header, rest)) = Header::parse(&bytes) {
            prop_assert_eq!(header.to_bytes(), &bytes[..bytes.len() - rest.len()]);
            prop_assert_eq!(header.len() + rest.len(), bytes.len());
        }
    }

    #[test]
    fn wrapped_keys_read_back_as_they_were_pushed(
        keys in prop::collection::btree_map("[!-~]{1,40}", prop::collection::vec(any::<u8>(), 1..200), 1..16),
    ) {
        let mut entries = KeyEntriesBuf::new();
        let reference = |key: &str| KeyReference::named("service", key.as_bytes()).unwrap();
        for (key, wrapped) in &keys {
            entries.push(&reference(key), wrapped).unwrap();
        }
        prop_assert_eq!(entries.count(), keys.len());
        for (entry, (key, wrapped)) in entries.as_entries().iter().zip(&keys) {
            prop_assert!(entry.names(&reference(key)));
            prop_assert_eq!(entry.reference(), reference(key));
            prop_assert_eq!(entry.wrapped(), &wrapped[..]);
            prop_assert_eq!(entry.tag(), 127);
        }
    }
}

/// A message header with one entry of tag 101, which is unknown, and `len` bytes in it.
fn header_with_entries(lens: &[usize]) -> Vec<u8> {
    let count = u8::try_from(lens.len() - 1).unwrap();
    let mut bytes = vec![0x11, count << 4];
    for (number, &len) in (0..).zip(lens) {
        let low = u8::try_from(len & 0x7f).unwrap() | 0x80;
        bytes.extend([101, low, u8::try_from(len >> 7).unwrap()]);
        bytes.resize(bytes.len() + len, number);
    }
    bytes.resize(bytes.len() + 32, 0);
    bytes
}

#[test]
fn the_header_limit_at_its_edge() {
    let rest = 65535 - 32 - 2 - 4 * 3 - 3 * MAX_ENTRY_LEN;
    let largest = header_with_entries(&[MAX_ENTRY_LEN, MAX_ENTRY_LEN, MAX_ENTRY_LEN, rest]);
    assert_eq!(largest.len(), 65535);
    let (header, _) = Header::parse(&largest).unwrap();
    assert_eq!((header.len(), header.entries().count()), (65535, 4));
    assert_eq!(header.to_bytes(), largest);

    let over = header_with_entries(&[MAX_ENTRY_LEN, MAX_ENTRY_LEN, MAX_ENTRY_LEN, rest + 1]);
    let Err(FormatError::Limit(error)) = Header::parse(&over) else {
        panic!("accepted");
    };
    assert_eq!((error.limit, error.size), (Limit::Header, 65536));
}

#[test]
fn entries_over_a_limit_or_alike_are_not_added() {
    let key = KeyReference::named("service", b"key").unwrap();
    let mut entries = KeyEntriesBuf::new();
    let prefix = key.prefix().len();
    let error = entries
        .push(&key, &vec![0; MAX_ENTRY_LEN - prefix + 1])
        .unwrap_err();
    assert!(matches!(error, InvalidEntry::Limit(error) if error.limit == Limit::Entry));
    assert_eq!(
        entries.push(&key, &[]),
        Err(InvalidEntry::WrappedLength { len: 0 })
    );
    entries
        .push(&key, &vec![0; MAX_ENTRY_LEN - prefix])
        .unwrap();
    entries.push(&key, b"wrapped").unwrap();
    assert_eq!(entries.push(&key, b"wrapped"), Err(InvalidEntry::Duplicate));
    assert_eq!(entries.count(), 2);
    let software = KeyReference::software(KeyId::from_bytes([1; 16]), KeyVersion::FIRST);
    let error = entries.push(&software, &[0; 47]).unwrap_err();
    assert_eq!(error, InvalidEntry::WrappedLength { len: 47 });
}

#[test]
fn names_of_providers_and_keys_are_checked() {
    for (provider, reference) in [("", "key"), ("two words", "key"), ("é", "key")] {
        let refused = KeyReference::named(provider, reference.as_bytes());
        assert_eq!(refused, Err(InvalidReference::ProviderName));
    }
    let long = "n".repeat(256);
    assert_eq!(
        KeyReference::named(&long, b"key"),
        Err(InvalidReference::ProviderName)
    );
    for len in [0, 256] {
        let refused = KeyReference::named("service", &vec![1; len]);
        assert_eq!(refused, Err(InvalidReference::Reference { len }));
    }
    assert!(KeyReference::named(&long[1..], &[1; 255]).is_ok());
}

#[test]
fn references_show_what_they_name() {
    let id = KeyId::from_bytes([0xab; 16]);
    let version = KeyVersion::new(300).unwrap();
    let hex = "ab".repeat(16);
    assert_eq!(
        KeyReference::software(id, version).to_string(),
        format!("software key {hex} version 300")
    );
    let named = |reference: &[u8]| {
        KeyReference::named("service", reference)
            .unwrap()
            .to_string()
    };
    assert_eq!(named(b"alias/key-1"), "service key alias/key-1");
    assert_eq!(named(b"\x00\xff"), "service key 00ff");
    assert_eq!(KeyVersion::new(0), None);
}

#[test]
fn inspection_is_readable_by_people_and_programs() {
    let message = vector::named("known_answer").message;
    let inspection = inspect(&message).unwrap();
    let id = "92a8c6503eed569a94f2dd09d7b04411";
    assert_eq!(
        inspection.to_string(),
        format!(
            "waxseal message, version 1\n\
             suite        aes-256-gcm\n\
             data key     for this message alone\n\
             wrapped for  software key {id} version 1 (tag 1, 48 bytes)\n\
             header       101 bytes\n\
             body         16 bytes (chunks: 1), 0 bytes once opened"
        )
    );
    let json = serde_json::to_value(&inspection).unwrap();
    assert_eq!(json["suite"], "aes-256-gcm");
    assert_eq!(json["wrapped_keys"][0]["provider"], "software");
    assert_eq!(json["wrapped_keys"][0]["key"], id);
    assert_eq!(json["wrapped_keys"][0]["key_version"], 1);
}

#[test]
fn the_front_of_a_message_is_enough_to_inspect_it() {
    for vector in vector::all().filter(|vector| vector.kind == "message") {
        let Ok(whole) = inspect(&vector.message) else {
            continue;
        };
        let header = usize::try_from(whole.header_len).unwrap();
        let len = vector.message.len() as u64;
        for front in [header, header + 1, vector.message.len()] {
            let front = vector.message.get(..front).unwrap_or(&vector.message);
            assert_eq!(
                inspect_front(front, len),
                Ok(whole.clone()),
                "{}",
                vector.name
            );
        }
        let cut = inspect_front(&vector.message[..header - 1], len);
        assert!(
            matches!(cut, Err(FormatError::Truncated { .. })),
            "{}",
            vector.name
        );
    }
    let message = vector::named("known_answer").message;
    let terabyte = inspect_front(&message, 1 << 40).unwrap();
    assert_eq!(terabyte.body_len, (1 << 40) - 101);
    assert_eq!(inspect_front(&message, 0), inspect(&message));
    let too_long = inspect_front(&message, u64::MAX);
    assert!(
        matches!(too_long, Err(FormatError::Limit(_))),
        "{too_long:?}"
    );
}
