//! What is written is what is read.

use super::{keys_of, meta, put, record, scan};
use crate::store::{
    Collection, Expected, KeyStore, MAX_RECORD_ID_LEN, MAX_RECORD_LEN, RecordId, RecordKey,
    Sequence, Transaction,
};

pub(super) fn an_empty_store_has_nothing(store: &dyn KeyStore) {
    assert_eq!(store.latest().unwrap(), Sequence::START);
    assert_eq!(store.get(&meta("any")).unwrap(), None);
    assert!(scan(store, Collection::META, None, 10).is_empty());
    let changes = store.changes(Sequence::START, 10).unwrap();
    assert!(changes.changed.is_empty());
    assert_eq!(
        (changes.through, changes.latest),
        (Sequence::START, Sequence::START)
    );
    store.erase_replaced().unwrap();
    assert!(!store.name().is_empty());
}

pub(super) fn records_come_back_as_they_were(store: &dyn KeyStore) {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let contents = [
        Vec::new(),
        vec![0],
        every_byte,
        vec![0xa5; 5000],
        vec![0x5a; MAX_RECORD_LEN],
    ];
    let key = meta("one");
    let mut expected = Expected::Absent;
    for bytes in contents {
        let sequence = put(store, &key, expected, &bytes);
        assert_eq!(store.get(&key).unwrap(), Some(record(sequence, &bytes)));
        let scanned = scan(store, Collection::META, None, 10);
        assert_eq!(scanned, [(key.id.clone(), record(sequence, &bytes))]);
        expected = Expected::Revision(sequence.into());
    }
}

pub(super) fn every_name_is_a_record_of_its_own(store: &dyn KeyStore) {
    let ids: [&[u8]; 9] = [
        b"a",
        b"A",
        b"aa",
        b"a\0",
        b"\0",
        b"\0\0",
        b"\xff",
        "\u{e9}".as_bytes(),
        &[b'x'; MAX_RECORD_ID_LEN],
    ];
    let keys: Vec<RecordKey> = [Collection::KEYS, Collection::ALIASES]
        .into_iter()
        .flat_map(|collection| {
            ids.iter()
                .map(move |id| RecordKey::new(collection, RecordId::new(id).unwrap()))
        })
        .collect();
    for (number, key) in keys.iter().enumerate() {
        put(store, key, Expected::Absent, &number.to_be_bytes());
    }
    for (number, key) in keys.iter().enumerate() {
        let found = store.get(key).unwrap().expect("the record was written");
        assert_eq!(found.bytes, number.to_be_bytes(), "{key}");
    }
    assert_eq!(scan(store, Collection::KEYS, None, 100).len(), ids.len());
    assert!(scan(store, Collection::META, None, 100).is_empty());
}

pub(super) fn a_scan_is_in_order(store: &dyn KeyStore) {
    let ids: [&[u8]; 8] = [
        b"\0",
        b"\0\0",
        b"\x01",
        b"B",
        b"Ba",
        b"a",
        b"\x80",
        b"\xff\xff",
    ];
    for id in [5, 2, 7, 0, 4, 1, 6, 3].map(|place| ids[place]) {
        for collection in [Collection::ALIASES, Collection::GRANTS] {
            let key = RecordKey::new(collection, RecordId::new(id).unwrap());
            put(store, &key, Expected::Absent, id);
        }
    }
    let scanned = scan(store, Collection::ALIASES, None, 100);
    let found: Vec<&[u8]> = scanned.iter().map(|(id, _)| id.as_bytes()).collect();
    assert_eq!(found, ids);
    assert!(
        scanned
            .iter()
            .all(|(id, record)| record.bytes == id.as_bytes())
    );
    let between = RecordId::new(b"Bz").unwrap();
    let scanned = scan(store, Collection::ALIASES, Some(&between), 2);
    let found: Vec<&[u8]> = scanned.iter().map(|(id, _)| id.as_bytes()).collect();
    assert_eq!(found, [b"a".as_slice(), b"\x80"]);
    assert!(scan(store, Collection::ALIASES, None, 0).is_empty());
}

pub(super) fn pages_of_a_scan_are_complete(store: &dyn KeyStore) {
    let keys: Vec<RecordKey> = (0..10).map(|n| meta(&format!("record-{n}"))).collect();
    for key in &keys {
        put(store, key, Expected::Absent, b"1");
    }
    for key in keys.iter().skip(1).step_by(3) {
        let revision = store.get(key).unwrap().unwrap().revision;
        store
            .commit(&Transaction::new().delete(key.clone(), revision))
            .unwrap();
    }
    let left = keys.iter().enumerate().filter(|(n, _)| n % 3 != 1);
    let left: Vec<&RecordId> = left.map(|(_, key)| &key.id).collect();
    for limit in [1, 2, 3, 100] {
        let mut found: Vec<RecordId> = Vec::new();
        loop {
            let page = scan(store, Collection::META, found.last(), limit);
            let is_last = page.len() < limit;
            found.extend(page.into_iter().map(|(id, _)| id));
            if is_last {
                break;
            }
        }
        assert_eq!(found.iter().collect::<Vec<_>>(), left);
    }
}

pub(super) fn many_records_at_once(store: &dyn KeyStore) {
    const COUNT: u32 = 1000;
    let key = |n: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b1).to_be_bytes());
        RecordKey::new(Collection::KEYS, id.into())
    };
    let all = (0..COUNT).fold(Transaction::new(), |transaction, n| {
        transaction.put(key(n), Expected::Absent, n.to_be_bytes())
    });
    let sequence = store.commit(&all).unwrap();
    for n in (0..COUNT).step_by(97) {
        assert_eq!(
            store.get(&key(n)).unwrap(),
            Some(record(sequence, &n.to_be_bytes()))
        );
    }
    let scanned = scan(store, Collection::KEYS, None, usize::MAX);
    assert_eq!(scanned.len(), 1000);
    assert!(scanned.is_sorted_by(|(a, _), (b, _)| a < b));
}

pub(super) fn nothing_shows_the_bytes(store: &dyn KeyStore) {
    const BYTES: &str = "hunter2-hunter2";
    let key = meta("shown");
    let transaction = Transaction::new().put(key.clone(), Expected::Absent, BYTES);
    store.commit(&transaction).unwrap();
    let conflict = store.commit(&transaction).unwrap_err();
    let found = store.get(&key).unwrap();
    let shown = format!("{store:?} {store:#?} {transaction:?} {conflict:?} {conflict} {found:?}");
    let as_numbers = format!("{:?}", &BYTES.as_bytes()[..4]);
    let as_numbers = as_numbers.trim_matches(['[', ']']);
    assert!(
        !shown.contains("hunter2") && !shown.contains(as_numbers),
        "{shown}"
    );
}

pub(super) fn erasing_what_was_replaced_keeps_the_rest(store: &dyn KeyStore) {
    let [kept, deleted] = ["kept", "deleted"].map(meta);
    let first = put(store, &kept, Expected::Absent, b"1");
    let second = put(store, &deleted, Expected::Absent, b"1");
    let third = put(store, &kept, Expected::Revision(first.into()), b"2");
    let delete = Transaction::new().delete(deleted.clone(), second.into());
    let fourth = store.commit(&delete).unwrap();
    store.erase_replaced().unwrap();
    store.erase_replaced().unwrap();
    assert_eq!(store.get(&kept).unwrap(), Some(record(third, b"2")));
    assert_eq!(store.get(&deleted).unwrap(), None);
    assert_eq!(store.latest().unwrap(), fourth);
    let changes = store.changes(Sequence::START, 10).unwrap();
    assert_eq!(keys_of(&changes), [&kept, &deleted]);
}
