//! Whatever a backup says, restoring it ends without a panic, and where it is refused the store is as it
//! was; a backup that was changed after it was sealed never opens.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use waxseal::kms::{Backup, CreateGrant, KmsError, Operation};
use waxseal::{
    CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, KeyStore, Kms, ListKeys, MemoryKeyStore,
    MessageOptions, RootKey, SingleKeyring, SoftwareKeyProvider,
};

/// What the payload of a backup is bound to (FORMAT.md, section 21).
const AAD: &[u8] = b"waxseal/v1/kms-backup\0";
const WHO: &str = "ops:fuzz";

struct Estate {
    envelope: Envelope,
    software: SoftwareKeyProvider,
    file: Vec<u8>,
    payload: Vec<u8>,
}

static ESTATE: LazyLock<Estate> = LazyLock::new(|| {
    let envelope = Envelope::new(SingleKeyring::software(&RootKey::from_bytes(&[1; 32])));
    let software = SoftwareKeyProvider::new(&RootKey::from_bytes(&[2; 32]));
    let kms = Kms::open(MemoryKeyStore::new(), software.clone()).unwrap().as_principal(WHO);
    let key = kms.create_key(CreateKey::new()).unwrap().id;
    kms.create_alias("alias/a", key).unwrap();
    kms.create_grant(key, &CreateGrant::to("svc:a", [Operation::Decrypt])).unwrap();
    kms.create_subject(key, "person:1").unwrap();
    kms.rotate_now(key).unwrap();
    let mut file = Vec::new();
    kms.backup(&Backup::under(&envelope).with_software(&software), &mut file).unwrap();
    let empty = EncryptionContext::empty();
    let opened = envelope.decrypt_with(&file, MessageOptions::new(&empty).with_aad(AAD)).unwrap();
    let payload = opened.plaintext.to_vec();
    Estate { envelope, software, file, payload }
});

fuzz_target!(|bytes: &[u8]| {
    // As who can write the file may change it: it does not open.
    if restore(bytes).is_ok() {
        assert_eq!(*bytes, *ESTATE.file);
    }
    let file = edit(&ESTATE.file, bytes);
    assert_eq!(restore(&file).is_ok(), file == ESTATE.file);
    // As who has the key that it is sealed under too.
    let _refused_or_restored = restore(&sealed(bytes));
    let payload = edit(&ESTATE.payload, bytes);
    if payload == ESTATE.payload {
        restore(&sealed(&payload)).unwrap();
    } else {
        let _refused_or_restored = restore(&sealed(&payload));
    }
});

fn restore(file: &[u8]) -> Result<(), KmsError> {
    let Estate { envelope, software, .. } = &*ESTATE;
    let backup = Backup::under(envelope).with_software(software);
    let store = MemoryKeyStore::new();
    let restored = Kms::restore(&store, WHO, &backup, file);
    match &restored {
        // It may be a KMS that cannot be opened, or whose keys cannot be read: the key to it was the
        // forger's.
        Ok(_) => {
            if let Ok(kms) = Kms::open(store, software.clone()) {
                let kms = kms.as_principal(WHO);
                let _read_or_refused = kms.list_keys(&ListKeys::new());
                let _again = kms.restore(&backup, file);
            }
        }
        Err(_) => assert_eq!(store.latest().unwrap().get(), 0),
    }
    restored.map(drop)
}

fn sealed(payload: &[u8]) -> Vec<u8> {
    let empty = EncryptionContext::empty();
    let options = MessageOptions::new(&empty).with_aad(AAD);
    ESTATE.envelope.encrypt_with(payload, options).unwrap()
}

/// Each three bytes change a byte: where, as a part of the whole, and by what bits.
fn edit(genuine: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut edited = genuine.to_vec();
    for change in edits.as_chunks::<3>().0 {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]]));
        let at = at * edited.len() >> 16;
        edited[at] ^= change[2];
    }
    edited
}
