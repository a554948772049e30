//! The calls that promise not to allocate do not.

mod common;

use waxseal::{EncryptionContext, EnvelopeEncryptor, MessageOptions};

#[test]
fn sealing_and_opening_into_a_buffer_allocates_nothing() {
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    let options = MessageOptions::new(&context).with_aad(b"row 42");
    for envelope in [common::envelope(), common::created_key_envelope()] {
        for len in [0, 64, 16384, 100_000] {
            let payload = vec![7; len];
            let mut message = vec![0; envelope.max_message_len(len)];
            let mut opened = vec![0; len];
            let mut round_trip = || {
                let len = envelope
                    .encrypt_into(&payload, options, &mut message)
                    .unwrap();
                envelope
                    .decrypt_into(&message[..len], options, &mut opened)
                    .unwrap();
            };
            round_trip();
            let cost = allocation_counter::measure(round_trip);
            assert_eq!(cost.count_total, 0, "{len} bytes");
        }
    }
}

#[test]
fn the_allocating_calls_allocate_once() {
    let (envelope, context) = (common::envelope(), EncryptionContext::empty());
    let payload = vec![7; 100_000];
    let mut message = envelope.encrypt(&payload, &context).unwrap();
    let sealing = allocation_counter::measure(|| {
        message = envelope.encrypt(&payload, &context).unwrap();
    });
    assert_eq!(sealing.count_total, 1);
    assert_eq!(sealing.bytes_total, message.len() as u64);
    let opening = allocation_counter::measure(|| {
        envelope.decrypt(&message, &context).unwrap();
    });
    assert_eq!(opening.count_total, 1);
    assert_eq!(opening.bytes_total, payload.len() as u64);
}
