//! What processes do that live with the KMS of an SQLite file until something ends them, and what must
//! then be found of it.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use waxseal::{
    CreateKey, EncryptionContext, KeyId, KeyState, Kms, KmsError, KmsHandle, ListKeys,
    RandomSource, RootKey, SoftwareKeyProvider, SqliteKeyStore, SystemRandom, WaitingPeriod,
};

use super::process::{place, say};

/// Lives until it is killed or something fails, and says what it was told was done.
pub fn live(kms: &KmsHandle) -> KmsError {
    match try_to_live(kms) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn try_to_live(kms: &KmsHandle) -> Result<Infallible, KmsError> {
    let context = EncryptionContext::empty();
    let mut keys: Vec<KeyId> = Vec::new();
    loop {
        let key = match keys.len() {
            0..3 => None,
            len => keys
                .get(usize::try_from(random(len as u64 + 1)).unwrap())
                .copied(),
        };
        let Some(key) = key else {
            let key = kms.create_key(CreateKey::new())?.id;
            say(format_args!("created {key}"));
            keys.push(key);
            continue;
        };
        match random(8) {
            0 => {
                let version = kms.rotate_now(key)?;
                say(format_args!("rotated {key} {version}"));
            }
            1 => {
                kms.create_alias(&format!("alias/{}", random(u64::MAX)), key)?;
            }
            2 if keys.len() > 6 => {
                kms.schedule_deletion(key, WaitingPeriod::days(7).unwrap())?;
                say(format_args!("deleting {key}"));
                keys.retain(|&other| other != key);
            }
            _ => {
                let sealed = kms.encrypt(key, b"payload", &context)?;
                let hex = base16ct::lower::encode_string(&sealed.bytes);
                say(format_args!("sealed {key} {hex}"));
            }
        }
    }
}

/// What children were told was done.
#[derive(Default)]
pub struct Acknowledged {
    /// The keys, and the last version of each that was made primary.
    pub keys: BTreeMap<String, u32>,
    pub sealed: Vec<(String, Vec<u8>)>,
    pub deleting: BTreeSet<String>,
}

impl Acknowledged {
    pub fn hear(&mut self, said: &str) {
        let words: Vec<&str> = said.split(' ').collect();
        match words[..] {
            ["created", key] => drop(self.keys.insert(key.to_owned(), 1)),
            ["rotated", key, version] => {
                self.keys.insert(key.to_owned(), version.parse().unwrap());
            }
            ["sealed", key, hex] => {
                let bytes = base16ct::lower::decode_vec(hex).unwrap();
                self.sealed.push((key.to_owned(), bytes));
            }
            ["deleting", key] => drop(self.deleting.insert(key.to_owned())),
            _ => panic!("the child said {said:?}"),
        }
    }

    /// Checks the keys, and the messages from number `first` on.
    pub fn check(&self, kms: &KmsHandle, first: usize) {
        for (key, &version) in &self.keys {
            let found = kms.describe_key(key).unwrap();
            assert!(found.primary.get() >= version, "{key} lost a version");
        }
        check_primaries(kms);
        // A deletion may have been scheduled, and the child killed before it could say so.
        let is_deleting = |key: &&String| {
            kms.describe_key(key.as_str()).unwrap().state == KeyState::PendingDeletion
        };
        let deleting: BTreeSet<_> = self.keys.keys().filter(is_deleting).cloned().collect();
        assert!(deleting.is_superset(&self.deleting));
        for key in &deleting {
            kms.cancel_deletion(key).unwrap();
            kms.enable_key(key).unwrap();
        }
        let context = EncryptionContext::empty();
        for (key, message) in &self.sealed[first..] {
            let opened = kms.decrypt(message, &context).unwrap();
            assert_eq!(*opened.plaintext, *b"payload");
            assert_eq!(opened.key.to_string(), *key);
        }
        for key in &deleting {
            kms.schedule_deletion(key, WaitingPeriod::days(7).unwrap())
                .unwrap();
        }
    }
}

pub fn check_primaries(kms: &KmsHandle) {
    let mut request = ListKeys::new();
    loop {
        let page = kms.list_keys(&request).unwrap();
        for key in &page.keys {
            let versions = kms.list_versions(key).unwrap();
            let primaries = versions.iter().filter(|version| version.primary).count();
            assert_eq!(primaries, 1, "{}", key.id);
        }
        match page.next {
            Some(next) => request = ListKeys::new().after(next),
            None => return,
        }
    }
}

pub fn new_store() -> (TempDir, PathBuf) {
    let (directory, path) = place();
    drop(open(&path, "founder"));
    (directory, path)
}

pub fn open(path: &Path, name: &str) -> KmsHandle {
    let provider = SoftwareKeyProvider::new(&RootKey::from_bytes(&[0x11; 32]));
    Kms::open(SqliteKeyStore::open_or_create(path).unwrap(), provider)
        .unwrap()
        .as_principal(name)
}

pub fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    SystemRandom.fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below
}
