//! The calls that promise not to allocate do not.

mod common;

use std::io::{Read, Write};

use waxseal::kms::Operation;
use waxseal::kms::policy::{Decision, GivenValues, Policy, Request, Resource};
use waxseal::{
    DecryptReader, EncryptReader, EncryptWriter, EncryptionContext, EnvelopeEncryptor, KeyId,
    MessageOptions,
};

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

/// Whatever a policy answers, with every kind of condition.
#[test]
fn asking_a_policy_allocates_nothing() {
    let policy = Policy::from_json(
        r#"{"Version": "2012-10-17", "Statement": [
            {"Sid": "a", "Effect": "Allow", "Principal": ["alice", "bob"], "Action": "kms:*",
             "Resource": ["key/07*", "alias/${aws:PrincipalTag/team}/*"], "Condition": {
                "StringEquals": {"kms:EncryptionContext:tenant": ["x", "${aws:PrincipalTag/team}"]},
                "StringLike": {"kms:EncryptionContext:purpose": "*b?r*"},
                "StringEqualsIgnoreCase": {"aws:PrincipalTag/team": "RED"},
                "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["tenant", "purpose"]},
                "DateLessThan": {"aws:CurrentTime": "2027-01-01"},
                "NumericLessThan": {"aws:EpochTime": "1900000000"},
                "Null": {"kms:RequestAlias": true}}},
            {"Sid": "d", "Effect": "Deny", "NotPrincipal": "alice", "Action": "*", "Resource": "*"}
        ]}"#,
    )
    .unwrap();
    let now = "2026-01-01T00:00:00.000Z".parse().unwrap();
    let key = |name: &str| name.parse().unwrap();
    let values = GivenValues::new()
        .with_attribute("team", "red")
        .with_text(key("kms:EncryptionContext:tenant"), "red")
        .with_text(key("kms:EncryptionContext:purpose"), "foobar baz")
        .with_text(key("kms:EncryptionContextKeys"), "purpose")
        .with_text(key("kms:EncryptionContextKeys"), "tenant")
        .with_date(key("aws:CurrentTime"), now)
        .with_date(key("aws:EpochTime"), now);
    let resource = Resource::Key(KeyId::from_bytes([7; 16]));
    let ask = |principal, values| {
        let request = Request::new(principal, Operation::Decrypt, resource, values);
        policy.evaluate(&request)
    };
    let mut decisions = Vec::with_capacity(3);
    let cost = allocation_counter::measure(|| {
        decisions.push(ask("alice", &values));
        decisions.push(ask("bob", &values));
        decisions.push(ask("alice", &()));
    });
    assert_eq!(cost.count_total, 0);
    assert!(matches!(decisions[0], Decision::Allow { .. }));
    assert!(matches!(decisions[1], Decision::Deny { .. }));
    assert!(matches!(
        decisions[2],
        Decision::NoMatch { closest: Some(_) }
    ));
}

/// Terabytes go through what is allocated at the beginning.
#[test]
fn streams_allocate_when_they_begin_and_never_again() {
    const PIECE: usize = 100_000;
    const PIECES: usize = 200;
    let (envelope, context) = (common::envelope(), EncryptionContext::empty());
    let options = MessageOptions::new(&context);
    let piece = vec![7; PIECE];

    let mut sealed = Vec::with_capacity(PIECE * (PIECES + 10));
    let mut writer = None;
    let begun = allocation_counter::measure(|| {
        writer = Some(EncryptWriter::new(&envelope, &mut sealed, options).unwrap());
        writer.as_mut().unwrap().write_all(&piece).unwrap();
    });
    let mut writer = writer.unwrap();
    let went_on = allocation_counter::measure(|| {
        for _ in 1..PIECES {
            writer.write_all(&piece).unwrap();
        }
    });
    writer.finish().unwrap();
    assert_eq!(went_on.count_total, 0, "writing");
    assert!(begun.bytes_max <= STREAM_MEMORY, "{begun:?}");

    let payload = vec![7; PIECE * PIECES];
    let (payload, sealed) = (&payload[..], &sealed[..]);
    read_without_allocating(payload.len(), || {
        DecryptReader::new(&envelope, sealed, options).unwrap()
    });
    read_without_allocating(payload.len(), || {
        DecryptReader::buffered(&envelope, sealed, options).unwrap()
    });
    read_without_allocating(sealed.len(), || {
        EncryptReader::new(&envelope, payload, options).unwrap()
    });
    read_without_allocating(sealed.len(), || {
        EncryptReader::buffered(&envelope, payload, options).unwrap()
    });
}

fn read_without_allocating<R: Read>(len: usize, begin: impl Fn() -> R) {
    let mut piece = vec![0; 100_000];
    let mut reader = None;
    let mut read = 0;
    let begun = allocation_counter::measure(|| {
        reader = Some(begin());
        read = reader.as_mut().unwrap().read(&mut piece).unwrap();
    });
    let mut reader = reader.unwrap();
    let went_on = allocation_counter::measure(|| {
        loop {
            match reader.read(&mut piece).unwrap() {
                0 => break,
                len => read += len,
            }
        }
    });
    assert_eq!(read, len);
    assert_eq!(went_on.count_total, 0, "reading");
    assert!(begun.bytes_max <= STREAM_MEMORY, "{begun:?}");
}

/// What the documentation says that a stream takes, in bytes, and the tags of four chunks.
const STREAM_MEMORY: u64 = 192 * 1024 + 4 * 2 * 16;
