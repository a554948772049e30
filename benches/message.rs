//! Sealing and opening messages, and the raw cipher beside them.
//!
//! `cargo bench --bench message`. See `README.md` beside this file for the ids.

mod engine;

use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use engine::{Aes256Gcm, ChaCha20Poly1305, Cipher, Engine};
use waxseal::{
    CachingKeyring, DecryptReader, EncryptWriter, EncryptionContext, Envelope, EnvelopeEncryptor,
    MemoryHeaderStore, MessageOptions, Opener, RootKey, Sealer, SingleKeyring, Suite,
};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    // Sizes outermost: what is compared with each other runs within seconds of each other.
    for len in [64, 1024, 65536, 1_048_576] {
        let mut bench = Bench {
            criterion: &mut criterion,
            len,
        };
        bench.engine::<Aes256Gcm>("aes-256-gcm");
        bench.message_in_place(Suite::Aes256Gcm, "");
        bench.message();
        bench.stream();
        bench.engine::<ChaCha20Poly1305>("chacha20-poly1305");
        bench.message_in_place(Suite::ChaCha20Poly1305, "_chacha");
    }
    small_values(&mut criterion);
    criterion.final_summary();
}

/// 64 bytes under a data key that is reused: as a message, and as a record.
fn small_values(criterion: &mut Criterion) {
    let payload = [0x5a; 64];
    let envelope = envelope();
    let caching = {
        let root_key = RootKey::generate().expect("the system has randomness");
        Envelope::new(CachingKeyring::new(SingleKeyring::software(&root_key)))
    };
    let headers = MemoryHeaderStore::new();
    let sealer = Sealer::new(envelope.clone(), context(), headers.clone());
    let opener = Opener::new(envelope, context(), headers);
    let context = context();
    let options = MessageOptions::new(&context);
    let mut out = vec![0; 512];
    let mut bench = Bench { criterion, len: 64 };
    bench.measure("message", "seal_shared", || {
        caching
            .encrypt_into(black_box(&payload), options, black_box(&mut out))
            .expect("it seals");
    });
    bench.measure("record", "seal", || {
        sealer
            .seal_into(black_box(&payload), b"row", black_box(&mut out))
            .expect("it seals");
    });
    let record = sealer.seal(&payload, b"row").expect("it seals");
    bench.measure("record", "open", || {
        opener
            .open_into(black_box(&record), b"row", black_box(&mut out))
            .expect("it opens");
    });
}

struct Bench<'a> {
    criterion: &'a mut Criterion,
    len: usize,
}

impl Bench<'_> {
    fn engine<C: Cipher>(&mut self, name: &str) {
        let engine = Engine::<C>::new();
        let mut payload = self.payload();
        let mut sealed = vec![0; Engine::<C>::sealed_len(self.len)];
        self.measure("engine", name, || {
            engine.seal(black_box(&payload), black_box(&mut sealed));
        });
        // Not what the measurement left: a filter on the command line may have skipped it.
        engine.seal(&payload, &mut sealed);
        self.measure("engine", &format!("{name}-open"), || {
            engine.open(black_box(&sealed), black_box(&mut payload));
        });
    }

    fn message_in_place(&mut self, suite: Suite, suffix: &str) {
        let envelope = envelope().with_suite(suite);
        let context = context();
        let options = MessageOptions::new(&context);
        let mut payload = self.payload();
        let mut message = vec![0; envelope.max_message_len(self.len)];
        self.measure("message", &format!("seal_in_place{suffix}"), || {
            envelope
                .encrypt_into(black_box(&payload), options, black_box(&mut message))
                .expect("it seals");
        });
        let message_len = envelope
            .encrypt_into(&payload, options, &mut message)
            .expect("it seals");
        let message = &message[..message_len];
        self.measure("message", &format!("open_in_place{suffix}"), || {
            envelope
                .decrypt_into(black_box(message), options, black_box(&mut payload))
                .expect("it opens");
        });
    }

    fn message(&mut self) {
        let envelope = envelope();
        let context = context();
        let payload = self.payload();
        self.measure("message", "seal", || {
            black_box(envelope.encrypt(black_box(&payload), &context)).expect("it seals");
        });
        let message = envelope.encrypt(&payload, &context).expect("it seals");
        self.measure("message", "open", || {
            black_box(envelope.decrypt(black_box(&message), &context)).expect("it opens");
        });
    }

    fn stream(&mut self) {
        let envelope = envelope();
        let context = context();
        let options = MessageOptions::new(&context);
        let mut payload = self.payload();
        let mut message = vec![0; envelope.max_message_len(self.len)];
        self.measure("stream", "seal", || {
            let sink = message.as_mut_slice();
            let mut writer = EncryptWriter::new(&envelope, sink, options).expect("it begins");
            writer.write_all(black_box(&payload)).expect("it seals");
            writer.finish().expect("it ends");
        });
        let message = envelope.encrypt(&payload, &context).expect("it seals");
        self.measure("stream", "open", || {
            let source = black_box(&message[..]);
            let mut reader = DecryptReader::new(&envelope, source, options).expect("it begins");
            reader.read_exact(&mut payload).expect("it opens");
        });
    }

    fn payload(&self) -> Vec<u8> {
        vec![0x5a; self.len]
    }

    fn measure(&mut self, group: &str, name: &str, mut work: impl FnMut()) {
        let mut group = self.criterion.benchmark_group(group);
        group.throughput(Throughput::Bytes(self.len as u64));
        group.bench_function(BenchmarkId::new(name, self.len), |bencher| {
            bencher.iter(&mut work);
        });
        group.finish();
    }
}

fn envelope() -> Envelope {
    let root_key = RootKey::generate().expect("the system has randomness");
    Envelope::new(SingleKeyring::software(&root_key))
}

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme")]).expect("one short pair")
}
