//! A rewrap changes the header alone, whatever the message and the changes: the body's bytes stay, and
//! what opened opens to the same.

#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use waxseal::format::Header;
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, Error, Rewrap, RootKey, SingleKeyring,
};

#[derive(Debug, Arbitrary)]
struct Input {
    payload: Vec<u8>,
    room: u16,
    changes: Vec<Change>,
    /// Instead of the header, if there are any.
    garbage: Vec<u8>,
    /// Of the header.
    flip: Option<(u16, u8)>,
}

#[derive(Debug, Arbitrary)]
enum Change {
    To(u8, u16),
    Add(u8, u16),
    Remove(u8),
    Renew,
}

const KEYS: u8 = 4;

static KEYRINGS: LazyLock<Vec<SingleKeyring>> = LazyLock::new(|| {
    let keyring = |number| SingleKeyring::software(&RootKey::from_bytes(&[number; 32]));
    (0..KEYS).map(keyring).collect()
});

static CONTEXT: LazyLock<EncryptionContext> =
    LazyLock::new(|| EncryptionContext::new([("tenant", "a")]).unwrap());

fn keyring(number: u8) -> SingleKeyring {
    KEYRINGS[usize::from(number % KEYS)].clone()
}

fuzz_target!(|input: Input| {
    refuses_garbage(&input.garbage);
    let envelope = Envelope::new(keyring(0)).with_room(input.room);
    let mut message = envelope.encrypt(&input.payload, &CONTEXT).unwrap();
    let body = split(&message).1.to_vec();
    for change in &input.changes {
        let change = match *change {
            Change::To(number, room) => Rewrap::to(keyring(number)).with_room(room),
            Change::Add(number, room) => Rewrap::keeping().add_key(keyring(number)).with_room(room),
            Change::Remove(number) => Rewrap::keeping().remove_key(keyring(number).key().clone()),
            Change::Renew => Rewrap::new(),
        };
        match holder(&message).rewrap_with(&message, &CONTEXT, &change) {
            Ok(rewrapped) => {
                message.splice(..rewrapped.replaces, rewrapped.header);
            }
            Err(error) => assert!(matches!(error, Error::RemovesEveryKey), "{error}"),
        }
        assert_eq!(split(&message).1, body);
        assert_eq!(*holder(&message).decrypt(&message, &CONTEXT).unwrap(), input.payload[..]);
    }
    if let Some((position, bits)) = input.flip {
        let header_len = split(&message).0;
        let mut changed = message.clone();
        changed[usize::from(position) % header_len] ^= bits;
        let envelope = holder(&message);
        let rewrapped = envelope.rewrap(&changed, &CONTEXT);
        assert_eq!(rewrapped.is_ok(), bits == 0);
    }
});

/// What is no header, or not ours, is refused and not written again.
fn refuses_garbage(bytes: &[u8]) {
    for number in 0..KEYS {
        let envelope = Envelope::new(keyring(number));
        assert!(envelope.rewrap(bytes, &CONTEXT).is_err());
    }
}

fn split(message: &[u8]) -> (usize, &[u8]) {
    let (header, body) = Header::parse(message).unwrap();
    (header.len(), body)
}

/// An envelope with one of the keys that the message names.
fn holder(message: &[u8]) -> Envelope {
    let (header, _) = Header::parse(message).unwrap();
    let held = KEYRINGS
        .iter()
        .find(|keyring| header.entries().iter().any(|entry| entry.names(keyring.key())));
    Envelope::new(held.unwrap().clone())
}
