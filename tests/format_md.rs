//! `FORMAT.md` says what the crate does: its known answer, its limits and its labels.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::vector::{self, from_hex};
use waxseal::format::{
    MAX_AAD_LEN, MAX_CANDIDATE_HEADERS, MAX_ENTRY_LEN, MAX_HEADER_LEN, MAX_PAD_LEN,
    MAX_RECORD_PAYLOAD_LEN, MAX_RECORDS_PER_HEADER, MAX_WRAPPED_KEYS,
};
use waxseal::{EncryptionContext, EnvelopeEncryptor, PassphraseRecord};

const FORMAT_MD: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/FORMAT.md"));

#[test]
fn the_annotated_known_answer_is_the_vector_and_opens() {
    let (message, offsets) = hex_dump();
    let vector = vector::named("known_answer");
    assert_eq!(message, vector.message);
    for (stated, actual) in offsets {
        assert_eq!(stated, actual.to_string(), "offset of a line of the dump");
    }
    let opened = vector.opener().decrypt(&message, &vector.context());
    assert_eq!(*opened.unwrap(), *vector.plaintext());
}

#[test]
fn the_limits_are_the_constants_of_the_crate() {
    let limits: BTreeMap<_, _> = table("| limit | at most |")
        .map(|row| (row[0], row[1].parse().unwrap()))
        .collect();
    for (limit, constant) in [
        ("wrapped keys", MAX_WRAPPED_KEYS),
        ("entry", MAX_ENTRY_LEN),
        ("header", MAX_HEADER_LEN),
        ("pad", MAX_PAD_LEN),
        ("context pairs", EncryptionContext::MAX_PAIRS),
        ("context", EncryptionContext::MAX_LEN),
        ("aad", MAX_AAD_LEN),
        ("passphrase record", PassphraseRecord::LEN),
        ("record plaintext", MAX_RECORD_PAYLOAD_LEN),
        ("candidate headers", MAX_CANDIDATE_HEADERS),
    ] {
        assert_eq!(limits.get(limit), Some(&(constant as u64)), "{limit}");
    }
    assert_eq!(
        limits.get("records per header"),
        Some(&MAX_RECORDS_PER_HEADER)
    );
}

#[test]
fn the_labels_in_use_are_those_of_the_crate() {
    let labels: Vec<_> = table("| label | used in |")
        .map(|row| (row[0].trim_matches('`').to_owned(), row[3]))
        .collect();
    for (label, status) in &labels {
        assert!(
            matches!(*status, "in use" | "reserved"),
            "{label}: unknown status {status}"
        );
    }
    let in_use: BTreeSet<_> = labels
        .into_iter()
        .filter_map(|(label, status)| (status == "in use").then_some(label))
        .collect();
    assert_eq!(in_use, labels_of_the_crate());
}

/// The bytes of the dump, and for each line its offset as stated and as counted.
fn hex_dump() -> (Vec<u8>, Vec<(&'static str, usize)>) {
    let (_, dump) = FORMAT_MD.split_once("```hexdump\n").unwrap();
    let (dump, _) = dump.split_once("```").unwrap();
    let mut bytes = Vec::new();
    let mut offsets = Vec::new();
    for line in dump.lines() {
        let (hex, annotation) = line.split_once(';').unwrap();
        offsets.push((annotation.split_whitespace().next().unwrap(), bytes.len()));
        bytes.extend(from_hex(&hex.replace(' ', "")));
    }
    (bytes, offsets)
}

/// The rows of the table whose heading begins so, as cells.
fn table(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let mut lines = FORMAT_MD.lines();
    assert!(lines.any(|line| line.starts_with(heading)), "{heading}");
    lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

/// Every `x` of a `label!("x")` in the sources.
fn labels_of_the_crate() -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    collect_labels(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut labels,
    );
    labels
}

fn collect_labels(directory: &Path, labels: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_labels(&path, labels);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let uses = source.split("label!(\"").skip(1);
            labels.extend(uses.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
}
