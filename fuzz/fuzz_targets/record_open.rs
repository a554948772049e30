//! No record opens but the one that was sealed: not arbitrary bytes, not a sealed record with
//! edits, and not under a header with edits.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waxseal::{
    EncryptionContext, Envelope, HeaderId, HeaderStore, HeaderStoreError, Opener, RootKey, Sealer,
    SingleKeyring,
};

struct Sealed {
    envelope: Envelope,
    context: EncryptionContext,
    header: Vec<u8>,
    record: Vec<u8>,
    opener: Opener,
}

static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let root_key = RootKey::from_bytes(&std::array::from_fn(|i| i as u8));
    let envelope = Envelope::new(SingleKeyring::software(&root_key));
    let context = EncryptionContext::new([("tenant", "a")]).unwrap();
    let headers = waxseal::MemoryHeaderStore::new();
    let sealer = Sealer::new(envelope.clone(), context.clone(), headers.clone());
    let record = sealer.seal(&[7; 100], b"row 42").unwrap();
    let id = HeaderId::of_record(&record).unwrap();
    Sealed {
        header: headers.get(id).unwrap().remove(0),
        opener: Opener::new(envelope.clone(), context.clone(), headers),
        envelope,
        context,
        record,
    }
});

/// Gives the one header for every id.
#[derive(Debug)]
struct Giving(Vec<u8>);

impl HeaderStore for Giving {
    fn put(&self, _id: HeaderId, _header: &[u8]) -> Result<(), HeaderStoreError> {
        Ok(())
    }

    fn get(&self, _id: HeaderId) -> Result<Vec<Vec<u8>>, HeaderStoreError> {
        Ok(vec![self.0.clone()])
    }
}

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(opens(&SEALED.opener, bytes), bytes == SEALED.record);
    let record = edited(&SEALED.record, bytes);
    assert_eq!(opens(&SEALED.opener, &record), record == SEALED.record);
    for header in [bytes.to_vec(), edited(&SEALED.header, bytes)] {
        let whole = header == SEALED.header;
        let (envelope, context) = (SEALED.envelope.clone(), SEALED.context.clone());
        let opener = Opener::new(envelope, context, Giving(header));
        assert_eq!(opens(&opener, &SEALED.record), whole);
    }
});

/// Whether a record opens, in both forms alike.
fn opens(opener: &Opener, record: &[u8]) -> bool {
    let mut buffer = vec![0; record.len()];
    let into = opener.open_into(record, b"row 42", &mut buffer);
    match opener.open(record, b"row 42") {
        Ok(plaintext) => {
            assert_eq!(*plaintext, buffer[..into.unwrap()]);
            true
        }
        Err(error) => {
            assert_eq!(error.to_string(), into.unwrap_err().to_string());
            assert!(buffer.iter().all(|&byte| byte == 0));
            false
        }
    }
}

/// Takes `edits` as edits of `bytes`: position, length removed, bytes inserted.
fn edited(bytes: &[u8], mut edits: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    while let [at, removed, inserted, rest @ ..] = edits {
        let from = usize::from(*at).min(bytes.len());
        let to = (from + usize::from(*removed)).min(bytes.len());
        let (new, rest) = rest.split_at(rest.len().min(usize::from(*inserted)));
        bytes.splice(from..to, new.iter().copied());
        edits = rest;
    }
    bytes
}
