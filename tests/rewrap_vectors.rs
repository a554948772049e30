//! Rewraps, journals and subjects that the Python reference implementation made.

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::vector::from_hex;
use serde::Deserialize;
use waxseal::format::Header;
use waxseal::store::{Collection, Expected, RecordId, RecordKey, Transaction};
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, ErasureProof, Error, FileRewrap, KeyId,
    KeyStore, Kms, KmsError, MemoryKeyStore, MultiKeyring, Rewrap, RootKey, SingleKeyring,
    SoftwareKeyProvider, rewrap_file,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    rewraps: Rewraps,
    journal: Journal,
    subject: Subject,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rewraps {
    #[serde(rename = "comment")]
    _comment: String,
    root_keys: Vec<String>,
    context: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    comment: String,
    message: String,
    change: Change,
    rewrapped: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Change {
    to: Option<usize>,
    add: Vec<usize>,
    remove: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Journal {
    overwrites: Vec<Overwrite>,
    journal: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Overwrite {
    name: String,
    old: String,
    new: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    root_key: String,
    records: Vec<Record>,
    key: KeyId,
    name: String,
    context: BTreeMap<String, String>,
    sealed: String,
    plaintext: String,
    erased: String,
    proof: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    collection: String,
    id: String,
    bytes: String,
}

fn vectors() -> Vectors {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/testdata/rewrap/rewrap.json"
    );
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

impl Rewraps {
    fn keyring(&self, number: usize) -> SingleKeyring {
        let root_key = from_hex(&self.root_keys[number]).try_into().unwrap();
        SingleKeyring::software(&RootKey::from_bytes(&root_key))
    }

    fn context(&self) -> EncryptionContext {
        EncryptionContext::new(self.context.clone()).unwrap()
    }

    fn change(&self, change: &Change) -> Rewrap {
        let mut rewrap = match change.to {
            Some(number) => Rewrap::to(self.keyring(number)),
            None => Rewrap::keeping(),
        };
        for &number in &change.add {
            rewrap = rewrap.add_key(self.keyring(number));
        }
        for &number in &change.remove {
            rewrap = rewrap.remove_key(self.keyring(number).key().clone());
        }
        rewrap
    }
}

#[test]
fn rewraps_give_the_same_bytes() {
    let vector = vectors().rewraps;
    let envelope = Envelope::new(vector.keyring(0));
    assert!(vector.cases.len() >= 7);
    for case in &vector.cases {
        let mut message = from_hex(&case.message);
        let change = vector.change(&case.change);
        let rewrapped = envelope
            .rewrap_with(&message, &vector.context(), &change)
            .unwrap();
        assert_eq!(rewrapped.is_changed, case.message != case.rewrapped);
        message.splice(..rewrapped.replaces, rewrapped.header);
        assert_eq!(message, from_hex(&case.rewrapped), "{}", case.comment);
    }
}

/// Each file that the journal names was half overwritten; the journal of the reference implementation
/// makes it whole.
#[test]
fn the_journal_makes_files_whole() {
    let vectors = vectors();
    let Vectors {
        rewraps, journal, ..
    } = &vectors;
    let keyring = MultiKeyring::new(rewraps.keyring(0)).opening_also(rewraps.keyring(1));
    let envelope = Envelope::new(keyring);
    for overwrite in &journal.overwrites {
        let directory = tempfile::tempdir().unwrap();
        for other in &journal.overwrites {
            let path = directory.path().join(&other.name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let case = rewraps
                .cases
                .iter()
                .find(|case| case.message.starts_with(&other.old));
            let mut message = from_hex(&case.unwrap().message);
            if other.name == overwrite.name {
                let new = from_hex(&other.new);
                let half = new.len() / 2;
                message[..half].copy_from_slice(&new[..half]);
            }
            fs::write(path, message).unwrap();
        }
        let journal_path = directory.path().join(".waxseal-rewrap");
        fs::write(&journal_path, from_hex(&journal.journal)).unwrap();
        let report = waxseal::RewrapJob::new(&envelope, Rewrap::keeping())
            .run_directory(directory.path(), |_| Some(rewraps.context()))
            .unwrap();
        assert_eq!((report.recovered, report.current), (1, 2), "{report:?}");
        let path = directory.path().join(&overwrite.name);
        let message = fs::read(&path).unwrap();
        let (header, _) = Header::parse(&message).unwrap();
        assert_eq!(message[..header.len()], from_hex(&overwrite.new));
        let current = rewrap_file(&path, &envelope, &rewraps.context(), &Rewrap::keeping());
        assert_eq!(current.unwrap(), FileRewrap::Current);
    }
}

#[test]
fn the_subject_opens_and_its_proof_verifies() {
    let vector = vectors().subject;
    let store = MemoryKeyStore::new();
    for record in &vector.records {
        let id = RecordId::new(from_hex(&record.id)).unwrap();
        let address = RecordKey::new(Collection::new(&record.collection).unwrap(), id);
        let put = Transaction::new().put(address, Expected::Absent, from_hex(&record.bytes));
        store.commit(&put).unwrap();
    }
    let root_key = from_hex(&vector.root_key).try_into().unwrap();
    let provider = SoftwareKeyProvider::new(&RootKey::from_bytes(&root_key));
    let kms = Kms::open(store, provider).unwrap().as_principal("reader");
    let envelope = Envelope::new(kms.subject_keyring(vector.key, &vector.name).unwrap());
    let context = EncryptionContext::new(vector.context).unwrap();
    let opened = envelope
        .decrypt(&from_hex(&vector.sealed), &context)
        .unwrap();
    assert_eq!(*opened, *vector.plaintext.as_bytes());
    let refused = envelope.decrypt(&from_hex(&vector.erased), &context);
    let Err(Error::Kms(error)) = refused else {
        panic!("{refused:?}")
    };
    assert!(matches!(*error, KmsError::SubjectErased { .. }), "{error}");

    let told = kms.describe_subject(vector.key, &vector.name).unwrap();
    assert_eq!(
        serde_json::to_value(&told.erasures[0]).unwrap(),
        vector.proof
    );
    let proof: ErasureProof = serde_json::from_value(vector.proof).unwrap();
    kms.verify_erasure(&proof, Some(&vector.name)).unwrap();
}
