//! The message path held against the raw cipher: the figures that the project claims.
//!
//! `cargo bench --bench paired`. Prints how fast a message is sealed and opened in a caller's
//! buffer, as a share of the speed of the AEAD alone (`engine/mod.rs`).

mod engine;
mod pairs;

use std::cell::RefCell;
use std::hint::black_box;
use std::io::{Read, Write};

use engine::{Aes256Gcm, ChaCha20Poly1305, Cipher, Engine};
use pairs::{Comparison, compare, quartiles};
use waxseal::{
    DecryptReader, EncryptWriter, EncryptionContext, Envelope, EnvelopeEncryptor, MessageOptions,
    RootKey, SingleKeyring, Suite,
};

const ROUNDS: usize = 400;
const STREAM_ROUNDS: usize = 15;

fn main() {
    for len in [64 * 1024, 1024 * 1024] {
        against::<Aes256Gcm>(Suite::Aes256Gcm, "", len);
        against::<ChaCha20Poly1305>(Suite::ChaCha20Poly1305, "_chacha", len);
    }
    streams_in_cache();
    streams();
}

/// Streams of as many bytes from and to a few MiB that are used again and again: what streaming
/// costs beside the cipher, without what the memory behind it costs.
fn streams_in_cache() {
    let len = 256 * 1024 * 1024;
    let piece = vec![0x5a; 1024 * 1024];
    let pieces = len / piece.len();
    let root_key = RootKey::generate().expect("the system has randomness");
    let envelope = Envelope::new(SingleKeyring::software(&root_key));
    let context = EncryptionContext::new([("tenant", "acme")]).expect("one short pair");
    let options = MessageOptions::new(&context);
    let message_pieces = 8;
    let message = envelope
        .encrypt_with(&piece.repeat(message_pieces), options)
        .expect("it seals");
    let engine = Engine::<Aes256Gcm>::new();
    let engine_sealed = RefCell::new(vec![0; Engine::<Aes256Gcm>::sealed_len(piece.len())]);
    let opened = RefCell::new(vec![0; piece.len()]);
    let rounds = rounds().min(STREAM_ROUNDS);

    let comparison = compare(
        rounds,
        || {
            let sink = Ring::new(2 * piece.len());
            let mut writer = EncryptWriter::new(&envelope, sink, options).expect("it begins");
            for _ in 0..pieces {
                writer.write_all(black_box(&piece)).expect("it seals");
            }
            writer.finish().expect("it ends");
        },
        || {
            for _ in 0..pieces {
                engine.seal(black_box(&piece), &mut engine_sealed.borrow_mut());
            }
        },
    );
    report("stream/seal in cache", len, &comparison);
    let comparison = compare(
        rounds,
        || {
            for _ in 0..pieces / message_pieces {
                let mut reader =
                    DecryptReader::new(&envelope, &message[..], options).expect("it begins");
                for _ in 0..message_pieces {
                    reader
                        .read_exact(&mut opened.borrow_mut())
                        .expect("it opens");
                }
            }
        },
        || {
            for _ in 0..pieces {
                engine.open(&engine_sealed.borrow(), &mut opened.borrow_mut());
            }
        },
    );
    report("stream/open in cache", len, &comparison);
}

/// Keeps the last bytes that were written to it.
struct Ring {
    bytes: Vec<u8>,
    at: usize,
}

impl Ring {
    fn new(len: usize) -> Self {
        Self {
            bytes: vec![0; len],
            at: 0,
        }
    }
}

impl Write for Ring {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let len = bytes.len().min(self.bytes.len() - self.at);
        self.bytes[self.at..self.at + len].copy_from_slice(&bytes[..len]);
        self.at = (self.at + len) % self.bytes.len();
        Ok(len)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Streams from memory to memory: each byte is copied once more than by the engine.
fn streams() {
    let len = 256 * 1024 * 1024;
    let root_key = RootKey::generate().expect("the system has randomness");
    let envelope = Envelope::new(SingleKeyring::software(&root_key));
    let context = EncryptionContext::new([("tenant", "acme")]).expect("one short pair");
    let options = MessageOptions::new(&context);
    let engine = Engine::<Aes256Gcm>::new();
    let payload = vec![0x5a; len];
    let message = RefCell::new(vec![0; envelope.max_message_len(len)]);
    let engine_sealed = RefCell::new(vec![0; Engine::<Aes256Gcm>::sealed_len(len)]);
    let opened = RefCell::new(vec![0; len]);

    let seal = |envelope: &Envelope| {
        let mut message = message.borrow_mut();
        let sink = message.as_mut_slice();
        let mut writer = EncryptWriter::new(envelope, sink, options).expect("it begins");
        writer.write_all(black_box(&payload)).expect("it seals");
        writer.finish().expect("it ends").len()
    };
    let room_left = seal(&envelope);
    let message_len = message.borrow().len() - room_left;
    let open = |envelope: &Envelope| {
        let message = message.borrow();
        let source = &message[..message_len];
        let mut reader = DecryptReader::new(envelope, source, options).expect("it begins");
        reader
            .read_exact(&mut opened.borrow_mut())
            .expect("it opens");
    };
    let rounds = rounds().min(STREAM_ROUNDS);
    let comparison = compare(
        rounds,
        || {
            seal(&envelope);
        },
        || engine.seal(black_box(&payload), &mut engine_sealed.borrow_mut()),
    );
    report("stream/seal", len, &comparison);
    let comparison = compare(
        rounds,
        || open(&envelope),
        || engine.open(&engine_sealed.borrow(), &mut opened.borrow_mut()),
    );
    report("stream/open", len, &comparison);

    #[cfg(feature = "rayon")]
    {
        let parallel = envelope
            .clone()
            .with_parallelism(waxseal::Parallelism::Rayon);
        let comparison = compare(
            rounds,
            || {
                seal(&envelope);
            },
            || {
                seal(&parallel);
            },
        );
        report_speed_up("stream/seal", &comparison);
        let comparison = compare(rounds, || open(&envelope), || open(&parallel));
        report_speed_up("stream/open", &comparison);
    }
}

#[cfg(feature = "rayon")]
fn report_speed_up(name: &str, comparison: &Comparison) {
    let [low, median, high] = quartiles(&comparison.ratios);
    println!("{name} with rayon runs at {median:.2} times one thread ({low:.2}-{high:.2})");
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
        rounds(),
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
        rounds(),
        || {
            envelope
                .decrypt_into(black_box(message), options, black_box(&mut message_payload))
                .expect("it opens");
        },
        || engine.open(black_box(&sealed), black_box(&mut engine_payload)),
    );
    report(&format!("open_in_place{suffix}"), len, &open);
}

fn report(name: &str, len: usize, comparison: &Comparison) {
    if comparison.ratios.len() < STREAM_ROUNDS {
        return println!("{name}/{len} runs");
    }
    let speeds: Vec<f64> = comparison.ratios.iter().map(|ratio| 1.0 / ratio).collect();
    let [low, median, high] = quartiles(&speeds);
    let gigabytes_per_second = |times| {
        let [_, nanoseconds, _] = quartiles(times);
        len as f64 / nanoseconds
    };
    println!(
        "{name}/{len} runs at {median:.3} of the raw engine (median of {} pairs, \
         quartiles {low:.3}-{high:.3}; {:.2} and {:.2} GB/s)",
        speeds.len(),
        gigabytes_per_second(&comparison.first),
        gigabytes_per_second(&comparison.second),
    );
}

/// One round under `cargo test`, which only asks whether this runs.
fn rounds() -> usize {
    if std::env::args().any(|argument| argument == "--bench") {
        ROUNDS
    } else {
        1
    }
}
