//! Whatever a trail says, verifying and reading it ends, without a panic; and what is verified twice
//! is found the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use waxseal::audit::{AuditKey, AuditQuery, TrailReader, Verification};

fuzz_target!(|lines: &[u8]| {
    let key = AuditKey::from_bytes(&[7; 32]);
    for against in [
        Verification::new(),
        Verification::new().trusting_macs(&key),
        Verification::new().without_archived_files(),
    ] {
        let verified = against.verify(TrailReader::bytes(lines));
        let again = against.verify(TrailReader::bytes(lines));
        match (verified, again) {
            (Ok(verified), Ok(again)) => {
                assert_eq!(verified, again);
                // Every record of a whole trail can be read.
                let records = AuditQuery::new().over(TrailReader::bytes(lines));
                let count = records.map(Result::unwrap).count() as u64;
                assert_eq!(count, verified.records);
                // A line cut off its end, it is still whole, and shorter.
                let whole = &lines[..lines.len() - verified.torn];
                if let Some(rest) = whole.strip_suffix(b"\n") {
                    let end = rest.iter().rposition(|&byte| byte == b'\n');
                    let shorter = &rest[..end.map_or(0, |end| end + 1)];
                    let shorter = against.verify(TrailReader::bytes(shorter)).unwrap();
                    assert!(shorter.tail.map(|tail| tail.sequence) < verified.tail.map(|tail| tail.sequence));
                }
            }
            (Err(error), Err(again)) => assert_eq!(error.to_string(), again.to_string()),
            other => panic!("{other:?}"),
        }
    }
});
