//! One header rewrapped, and files of 64 KiB beside decrypting and encrypting them.
//!
//! `cargo bench --bench rewrap` has one header; with `WAXSEAL_BENCH_FILES=10000` it has so many files
//! too, in the directory that `TMPDIR` names.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, MultiKeyring, Rewrap, RewrapJob, RootKey,
    SingleKeyring,
};

fn keyring(number: u8) -> SingleKeyring {
    SingleKeyring::software(&RootKey::from_bytes(&[number; 32]))
}

fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "acme"), ("purpose", "backup")]).unwrap()
}

fn headers(criterion: &mut Criterion) {
    let envelope = Envelope::new(keyring(1));
    let context = context();
    let message = envelope.encrypt(&[7; 64 * 1024], &context).unwrap();
    let front = &message[..512];
    let mut group = criterion.benchmark_group("rewrap");
    let change = Rewrap::to(keyring(2));
    group.bench_function("from key to key", |bencher| {
        bencher.iter(|| {
            envelope
                .rewrap_with(black_box(front), &context, &change)
                .unwrap()
        });
    });
    let change = Rewrap::keeping().add_key(keyring(2));
    group.bench_function("add a key", |bencher| {
        bencher.iter(|| {
            envelope
                .rewrap_with(black_box(front), &context, &change)
                .unwrap()
        });
    });
    let change = Rewrap::new();
    group.bench_function("already current", |bencher| {
        bencher.iter(|| {
            envelope
                .rewrap_with(black_box(front), &context, &change)
                .unwrap()
        });
    });
    group.bench_function("decrypt and encrypt 64 KiB instead", |bencher| {
        bencher.iter(|| {
            let plaintext = envelope.decrypt(black_box(&message), &context).unwrap();
            envelope.encrypt(&plaintext, &context).unwrap()
        });
    });
    group.finish();
}

/// Rewraps a directory and then seals its files anew, by turns, and tells the ratio of the medians.
fn files(count: usize) {
    let directory = tempfile::tempdir().unwrap();
    let context = context();
    let one = Envelope::new(keyring(1));
    for number in 0..count {
        let message = one.encrypt(&[7; 64 * 1024], &context).unwrap();
        fs::write(directory.path().join(format!("f{number}")), message).unwrap();
    }
    let envelope = |from: u8, to: u8| {
        Envelope::new(MultiKeyring::new(keyring(from)).opening_also(keyring(to)))
    };
    let (mut rewraps, mut seals) = (Vec::new(), Vec::new());
    let mut written = 0;
    for round in 0..3 {
        let (from, to) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        sync();
        let began = Instant::now();
        let report = RewrapJob::new(&envelope(from, to), Rewrap::to(keyring(to)))
            .run_directory(directory.path(), |_| Some(context.clone()))
            .unwrap();
        rewraps.push(began.elapsed());
        assert_eq!(report.in_place, count as u64);
        written = report.bytes_written / count as u64;
        sync();
        let began = Instant::now();
        seal_anew(directory.path(), &Envelope::new(keyring(to)), &context);
        seals.push(began.elapsed());
    }
    let (rewrap, seal) = (median(rewraps), median(seals));
    println!("{count} files of 64 KiB, durable at the end:");
    println!("  rewrapped            {rewrap:?}, {written} bytes written for each");
    println!("  decrypted, encrypted {seal:?}");
    println!(
        "  ratio                {:.1}",
        seal.as_secs_f64() / rewrap.as_secs_f64()
    );
}

/// What would have to be done without a rewrap: each file is replaced by a new one, and at the end all
/// are made durable together, which a real job would not dare.
fn seal_anew(directory: &Path, envelope: &Envelope, context: &EncryptionContext) {
    let copy = directory.with_extension("copy");
    for file in fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let plaintext = envelope
            .decrypt(&fs::read(&path).unwrap(), context)
            .unwrap();
        fs::write(&copy, envelope.encrypt(&plaintext, context).unwrap()).unwrap();
        fs::rename(&copy, &path).unwrap();
    }
    sync();
}

fn sync() {
    assert!(
        std::process::Command::new("sync")
            .status()
            .unwrap()
            .success()
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

criterion_group!(benches, headers);

fn main() {
    match std::env::var("WAXSEAL_BENCH_FILES") {
        Ok(count) => files(count.parse().unwrap()),
        Err(_) => {
            benches();
            Criterion::default().configure_from_args().final_summary();
        }
    }
}
