//! waxseal beside the crates that do the same job, in one run.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`. Prints two Markdown tables:
//! what each operation takes, and how waxseal's time compares with each peer's. Every peer
//! alternates with waxseal, so read the ratios; the times drift with the machine.

#[path = "../../pairs/mod.rs"]
mod pairs;
mod peers;

use std::hint::black_box;

use pairs::{Comparison, compare, quartiles};
use waxseal::{
    CachingKeyring, EncryptionContext, Envelope, EnvelopeEncryptor, MemoryHeaderStore, Opener,
    RootKey, Sealer, SingleKeyring,
};

use peers::{Age, Envelopers, KmsAead, Peer, Tink, Waxseal};

const SIZES: [(&str, usize, usize); 4] = [
    // Name, bytes, pairs
    ("64 B", 64, 400),
    ("1 KiB", 1024, 400),
    ("1 MiB", 1 << 20, 100),
    ("16 MiB", 16 << 20, 25),
];

fn main() {
    let waxseal = Waxseal::new();
    let rows = [
        rows(&waxseal, &Tink::new()),
        rows(&waxseal, &KmsAead::new()),
        rows(&waxseal, &Envelopers::new()),
        rows(&waxseal, &Age::new()),
    ]
    .concat();

    println!("Medians.\n");
    head(&["bytes added at 64 B"]);
    for operation in Operation::BOTH {
        let of_waxseal = rows.iter().filter(|row| row.operation == operation);
        let times = SIZES.iter().enumerate().map(|(size, _)| {
            let all: Vec<f64> = of_waxseal
                .clone()
                .flat_map(|row| row.cells[size].first.iter().copied())
                .collect();
            human(median(&all))
        });
        line(Waxseal::NAME, operation, times.chain([added(&waxseal)]));
    }
    for row in &rows {
        let times = row.cells.iter().map(|cell| human(median(&cell.second)));
        line(row.peer, row.operation, times.chain([row.added.clone()]));
    }

    println!("\nwaxseal's time as a multiple of the peer's: median of the pairs, and quartiles.\n");
    head(&[]);
    for row in &rows {
        let ratios = row.cells.iter().map(|cell| {
            let [low, median, high] = quartiles(&cell.ratios);
            format!("{median:.2} ({low:.2}-{high:.2})")
        });
        line(row.peer, row.operation, ratios);
    }
    small_values();
}

/// The forms that reuse a data key, which tink does not have, beside tink's encryption of 64 bytes.
fn small_values() {
    let payload = [0x5a; 64];
    let root_key = RootKey::generate().expect("the system has randomness");
    let keyring = CachingKeyring::new(SingleKeyring::software(&root_key));
    let envelope = Envelope::new(keyring);
    let context = EncryptionContext::new([("tenant", "acme")]).expect("one short pair");
    let headers = MemoryHeaderStore::new();
    let sealer = Sealer::new(envelope.clone(), context.clone(), headers.clone());
    let opener = Opener::new(envelope.clone(), context.clone(), headers);
    let record = sealer.seal(&payload, b"row").expect("it seals");
    let tink = Tink::new();
    let tink_payload = <Tink as Peer>::Payload::from(payload.to_vec());

    println!("\nThe same for 64 bytes under a data key that is reused, against tink's encrypt.\n");
    println!("| operation | median | ratio |\n| --- | --- | --- |");
    let against_tink = |name: &str, mut work: Box<dyn FnMut() + '_>| {
        let cell = compare(400, &mut work, || {
            drop(black_box(tink.seal(black_box(&tink_payload))));
        });
        let [low, ratio, high] = quartiles(&cell.ratios);
        let time = human(median(&cell.first));
        println!("| {name} | {time} | {ratio:.2} ({low:.2}-{high:.2}) |");
    };
    against_tink(
        "message/seal_shared/64",
        Box::new(|| drop(black_box(envelope.encrypt(black_box(&payload), &context)))),
    );
    against_tink(
        "record/seal/64",
        Box::new(|| drop(black_box(sealer.seal(black_box(&payload), b"row")))),
    );
    against_tink(
        "record/open/64",
        Box::new(|| drop(black_box(opener.open(black_box(&record), b"row")))),
    );
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Encrypt,
    Decrypt,
}

impl Operation {
    const BOTH: [Self; 2] = [Self::Encrypt, Self::Decrypt];

    fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }
}

/// One operation of one peer, over all sizes.
#[derive(Clone)]
struct Row {
    peer: &'static str,
    operation: Operation,
    cells: Vec<Comparison>,
    added: String,
}

fn rows<P: Peer>(waxseal: &Waxseal, peer: &P) -> Vec<Row> {
    eprintln!("measuring {}", P::NAME);
    let added = added(peer);
    let row = |operation| Row {
        peer: P::NAME,
        operation,
        cells: SIZES
            .iter()
            .map(|&(_, len, pairs)| measure(operation, waxseal, peer, len, pairs))
            .collect(),
        added: added.clone(),
    };
    Operation::BOTH.map(row).to_vec()
}

fn measure<P: Peer>(
    operation: Operation,
    waxseal: &Waxseal,
    peer: &P,
    len: usize,
    pairs: usize,
) -> Comparison {
    let payload = vec![0x5a; len];
    let peer_payload = P::Payload::from(payload.clone());
    let message = waxseal.seal(&payload);
    let peer_message = peer.seal(&peer_payload);
    assert_eq!(P::payload(&peer.open(&peer_message)), payload);
    match operation {
        Operation::Encrypt => compare(
            pairs,
            || drop(black_box(waxseal.seal(black_box(&payload)))),
            || drop(black_box(peer.seal(black_box(&peer_payload)))),
        ),
        Operation::Decrypt => compare(
            pairs,
            || drop(black_box(waxseal.open(black_box(&message)))),
            || drop(black_box(peer.open(black_box(&peer_message)))),
        ),
    }
}

/// How many bytes longer than its payload a message of 64 bytes is: a range where the encoding
/// depends on the bytes, or is padded at random.
fn added<P: Peer>(peer: &P) -> String {
    let payload = vec![0x5a; 64];
    let len = payload.len();
    let payload = P::Payload::from(payload);
    let added = || P::message_len(&peer.seal(&payload)) - len;
    let (low, high) = (0..200)
        .map(|_| added())
        .fold((usize::MAX, 0), |(low, high), added| {
            (low.min(added), high.max(added))
        });
    if low == high {
        low.to_string()
    } else {
        format!("{low}-{high}")
    }
}

fn median(values: &[f64]) -> f64 {
    let [_, median, _] = quartiles(values);
    median
}

fn human(nanoseconds: f64) -> String {
    if nanoseconds < 10_000.0 {
        format!("{nanoseconds:.0} ns")
    } else if nanoseconds < 1_000_000.0 {
        format!("{:.1} us", nanoseconds / 1e3)
    } else {
        format!("{:.2} ms", nanoseconds / 1e6)
    }
}

fn head(more: &[&str]) {
    let sizes = SIZES.iter().map(|&(name, _, _)| name);
    let columns = ["library", "operation"].into_iter().chain(sizes);
    let columns: Vec<&str> = columns.chain(more.iter().copied()).collect();
    println!("| {} |", columns.join(" | "));
    println!("|{}", " --- |".repeat(columns.len()));
}

fn line(library: &str, operation: Operation, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    let operation = operation.name();
    println!("| {library} | {operation} | {} |", cells.join(" | "));
}
