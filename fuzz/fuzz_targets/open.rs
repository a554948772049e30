//! Nothing opens but what was sealed: not arbitrary bytes, and not a sealed message with edits.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, MessageOptions, RootKey, SingleKeyring,
};

struct Sealed {
    envelope: Envelope,
    context: EncryptionContext,
    message: Vec<u8>,
}

static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let root_key = RootKey::from_bytes(&std::array::from_fn(|i| i as u8));
    let envelope = Envelope::new(SingleKeyring::software(&root_key));
    let context = EncryptionContext::new([("tenant", "a")]).unwrap();
    let message = envelope.encrypt(&[7; 17_000], &context).unwrap();
    Sealed {
        envelope,
        context,
        message,
    }
});

fuzz_target!(|bytes: &[u8]| {
    opens_alike_in_both_forms(bytes);
    refuses_edits(bytes);
});

fn opens_alike_in_both_forms(message: &[u8]) {
    let options = MessageOptions::new(&SEALED.context);
    let mut buffer = vec![0x55; message.len()];
    let into = SEALED.envelope.decrypt_into(message, options, &mut buffer);
    match SEALED.envelope.decrypt_with(message, options) {
        Ok(opened) => assert_eq!(*opened.plaintext, buffer[..into.unwrap().len]),
        Err(error) => assert_eq!(error.to_string(), into.unwrap_err().to_string()),
    }
}

/// Takes the input as edits of a sealed message: position, length removed, bytes inserted.
fn refuses_edits(mut edits: &[u8]) {
    let mut message = SEALED.message.clone();
    while let [high, low, removed, inserted, rest @ ..] = edits {
        let from = usize::from(u16::from_be_bytes([*high, *low])).min(message.len());
        let to = (from + usize::from(*removed)).min(message.len());
        let (new, rest) = rest.split_at(rest.len().min(usize::from(*inserted)));
        message.splice(from..to, new.iter().copied());
        edits = rest;
    }
    let opened = SEALED.envelope.decrypt(&message, &SEALED.context);
    assert_eq!(opened.is_ok(), message == SEALED.message);
}
