//! An accepted header serialises to the bytes that it was parsed from.

#![no_main]

use libfuzzer_sys::fuzz_target;
use waxseal::format::{Header, KeyEntriesBuf};

fuzz_target!(|bytes: &[u8]| {
    let inspected = waxseal::inspect(bytes);
    let Ok((header, rest)) = Header::parse(bytes) else {
        assert!(inspected.is_err());
        return;
    };
    assert_eq!(header.to_bytes(), bytes[..bytes.len() - rest.len()]);
    assert_eq!(header.len() + rest.len(), bytes.len());

    let mut rebuilt = KeyEntriesBuf::new();
    for entry in header.entries() {
        rebuilt.push(&entry.reference(), entry.wrapped()).unwrap();
    }
    assert_eq!(rebuilt.as_entries().as_bytes(), header.entries().as_bytes());
});
