//! One header rewrapped, and files of 64 KiB beside decrypting and encrypting them.
//!
//! `cargo bench --bench rewrap` has one header; with `WAXSEAL_BENCH_FILES=10000` it has so many files
//! too, in the directory that `TMPDIR` names.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
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

/// Rewraps a directory and then seals its files anew, in two ways, by turns; tells the medians.
fn files(count: usize) {
    let directory = tempfile::tempdir().unwrap();
    let context = context();
    let one = Envelope::new(keyring(1));
    for number in 0..count {
        let message = one.encrypt(&[7; 64 * 1024], &context).unwrap();
        fs::write(directory.path().join(format!("f{number}")), message).unwrap();
    }
    let (mut rewraps, mut together, mut each) = (Vec::new(), Vec::new(), Vec::new());
    let mut written = 0;
    for round in 0..3 {
        let (from, to) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        let both = MultiKeyring::new(keyring(from)).opening_also(keyring(to));
        let both = Envelope::new(both);
        sync();
        let began = Instant::now();
        let report = RewrapJob::new(&both, Rewrap::to(keyring(to)))
            .run_directory(directory.path(), |_| Some(context.clone()))
            .unwrap();
        rewraps.push(began.elapsed());
        assert_eq!(report.in_place, count as u64);
        written = report.bytes_written / count as u64;
        for (durable, times) in [
            (Durable::Together, &mut together),
            (Durable::Each, &mut each),
        ] {
            sync();
            let began = Instant::now();
            seal_anew(
                directory.path(),
                &Envelope::new(keyring(to)),
                &context,
                durable,
            );
            times.push(began.elapsed());
        }
    }
    let rewrap = median(rewraps);
    println!("{count} files of 64 KiB, all durable at the end:");
    println!("  rewrapped, safe to kill          {rewrap:?}, {written} bytes written for each");
    for (what, times) in [
        ("decrypted, encrypted, one sync  ", together),
        ("decrypted, encrypted, each synced", each),
    ] {
        let time = median(times);
        let ratio = time.as_secs_f64() / rewrap.as_secs_f64();
        println!("  {what} {time:?}, {ratio:.1} times as long");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Durable {
    /// All files at the end: a power cut in between may lose any of them.
    Together,
    /// Each before it takes the place of the old one, as it is usually done.
    Each,
}

/// What would have to be done without a rewrap.
fn seal_anew(directory: &Path, envelope: &Envelope, context: &EncryptionContext, durable: Durable) {
    let copy_path = directory.with_extension("copy");
    for file in fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let plaintext = envelope
            .decrypt(&fs::read(&path).unwrap(), context)
            .unwrap();
        let mut copy = File::create(&copy_path).unwrap();
        copy.write_all(&envelope.encrypt(&plaintext, context).unwrap())
            .unwrap();
        if durable == Durable::Each {
            copy.sync_data().unwrap();
        }
        fs::rename(&copy_path, &path).unwrap();
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
