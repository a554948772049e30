//! Whatever is done to a trail is found, at its place.

#[path = "common/audit.rs"]
mod audit;

use audit::{event, key, lines_of, signer, split, trail};
use proptest::prelude::*;
use waxseal::audit::{
    Finding, MemorySink, Tampering, TrailReader, Verification, Verified, VerifyTrailError,
};
use waxseal::{PublicKey, Timestamp};

struct Trail {
    bytes: Vec<u8>,
    public_key: PublicKey,
    verified: Verified,
}

impl Trail {
    fn new(records: usize, every: u64) -> Self {
        let (bytes, public_key) = lines_of(records, every);
        let mut trail = Self {
            bytes,
            public_key,
            verified: Verified::default(),
        };
        trail.verified = trail.verify(&trail.bytes, false).unwrap();
        trail
    }

    fn lines(&self) -> Vec<&[u8]> {
        split(&self.bytes)
    }

    fn verify(&self, bytes: &[u8], with_head: bool) -> Result<Verified, VerifyTrailError> {
        let mut against = Verification::new().trusting(self.public_key.clone());
        if with_head {
            let tail = self.verified.tail.unwrap();
            let head = waxseal::audit::TrailHead::new(tail, Timestamp::UNIX_EPOCH);
            against = against.with_head(head);
        }
        against.verify(TrailReader::bytes(bytes))
    }

    /// What is found in changed lines, with the trail's head known.
    fn finding(&self, bytes: &[u8]) -> Finding {
        match self.verify(bytes, true) {
            Err(VerifyTrailError::Tampered(finding)) => finding,
            other => panic!("nothing was found: {other:?}"),
        }
    }

    fn flip(&self, position: usize, bits: u8) {
        let mut changed = self.bytes.clone();
        changed[position] ^= bits;
        let before = &self.bytes[..position];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let last = self.lines().len() as u64 - 1;
        let finding = self.finding(&changed);
        if position == self.bytes.len() - 1 {
            // The last line is not whole any more.
            assert!(matches!(finding.what, Tampering::Truncated { .. }));
            assert_eq!(finding.place.line, last);
            return;
        }
        assert_eq!(finding.place.line, line + 1, "{finding}, byte {position}");
        let shown = format!(
            "line {}, where the trail should have sequence {line}:",
            line + 1
        );
        assert!(finding.to_string().starts_with(&shown), "{finding}");
        assert_eq!(finding.sequence, line, "{finding}, byte {position}");
        let is_checkpoint_of_another = matches!(
            finding.what,
            Tampering::Forged { .. } | Tampering::UnknownSigner { .. } | Tampering::OtherTrail
        );
        assert!(
            finding.what == Tampering::Altered
                || finding.what == Tampering::Newer
                || is_checkpoint_of_another,
            "{finding}, byte {position}"
        );
    }

    fn cut(&self, from: usize, count: usize) {
        let mut lines = self.lines();
        let last = lines.len();
        lines.drain(from..from + count);
        let finding = self.finding(&lines.concat());
        assert_eq!(finding.sequence, from as u64, "{finding}");
        if from + count == last {
            let head = last as u64 - 1;
            assert_eq!(finding.what, Tampering::Truncated { head });
            assert_eq!(finding.place.line, from as u64);
        } else {
            let until = (from + count - 1) as u64;
            assert_eq!(finding.what, Tampering::Missing { until });
            assert_eq!(finding.place.line, from as u64 + 1);
        }
    }

    fn swap(&self, one: usize, other: usize) {
        let (first, second) = (one.min(other), one.max(other));
        let mut lines = self.lines();
        lines.swap(first, second);
        let finding = self.finding(&lines.concat());
        let belongs = second as u64;
        assert_eq!(finding.what, Tampering::Reordered { belongs }, "{finding}");
        assert_eq!(finding.sequence, first as u64);
        assert_eq!(finding.place.line, first as u64 + 1);
    }

    /// Puts a line in before the line `at`.
    fn insert(&self, at: usize, line: &[u8]) {
        let mut lines = self.lines();
        lines.insert(at, line);
        let finding = self.finding(&lines.concat());
        assert_eq!(finding.what, Tampering::Added, "{finding}, at {at}");
        assert_eq!(finding.place.line, at as u64 + 1, "{finding}");
    }

    /// A line with the right place, and the right hash of the line before, that was never written.
    fn forged(&self, at: usize) -> Vec<u8> {
        let line = std::str::from_utf8(self.lines()[at]).unwrap();
        let forged = line.replace("svc:", "evil:");
        assert_ne!(line, forged);
        forged.into_bytes()
    }
}

#[test]
fn every_byte_of_a_small_trail() {
    let trail = Trail::new(12, 5);
    for position in 0..trail.bytes.len() {
        for bits in [0x01, 0x02, 0x20, 0x80] {
            trail.flip(position, bits);
        }
    }
}

#[test]
fn every_line_of_a_small_trail() {
    let trail = Trail::new(12, 5);
    let lines = trail.lines();
    for one in 0..lines.len() {
        for count in 1..=lines.len() - one {
            if count < lines.len() {
                trail.cut(one, count);
            }
        }
        for other in one + 1..lines.len() {
            trail.swap(one, other);
        }
        for line in &lines {
            // Before a line and after it, a copy of it is the same trail.
            if *line != lines[one] {
                trail.insert(one, line);
            }
        }
        trail.insert(one, b"{\"eventVersion\":1}\n");
        trail.insert(one, b"\n");
        if lines[one].windows(4).any(|text| text == b"svc:") {
            trail.insert(one, &trail.forged(one));
        }
    }
}

/// A line in the place of another: what follows does not fit it.
#[test]
fn a_line_that_replaces_another_is_found() {
    let trail = Trail::new(12, 5);
    for at in 1..trail.lines().len() {
        if !trail.lines()[at].windows(4).any(|text| text == b"svc:") {
            continue;
        }
        let forged = trail.forged(at);
        let mut lines = trail.lines();
        lines[at] = &forged;
        let finding = trail.finding(&lines.concat());
        assert_eq!(finding.what, Tampering::Altered);
        assert_eq!(finding.place.line, at as u64 + 1);
    }
}

const RECORDS: usize = 10_000;

#[test]
fn ten_thousand_records() {
    let trail = Trail::new(RECORDS, 1000);
    assert_eq!(trail.verified.records, RECORDS as u64);
    assert_eq!(trail.verified.checkpoints, 11);
    let (lines, len) = (trail.lines(), trail.bytes.len());
    let samples = std::env::var("WAXSEAL_TEST_AUDIT_SAMPLES").map_or(12, |n| n.parse().unwrap());
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice % sides as u64).unwrap()
    };
    for _ in 0..samples {
        trail.flip(roll(len), 1 << roll(8));
        let from = roll(lines.len() - 1);
        let most = (lines.len() - from).min(1 + roll(500));
        trail.cut(from.max(1), most.min(lines.len() - from.max(1)));
        let (one, other) = (roll(lines.len()), roll(lines.len()));
        if one != other {
            trail.swap(one, other);
            trail.insert(one, lines[other]);
        }
        trail.insert(roll(lines.len()), b"{}\n");
    }
}

/// Who can write the trail and knows its form can make it anew, but not sign it.
#[test]
fn a_trail_that_was_made_anew_is_not_signed() {
    let genuine = Trail::new(12, 5);
    let sink = MemorySink::new();
    let (other_signer, _) = signer();
    let forger = audit::builder(sink.clone())
        .signed_by(other_signer)
        .open()
        .unwrap();
    forger.record(&event("request", "svc:nobody")).unwrap();
    forger.close().unwrap();
    match genuine.verify(&sink.to_bytes(), false) {
        Err(VerifyTrailError::Tampered(finding)) => {
            assert!(matches!(finding.what, Tampering::UnknownSigner { .. }));
        }
        other => panic!("{other:?}"),
    }
    let finding = genuine.finding(&sink.to_bytes());
    assert_eq!(finding.what, Tampering::OtherTrail);
}

#[test]
fn macs_are_trusted_by_who_has_the_key() {
    let sink = MemorySink::new();
    let trail = trail(sink.clone());
    trail.record(&event("request", "svc:billing")).unwrap();
    trail.close().unwrap();
    let bytes = sink.to_bytes();
    let key = key();
    let against = Verification::new().trusting_macs(&key);
    let verified = against.verify(TrailReader::bytes(&bytes)).unwrap();
    assert_eq!(verified.signed_through, Some(2));
    assert_eq!((verified.records, verified.checkpoints), (1, 1));

    let other = waxseal::audit::AuditKey::from_bytes(&[8; 32]);
    let against = Verification::new().trusting_macs(&other);
    let forged = against.verify(TrailReader::bytes(&bytes));
    assert!(matches!(
        forged,
        Err(VerifyTrailError::Tampered(Finding {
            what: Tampering::Forged {
                signed_through: None,
                ..
            },
            sequence: 2,
            ..
        }))
    ));
    // Without any key, only that each line follows from the one before.
    let chain = Verification::new().verify(TrailReader::bytes(&bytes));
    assert_eq!(chain.unwrap().signed_through, None);
}

#[test]
fn a_trail_that_is_being_written_verifies_up_to_its_last_whole_line() {
    let trail = Trail::new(3, 100);
    let lines = trail.lines();
    let whole = lines[..3].concat();
    for torn in 1..lines[3].len() {
        let mut bytes = whole.clone();
        bytes.extend_from_slice(&lines[3][..torn]);
        let verified = trail.verify(&bytes, false).unwrap();
        assert_eq!((verified.records, verified.torn), (2, torn));
    }
}

/// Who deletes the trail and begins another has no head for it.
#[test]
fn a_trail_without_a_head_is_refused_where_one_is_needed() {
    let trail = Trail::new(3, 100);
    let against = || Verification::new().needing_head();
    let lines = || TrailReader::bytes(&trail.bytes);
    match against().verify(lines()) {
        Err(VerifyTrailError::Tampered(finding)) => {
            assert_eq!(finding.what, Tampering::NoHead);
            assert_eq!(finding.place.line, 5);
        }
        other => panic!("{other:?}"),
    }
    let tail = trail.verified.tail.unwrap();
    let head = waxseal::audit::TrailHead::new(tail, Timestamp::UNIX_EPOCH);
    against().with_head(head).verify(lines()).unwrap();
    against().verify(TrailReader::bytes(b"")).unwrap();
}

#[test]
fn nothing_is_a_trail_that_has_lost_everything() {
    let trail = Trail::new(3, 100);
    assert_eq!(trail.verify(b"", false).unwrap(), Verified::default());
    let finding = trail.finding(b"");
    assert_eq!(finding.what, Tampering::Truncated { head: 4 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes put in the place of any others are found.
    #[test]
    fn any_splice_is_found(from in 0.0..1.0, len in 0_usize..900, with in prop::collection::vec(any::<u8>(), 0..900)) {
        let trail = Trail::new(6, 4);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
        let from = (from * trail.bytes.len() as f64) as usize;
        let until = (from + len).min(trail.bytes.len());
        let mut bytes = trail.bytes.clone();
        bytes.splice(from..until, with);
        prop_assume!(bytes != trail.bytes);
        // What is only added after the end is a line that is being written.
        prop_assume!(!bytes.starts_with(&trail.bytes));
        let finding = trail.finding(&bytes);
        let line = trail.bytes[..from].iter().filter(|&&byte| byte == b'\n').count() as u64;
        prop_assert!(finding.place.line >= line, "{}", finding);
        prop_assert!(finding.place.line <= line + 1, "{}", finding);
    }
}
