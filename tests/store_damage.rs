//! A damaged SQLite store says so: what it gives is right, or an error that names the file.
#![cfg(feature = "sqlite")]

#[path = "common/stores.rs"]
mod stores;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use stores::{Contents, alias, key, put_new};
use tempfile::TempDir;
use waxseal::store::{Collection, RecordId, RecordKey, Transaction};
use waxseal::{KeyStore, SqliteKeyStore, StoreError};

const PAGE: usize = 4096;

/// A closed store and what is in it.
struct Sound {
    directory: TempDir,
    file: Vec<u8>,
    keys: Vec<RecordKey>,
    contents: Contents,
}

impl Sound {
    /// `large` records of a megabyte each come with it: more than what is verified at opening.
    fn new(large: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sound.db");
        let store = SqliteKeyStore::create(&path).unwrap();
        let mut keys = vec![key("replaced"), key("deleted"), key("never written")];
        let first = put_new(&store, &keys[0], b"old");
        let second = put_new(&store, &keys[1], b"old");
        store
            .commit(
                &Transaction::new()
                    .put(
                        keys[0].clone(),
                        waxseal::store::Expected::Revision(first.into()),
                        vec![1; 3 * PAGE],
                    )
                    .delete(keys[1].clone(), second.into()),
            )
            .unwrap();
        for n in 0..40_u8 {
            let mut id = [n; 16];
            id[0] = n.wrapping_mul(91);
            let key = RecordKey::new(Collection::KEYS, id.into());
            put_new(&store, &key, &vec![n; 300 + usize::from(n) * 20]);
            keys.push(key);
            let name = alias(&format!("{:030}", 997 * u32::from(n) % 100));
            put_new(&store, &name, &[n; 40]);
            keys.push(name);
        }
        for n in 0..large {
            let id = RecordId::new(format!("large-{n}")).unwrap();
            put_new(
                &store,
                &RecordKey::new(Collection::GRANTS, id),
                &vec![5; 1 << 20],
            );
        }
        let contents = Contents::read(&store, &keys).unwrap();
        drop(store);
        let file = fs::read(&path).unwrap();
        assert_eq!(file.len() % PAGE, 0);
        Self {
            directory,
            file,
            keys,
            contents,
        }
    }

    fn place(&self) -> PathBuf {
        self.directory.path().join("damaged.db")
    }

    /// Writes a damaged copy, reads everything, and looks that the copy is as it was.
    fn read_damaged(&self, file: &[u8]) -> Result<Contents, StoreError> {
        let path = self.place();
        fs::write(&path, file).unwrap();
        let read = SqliteKeyStore::open(&path).and_then(|store| Contents::read(&store, &self.keys));
        assert!(fs::read(&path).unwrap() == file, "the file was changed");
        if let Err(error) = &read {
            assert_names(error, &path);
        }
        read
    }

    /// Whether the damage is noticed. If not, it must do no harm.
    fn notices(&self, file: &[u8]) -> bool {
        match self.read_damaged(file) {
            Ok(contents) => {
                assert_eq!(contents, self.contents);
                false
            }
            Err(_) => true,
        }
    }

    /// Whether an opened store that is damaged says so by `verify`. What it says of its records
    /// otherwise is right.
    fn is_noticed_later(&self, store: &SqliteKeyStore, path: &Path) -> bool {
        for (key, sound) in self.keys.iter().zip(&self.contents.found) {
            match store.get(key) {
                Ok(found) => {
                    let found = found.map(|record| (record.revision.get(), record.bytes));
                    assert_eq!(found, *sound, "{key}");
                }
                Err(error) => assert_names(&error, path),
            }
        }
        match store.verify() {
            Ok(()) => {
                assert_eq!(Contents::read(store, &self.keys).unwrap(), self.contents);
                false
            }
            Err(error) => {
                assert_names(&error, path);
                true
            }
        }
    }
}

fn assert_names(error: &StoreError, path: &Path) {
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    assert!(
        matches!(
            error,
            StoreError::Corrupt { .. }
                | StoreError::NotAStore { .. }
                | StoreError::NewerSchema { .. }
        ),
        "{error:?}"
    );
}

/// Places of a page to damage: all that steers SQLite, and some of the rest.
fn places() -> impl Iterator<Item = usize> {
    let header = 0..20;
    let of_first_page = 20..108;
    header
        .chain(of_first_page.step_by(3))
        .chain((108..PAGE).step_by(83))
        .chain([PAGE - 1])
}

#[test]
fn every_page_flipped_in_turn() {
    let sound = Sound::new(0);
    for page in 0..sound.file.len() / PAGE {
        let mut noticed = 0;
        for (number, place) in places().enumerate() {
            let mut file = sound.file.clone();
            file[page * PAGE + place] ^= [0x01, 0x80, 0xff][number % 3];
            noticed += usize::from(sound.notices(&file));
        }
        assert!(noticed > 0, "page {page}");
    }
}

/// Byte 18 says which version of SQLite's format may write to the file.
#[test]
fn a_header_that_forbids_writing() {
    let sound = Sound::new(0);
    let mut file = sound.file.clone();
    file[18] = 3;
    assert!(sound.notices(&file));
}

#[test]
fn every_page_lost_or_misplaced() {
    let sound = Sound::new(0);
    let pages: Vec<&[u8]> = sound.file.chunks(PAGE).collect();
    let with = |page: usize, contents: &[u8]| {
        let mut file = sound.file.clone();
        file[page * PAGE..][..PAGE].copy_from_slice(contents);
        file
    };
    for page in 0..pages.len() {
        assert!(sound.notices(&with(page, &[0; PAGE])), "page {page} zeroed");
        assert!(
            sound.notices(&with(page, &[0xff; PAGE])),
            "page {page} filled"
        );
        let other = pages[(page + 1) % pages.len()];
        assert!(sound.notices(&with(page, other)), "page {page} misplaced");
    }
}

#[test]
fn truncated_at_every_page() {
    let sound = Sound::new(0);
    for len in (0..sound.file.len()).step_by(PAGE) {
        assert!(sound.notices(&sound.file[..len]), "{len} bytes");
        assert!(
            sound.notices(&sound.file[..len + 1000]),
            "{len} bytes and more"
        );
    }
}

/// A store over the size that is verified at opening: a record never seems absent or other than it
/// was, and `verify` notices what else is wrong.
#[test]
fn a_large_store_is_damaged() {
    let sound = Sound::new(5);
    let path = sound.place();
    fs::write(&path, &sound.file).unwrap();
    // Those of the small records, and some of the large.
    for page in 0..30 {
        let mut noticed = 0;
        for (number, place) in places().enumerate().skip(page % 8).step_by(8) {
            let place = page * PAGE + place;
            let sound_byte = sound.file[place];
            overwrite(
                &path,
                place,
                sound_byte ^ [0x01, 0x80, 0xff][number / 8 % 3],
            );
            match SqliteKeyStore::open(&path) {
                Ok(store) => noticed += usize::from(sound.is_noticed_later(&store, &path)),
                Err(error) => {
                    assert_names(&error, &path);
                    noticed += 1;
                }
            }
            overwrite(&path, place, sound_byte);
        }
        assert!(noticed > 0, "page {page}");
    }
    let same = fs::read(&path).unwrap() == sound.file;
    assert!(same, "the file was changed");
}

fn overwrite(path: &Path, place: usize, byte: u8) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(place as u64)).unwrap();
    file.write_all(&[byte]).unwrap();
}
