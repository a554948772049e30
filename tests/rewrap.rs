//! Who can open a message is changed in its header.

mod common;

use common::{SharingKeyring, envelope};
use proptest::prelude::*;
use waxseal::format::{Header, KeyReference};
use waxseal::{
    DecryptReader, EncryptWriter, EncryptionContext, Envelope, EnvelopeEncryptor, Error,
    FormatError, KeyId, KeyVersion, MemoryHeaderStore, MessageOptions, Opener, Rewrap, RewrapJob,
    Rewrapped, RootKey, Sealer, SingleKeyring, Suite,
};

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).unwrap()
}

fn keyring(number: u8) -> SingleKeyring {
    SingleKeyring::software(&RootKey::from_bytes(&[number; 32]))
}

fn key(number: u8) -> KeyReference {
    keyring(number).key().clone()
}

fn keys(message: &[u8]) -> Vec<KeyReference> {
    let (header, _) = Header::parse(message).unwrap();
    header
        .entries()
        .iter()
        .map(|entry| entry.reference())
        .collect()
}

/// The message behind its new header.
fn applied(message: &[u8], rewrapped: &Rewrapped) -> Vec<u8> {
    let mut message = message.to_vec();
    message.splice(..rewrapped.replaces, rewrapped.header.iter().copied());
    message
}

fn rewrap(message: &[u8], with: &Envelope, change: &Rewrap) -> Vec<u8> {
    let rewrapped = with.rewrap_with(message, &context(), change).unwrap();
    applied(message, &rewrapped)
}

#[test]
fn a_message_goes_from_key_to_key() {
    let (one, two) = (Envelope::new(keyring(1)), Envelope::new(keyring(2)));
    let options_context = context();
    let options = MessageOptions::new(&options_context).with_aad(b"row 42");
    let message = one.encrypt_with(b"payload", options).unwrap();

    let moved = rewrap(&message, &one, &Rewrap::to(keyring(2)));
    assert_eq!(keys(&moved), [key(2)]);
    assert_eq!(moved.len(), message.len());
    assert_eq!(moved[101..], message[101..], "the body is as it was");
    assert_eq!(
        *two.decrypt_with(&moved, options).unwrap().plaintext,
        *b"payload"
    );
    assert!(matches!(
        one.decrypt_with(&moved, options),
        Err(Error::OtherKey { .. })
    ));

    let both = rewrap(&message, &one, &Rewrap::keeping().add_key(keyring(2)));
    assert_eq!(keys(&both), [key(1), key(2)]);
    for envelope in [&one, &two] {
        assert_eq!(
            *envelope.decrypt_with(&both, options).unwrap().plaintext,
            *b"payload"
        );
    }
    let without = rewrap(&both, &two, &Rewrap::keeping().remove_key(key(1)));
    assert_eq!(keys(&without), [key(2)]);
    assert_eq!(without.len(), both.len(), "there is room now");
    assert_eq!(
        *two.decrypt_with(&without, options).unwrap().plaintext,
        *b"payload"
    );
    assert!(matches!(
        one.decrypt_with(&without, options),
        Err(Error::OtherKey { .. })
    ));
}

#[test]
fn what_is_as_it_should_be_stays_as_it_is() {
    let one = Envelope::new(keyring(1));
    for room in [0, 100] {
        let message = one
            .clone()
            .with_room(room)
            .encrypt(b"x", &context())
            .unwrap();
        for change in [
            Rewrap::new(),
            Rewrap::keeping(),
            Rewrap::to(keyring(1)),
            Rewrap::new().add_key(keyring(1)).with_room(500),
            Rewrap::keeping().remove_key(key(2)),
        ] {
            let rewrapped = one.rewrap_with(&message, &context(), &change).unwrap();
            assert!(!rewrapped.is_changed, "{change:?}");
            assert!(rewrapped.fits_in_place());
            assert_eq!(rewrapped.header, message[..rewrapped.replaces]);
        }
        assert!(!one.rewrap(&message, &context()).unwrap().is_changed);
    }
}

#[test]
fn the_place_and_the_bytes_of_what_stays_are_kept() {
    let message = Envelope::new(keyring(1)).encrypt(b"x", &context()).unwrap();
    let mut message = message;
    for number in [2, 3, 4] {
        let change = Rewrap::keeping().add_key(keyring(number));
        message = rewrap(&message, &Envelope::new(keyring(1)), &change);
    }
    assert_eq!(keys(&message), [key(1), key(2), key(3), key(4)]);
    let two = Envelope::new(keyring(2));
    let change = Rewrap::to(keyring(5))
        .add_key(keyring(6))
        .add_key(keyring(3));
    let changed = rewrap(&message, &two, &change);
    assert_eq!(keys(&changed), [key(1), key(5), key(6), key(3), key(4)]);
    let entries = |message: &[u8]| {
        let (header, _) = Header::parse(message).unwrap();
        header
            .entries()
            .iter()
            .map(|entry| (entry.reference(), entry.wrapped().to_vec()))
            .collect::<Vec<_>>()
    };
    for entry in entries(&message) {
        assert_eq!(entries(&changed).contains(&entry), entry.0 != key(2));
    }
}

/// A message of the vectors with an entry of a tag that nobody knows.
#[test]
fn wrapped_keys_of_unknown_kinds_are_kept_unless_they_are_named() {
    let vector = common::vector::named("unknown_tag_skipped");
    let envelope = Envelope::new(vector.keyring());
    let unknown = keys(&vector.message)
        .into_iter()
        .find(|key| !key.is_software())
        .unwrap();
    let apply = |change: &Rewrap| {
        let rewrapped = envelope
            .rewrap_with(&vector.message, &vector.context(), change)
            .unwrap();
        applied(&vector.message, &rewrapped)
    };
    let moved = apply(&Rewrap::to(keyring(2)));
    assert!(keys(&moved).contains(&unknown));
    let plaintext = envelope
        .decrypt(&vector.message, &vector.context())
        .unwrap();
    let two = Envelope::new(keyring(2));
    assert_eq!(two.decrypt(&moved, &vector.context()).unwrap(), plaintext);
    let without = apply(&Rewrap::keeping().remove_key(unknown.clone()));
    assert!(!keys(&without).contains(&unknown));
    assert_eq!(
        envelope.decrypt(&without, &vector.context()).unwrap(),
        plaintext
    );
}

#[test]
fn the_header_is_verified_first() {
    let one = Envelope::new(keyring(1)).with_required_context_keys(["tenant"]);
    let message = one.encrypt(b"x", &context()).unwrap();
    let other = EncryptionContext::new([("tenant", "other")]).unwrap();
    assert!(matches!(one.rewrap(&message, &other), Err(Error::Decrypt)));
    let refused = one.rewrap(&message, &EncryptionContext::empty());
    assert!(matches!(refused, Err(Error::MissingContextKey { .. })));
    let refused = Envelope::new(keyring(2)).rewrap(&message, &context());
    assert!(matches!(refused, Err(Error::OtherKey { .. })));
    for position in 0..101 {
        let mut changed = message.clone();
        changed[position] ^= 1;
        assert!(one.rewrap(&changed, &context()).is_err(), "byte {position}");
        let cut = one.rewrap(&message[..position], &context());
        assert!(
            matches!(cut, Err(Error::Format(FormatError::Truncated { .. }))),
            "{position}"
        );
    }
    // The body is not looked at.
    let mut changed = message.clone();
    changed[105] ^= 1;
    for front in [&changed[..], &message[..101]] {
        assert!(!one.rewrap(front, &context()).unwrap().is_changed);
    }
}

#[test]
fn no_rewrap_leaves_a_message_that_nobody_opens() {
    let one = Envelope::new(keyring(1));
    let message = one.encrypt(b"x", &context()).unwrap();
    for change in [
        Rewrap::keeping().remove_key(key(1)),
        Rewrap::new().remove_key(key(1)),
        Rewrap::to(keyring(2)).remove_key(key(1)).remove_key(key(2)),
    ] {
        let refused = one.rewrap_with(&message, &context(), &change);
        assert!(matches!(refused, Err(Error::RemovesEveryKey)), "{change:?}");
    }
    let mut change = Rewrap::keeping();
    for number in 2..=17 {
        change = change.add_key(keyring(number));
    }
    let refused = one.rewrap_with(&message, &context(), &change);
    assert!(matches!(refused, Err(Error::Entry(_))));
}

#[test]
fn room_keeps_the_length_as_long_as_there_is_any() {
    let one = Envelope::new(keyring(1)).with_room(140);
    let message = one.encrypt(&[7; 100], &context()).unwrap();
    assert_eq!(message.len(), one.max_message_len(100) - 24);
    let pad = |message: &[u8]| Header::parse(message).unwrap().0.pad_len();
    assert_eq!(pad(&message), Some(140));
    let two = rewrap(&message, &one, &Rewrap::keeping().add_key(keyring(2)));
    assert_eq!((two.len(), pad(&two)), (message.len(), Some(73)));
    let three = rewrap(&two, &one, &Rewrap::keeping().add_key(keyring(3)));
    assert_eq!((three.len(), pad(&three)), (message.len(), Some(6)));
    let change = Rewrap::keeping().add_key(keyring(4)).with_room(9999);
    let four = rewrap(&three, &one, &change);
    assert_eq!(pad(&four), Some(4096));
    // And back: the room is there again.
    let change = Rewrap::keeping().remove_key(key(2)).remove_key(key(3));
    let back = rewrap(&three, &one, &change);
    assert_eq!(back, message);
    // Where there was no room, a header that gets shorter gets it.
    let message = Envelope::new(keyring(1)).encrypt(b"", &context()).unwrap();
    let two = rewrap(&message, &one, &Rewrap::keeping().add_key(keyring(2)));
    assert_eq!((two.len(), pad(&two)), (message.len() + 67, None));
    let less = rewrap(&two, &one, &Rewrap::keeping().remove_key(key(2)));
    assert_eq!((less.len(), pad(&less)), (two.len(), Some(65)));
    for message in [back, four, less] {
        assert!(one.decrypt(&message, &context()).is_ok());
    }
}

#[test]
fn headers_of_records_and_shared_data_keys_keep_their_mode() {
    let headers = MemoryHeaderStore::new();
    let one = Envelope::new(keyring(1));
    let record = Sealer::new(one.clone(), context(), headers.clone())
        .seal(b"payload", b"aad")
        .unwrap();
    let id = waxseal::HeaderId::of_record(&record).unwrap();
    let header = waxseal::HeaderStore::get(&headers, id).unwrap().remove(0);
    let rewrapped = one
        .rewrap_with(&header, &context(), &Rewrap::to(keyring(2)))
        .unwrap();
    let moved = MemoryHeaderStore::new();
    waxseal::HeaderStore::put(&moved, id, &rewrapped.header).unwrap();
    let opener = Opener::new(Envelope::new(keyring(2)), context(), moved);
    assert_eq!(*opener.open(&record, b"aad").unwrap(), *b"payload");

    let shared = Envelope::new(SharingKeyring::new(keyring(1), &[9; 32]))
        .with_suite(Suite::ChaCha20Poly1305);
    let message = shared.encrypt(b"payload", &context()).unwrap();
    let moved = rewrap(&message, &shared, &Rewrap::to(keyring(2)));
    assert!(Header::parse(&moved).unwrap().0.is_shared());
    assert_eq!(
        *Envelope::new(keyring(2))
            .decrypt(&moved, &context())
            .unwrap(),
        *b"payload"
    );
}

#[test]
fn a_stream_with_room_opens_too() {
    let one = Envelope::new(keyring(1)).with_room(67);
    let context = context();
    let options = MessageOptions::new(&context);
    let mut writer = EncryptWriter::new(&one, Vec::new(), options).unwrap();
    std::io::Write::write_all(&mut writer, &[5; 40_000]).unwrap();
    let message = writer.finish().unwrap();
    let rewrapped = one
        .rewrap_with(&message, &context, &Rewrap::keeping().add_key(keyring(2)))
        .unwrap();
    assert!(rewrapped.fits_in_place());
    let message = applied(&message, &rewrapped);
    let two = Envelope::new(keyring(2));
    let mut payload = Vec::new();
    let mut reader = DecryptReader::new(&two, message.as_slice(), options).unwrap();
    std::io::Read::read_to_end(&mut reader, &mut payload).unwrap();
    assert_eq!(payload, [5; 40_000]);
}

#[test]
fn an_iterator_of_rows_is_rewrapped() {
    let one = Envelope::new(keyring(1));
    let mut rows: Vec<Vec<u8>> = (0..10)
        .map(|row| one.encrypt(&[row], &context()).unwrap())
        .collect();
    rows[3] = b"no message".to_vec();
    rows[4][80] ^= 1;
    for (round, rewrapped) in [(1, 8), (2, 0)] {
        let before = rows.clone();
        let items = before
            .iter()
            .enumerate()
            .map(|(row, bytes)| Ok((row, &bytes[..], context())));
        let job = RewrapJob::new(&one, Rewrap::keeping().add_key(keyring(2)));
        let report = job.run::<_, _, std::io::Error>(items, |row, rewrapped| {
            rows[*row] = applied(&before[*row], &rewrapped);
            Ok(())
        });
        assert_eq!(
            (report.looked_at, report.rewrapped),
            (10, rewrapped),
            "{round}"
        );
        assert_eq!((report.other, report.failed), (1, 1), "{report}");
        assert_eq!(report.failures[0].item, "4");
    }
    let two = Envelope::new(keyring(2));
    assert_eq!(*two.decrypt(&rows[9], &context()).unwrap(), [9]);
}

#[test]
fn an_envelope_of_the_tests_forwards() {
    let boxed: Box<dyn EnvelopeEncryptor> = Box::new(envelope());
    let message = boxed.encrypt(b"x", &context()).unwrap();
    assert!(!boxed.rewrap(&message, &context()).unwrap().is_changed);
    assert_ne!(
        key(1),
        KeyReference::software(KeyId::from_bytes([0; 16]), KeyVersion::FIRST)
    );
}

proptest! {
    #[test]
    fn open_of_rewrap_is_open(
        payload in prop::collection::vec(any::<u8>(), 0..200),
        room in 0..300u16,
        changes in prop::collection::vec((1..6u8, 0..4u8, 0..200u16), 0..6),
    ) {
        let mut message = Envelope::new(keyring(1)).with_room(room).encrypt(&payload, &context()).unwrap();
        let body = message[Header::parse(&message).unwrap().0.len()..].to_vec();
        let mut holder = 1;
        for (number, kind, room) in changes {
            let change = match kind {
                0 => Rewrap::to(keyring(number)),
                1 => Rewrap::keeping().add_key(keyring(number)),
                2 => Rewrap::keeping().remove_key(key(number)),
                _ => Rewrap::new(),
            };
            let envelope = Envelope::new(keyring(holder));
            match envelope.rewrap_with(&message, &context(), &change.with_room(room)) {
                Ok(rewrapped) => {
                    message = applied(&message, &rewrapped);
                    let held = keys(&message);
                    holder = (1..6).find(|number| held.contains(&key(*number))).unwrap();
                }
                Err(error) => prop_assert!(matches!(error, Error::RemovesEveryKey), "{}", error),
            }
            let (header, rest) = Header::parse(&message).unwrap();
            prop_assert_eq!(&rest, &body);
            prop_assert_eq!(header.to_bytes(), &message[..header.len()]);
            let opened = Envelope::new(keyring(holder)).decrypt(&message, &context()).unwrap();
            prop_assert_eq!(&*opened, &payload[..]);
        }
    }
}
