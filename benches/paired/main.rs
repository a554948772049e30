//! The message path held against the raw cipher: the figures that the project claims.
//!
//! `cargo bench --bench paired`. Prints how fast a message is sealed and opened in a caller's
//! buffer, and as a stream, as a share of the speed of the AEAD alone (`engine/mod.rs`); with
//! `--features rayon`, also what more threads bring.

#[path = "../engine/mod.rs"]
mod engine;
#[path = "../pairs/mod.rs"]
mod pairs;
mod report;
mod streams;

use std::hint::black_box;

use engine::{Aes256Gcm, ChaCha20Poly1305, Cipher, Engine};
use pairs::compare;
use report::{report, rounds};
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, MessageOptions, RootKey, SingleKeyring, Suite,
};

const ROUNDS: usize = 400;

fn main() {
    for len in [64 * 1024, 1024 * 1024] {
        against::<Aes256Gcm>(Suite::Aes256Gcm, "", len);
        against::<ChaCha20Poly1305>(Suite::ChaCha20Poly1305, "_chacha", len);
    }
    streams::measure();
}

fn against<C: Cipher>(suite: Suite, suffix: &str, len: usize) {
    let root_key = RootKey::generate().expect("the system has randomness");
    let envelope = Envelope::new(SingleKeyring::software(&root_key)).with_suite(suite);
    let context = EncryptionContext::new([("tenant", "acme")]).expect("one short pair");
    let options = MessageOptions::new(&context);
    let engine = Engine::<C>::new();

    let payload = vec![0x5a; len];
    let mut message = vec![0; envelope.max_message_len(len)];
    let mut sealed = vec![0; Engine::<C>::sealed_len(len)];
    let mut message_len = 0;
    let seal = compare(
        rounds(ROUNDS),
        || {
            message_len = envelope
                .encrypt_into(black_box(&payload), options, black_box(&mut message))
                .expect("it seals");
        },
        || engine.seal(black_box(&payload), black_box(&mut sealed)),
    );
    report(&format!("seal_in_place{suffix}"), len, &seal);

    let message = &message[..message_len];
    let mut message_payload = vec![0; len];
    let mut engine_payload = vec![0; len];
    let open = compare(
        rounds(ROUNDS),
        || {
            envelope
                .decrypt_into(black_box(message), options, black_box(&mut message_payload))
                .expect("it opens");
        },
        || engine.open(black_box(&sealed), black_box(&mut engine_payload)),
    );
    report(&format!("open_in_place{suffix}"), len, &open);
}
