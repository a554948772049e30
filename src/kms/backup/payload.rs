//! The bytes inside of a backup (FORMAT.md, section 21).

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use super::error::BackupError;
use crate::crypto::KEY_LEN;
use crate::store::{Collection, MAX_RECORD_LEN, RecordId, RecordKey};

const FIRST_LINE: &[u8; 21] = b"waxseal kms backup 1\n";
/// The first line without its version.
const NAME_LEN: usize = 19;
const RECORD: u8 = 1;
const END: u8 = 0;

/// What opens the records.
pub(super) struct Secrets {
    pub(super) root_key: Zeroizing<[u8; KEY_LEN]>,
    pub(super) store_key: Zeroizing<[u8; KEY_LEN]>,
}

pub(super) struct PayloadWriter<W> {
    inner: W,
    count: u64,
}

pub(super) struct PayloadReader<R> {
    inner: R,
    count: u64,
}

impl<W: Write> PayloadWriter<W> {
    pub(super) fn new(mut inner: W, secrets: &Secrets) -> io::Result<Self> {
        inner.write_all(FIRST_LINE)?;
        inner.write_all(secrets.root_key.as_slice())?;
        inner.write_all(secrets.store_key.as_slice())?;
        Ok(Self { inner, count: 0 })
    }

    pub(super) fn put(&mut self, address: &RecordKey, bytes: &[u8]) -> io::Result<()> {
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        self.inner.write_all(&[RECORD])?;
        for name in [
            address.collection.as_str().as_bytes(),
            address.id.as_bytes(),
        ] {
            let len = u8::try_from(name.len()).map_err(too_long)?;
            self.inner.write_all(&[len])?;
            self.inner.write_all(name)?;
        }
        let len = u32::try_from(bytes.len()).map_err(too_long)?;
        self.inner.write_all(&len.to_be_bytes())?;
        self.inner.write_all(bytes)?;
        self.count += 1;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[END])?;
        self.inner.write_all(&self.count.to_be_bytes())?;
        Ok(self.inner)
    }
}

impl<R: Read> PayloadReader<R> {
    pub(super) fn new(mut inner: R) -> Result<(Self, Secrets), BackupError> {
        let mut line = [0; FIRST_LINE.len()];
        fill(&mut inner, &mut line)?;
        if line != *FIRST_LINE {
            return Err(if line.get(..NAME_LEN) == FIRST_LINE.get(..NAME_LEN) {
                BackupError::NewerVersion
            } else {
                not_a_backup("it does not begin as one")
            });
        }
        let mut secrets = Secrets {
            root_key: Zeroizing::new([0; KEY_LEN]),
            store_key: Zeroizing::new([0; KEY_LEN]),
        };
        fill(&mut inner, secrets.root_key.as_mut_slice())?;
        fill(&mut inner, secrets.store_key.as_mut_slice())?;
        Ok((Self { inner, count: 0 }, secrets))
    }

    /// The next record. Nothing when the backup is at its end, and the message too.
    pub(super) fn next(&mut self) -> Result<Option<(RecordKey, Vec<u8>)>, BackupError> {
        match self.byte()? {
            RECORD => {}
            END => return self.end().map(|()| None),
            _ => return Err(BackupError::NewerVersion),
        }
        let collection = self.name()?;
        let collection = std::str::from_utf8(&collection)
            .ok()
            .and_then(|name| Collection::new(name).ok())
            .ok_or(not_a_backup("a record is in no collection"))?;
        let id = RecordId::new(self.name()?);
        let id = id.map_err(|_| not_a_backup("a record has no id"))?;
        let mut len = [0; 4];
        fill(&mut self.inner, &mut len)?;
        let len = usize::try_from(u32::from_be_bytes(len))
            .ok()
            .filter(|len| *len <= MAX_RECORD_LEN)
            .ok_or(not_a_backup("a record is too long"))?;
        let mut bytes = vec![0; len];
        fill(&mut self.inner, &mut bytes)?;
        self.count += 1;
        Ok(Some((RecordKey::new(collection, id), bytes)))
    }

    fn end(&mut self) -> Result<(), BackupError> {
        let mut count = [0; 8];
        fill(&mut self.inner, &mut count)?;
        if u64::from_be_bytes(count) != self.count {
            return Err(not_a_backup(
                "it has another number of records than it says",
            ));
        }
        // The message is whole only if its end was seen.
        let mut more = [0];
        match self.inner.read(&mut more).map_err(BackupError::read)? {
            0 => Ok(()),
            _ => Err(not_a_backup("something comes after its end")),
        }
    }

    fn name(&mut self) -> Result<Vec<u8>, BackupError> {
        let mut name = vec![0; self.byte()?.into()];
        fill(&mut self.inner, &mut name)?;
        Ok(name)
    }

    fn byte(&mut self) -> Result<u8, BackupError> {
        let mut byte = 0;
        fill(&mut self.inner, std::slice::from_mut(&mut byte))?;
        Ok(byte)
    }
}

fn fill(inner: &mut impl Read, buffer: &mut [u8]) -> Result<(), BackupError> {
    inner.read_exact(buffer).map_err(|error| {
        // An end in the message that was cut off is another error.
        if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none() {
            not_a_backup("it ends too early")
        } else {
            BackupError::read(error)
        }
    })
}

pub(super) const fn not_a_backup(reason: &'static str) -> BackupError {
    BackupError::NotABackup { reason }
}
