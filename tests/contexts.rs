//! The encryption context: its canonical form, its limits, and what it shows.

use proptest::prelude::*;
use waxseal::{ContextError, EncryptionContext};

#[test]
fn the_canonical_form_is_sorted_by_bytes() {
    let context = EncryptionContext::new([("b", "2"), ("é", "3"), ("B", "1"), ("bb", "")]).unwrap();
    let expected = [
        &[0, 4][..],
        &[0, 1, b'B', 0, 1, b'1'],
        &[0, 1, b'b', 0, 1, b'2'],
        &[0, 2, b'b', b'b', 0, 0],
        &[0, 2, 0xc3, 0xa9, 0, 1, b'3'],
    ]
    .concat();
    assert_eq!(context.canonical(), expected);
    assert_eq!(EncryptionContext::empty().canonical(), [0, 0]);
    assert_eq!(EncryptionContext::default(), EncryptionContext::empty());
}

#[test]
fn limits_at_their_edges() {
    let pairs = |count: usize| (0..count).map(|i| (format!("key-{i}"), ""));
    assert_eq!(EncryptionContext::new(pairs(64)).unwrap().len(), 64);
    assert_eq!(
        EncryptionContext::new(pairs(65)),
        Err(ContextError::TooManyPairs { count: 65 })
    );
    let one = |len: usize| EncryptionContext::new([("k", "v".repeat(len))]);
    assert_eq!(one(8192 - 7).unwrap().canonical().len(), 8192);
    assert_eq!(one(8192 - 6), Err(ContextError::TooLong { len: 8193 }));
    assert_eq!(one(100_000), Err(ContextError::TooLong { len: 100_007 }));
    assert_eq!(
        EncryptionContext::new([("", "v")]),
        Err(ContextError::EmptyKey)
    );
    let twice = EncryptionContext::new([("k", "1"), ("k", "1")]);
    assert_eq!(twice, Err(ContextError::DuplicateKey { key: "k".into() }));
}

#[test]
fn debug_shows_keys_and_no_values() {
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    assert_eq!(format!("{context:?}"), r#"{"tenant": [redacted]}"#);
}

proptest! {
    #[test]
    fn different_pairs_have_different_canonical_forms(
        a in prop::collection::btree_map("[ab]{1,3}", "[ab]{0,3}", 0..4),
        b in prop::collection::btree_map("[ab]{1,3}", "[ab]{0,3}", 0..4),
    ) {
        let context = |pairs: &std::collections::BTreeMap<String, String>| {
            EncryptionContext::new(pairs.clone()).unwrap()
        };
        let (x, y) = (context(&a), context(&b));
        prop_assert_eq!(a == b, x.canonical() == y.canonical());
        prop_assert_eq!(a == b, x == y);
        let pairs: Vec<_> = x.iter().collect();
        prop_assert!(pairs.is_sorted());
        prop_assert_eq!(pairs.len(), a.len());
        prop_assert!(a.iter().all(|(key, value)| x.get(key) == Some(value)));
    }
}
