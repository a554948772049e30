//! What is written before headers are overwritten in place (`FORMAT.md`, "Journals of rewraps").

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Component, Path, PathBuf};

use super::durable::{sync_all, sync_directory};
use super::error::{At, RewrapFileError};
use super::sealed_file::{SealedFile, open_locked};
use super::{Rewrap, Rewrapped};
use crate::context::EncryptionContext;
use crate::crypto::{HASH_LEN, sha256};
use crate::envelope::EnvelopeEncryptor;
use crate::format::codec::Reader;
use crate::front::Front;

const FIRST_LINE: &[u8; 17] = b"waxseal rewrap 1\n";
/// Far more than a batch of headers takes.
const MAX_LEN: u64 = 1 << 26;

/// A journal that is locked, and in the directory that the paths in it begin from.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    directory: PathBuf,
    file: File,
}

/// One header to be overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overwrite {
    /// From the journal's directory, with slashes.
    name: Vec<u8>,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// A header to be overwritten, in a file that is open and locked.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) file: SealedFile,
    pub(super) old: Vec<u8>,
    pub(super) new: Vec<u8>,
}

impl Pending {
    pub(super) fn new(file: SealedFile, front: &Front, rewrapped: Rewrapped) -> Self {
        let old = front.as_bytes().get(..rewrapped.replaces);
        Self {
            file,
            old: old.unwrap_or_default().to_vec(),
            new: rewrapped.header,
        }
    }
}

/// How what an interrupted rewrap left is verified.
pub(super) struct Keys<'a> {
    pub(super) envelope: &'a dyn EnvelopeEncryptor,
    pub(super) context: &'a dyn Fn(&Path) -> Option<EncryptionContext>,
}

impl Journal {
    /// Opens the journal at a path for one who is to write it, and finishes what it says was begun;
    /// gives the number of headers that this made whole.
    pub(super) fn open(path: PathBuf, keys: &Keys<'_>) -> Result<(Self, u64), RewrapFileError> {
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(RewrapFileError::NoJournal { path });
        }
        let (file, _metadata) =
            open_locked(&path, OpenOptions::new().create(true).truncate(false))?;
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let journal = Self {
            path,
            directory,
            file,
        };
        let recovered = journal.recover(keys)?;
        sync_directory(&journal.directory).at("sync", &journal.directory)?;
        Ok((journal, recovered))
    }

    /// Overwrites headers, of which each is the old or the new one after a crash at any instant, or
    /// is told to be by the journal. Gives the number of bytes written.
    pub(super) fn overwrite(&self, pending: &[Pending]) -> Result<u64, RewrapFileError> {
        let mut overwrites = Vec::with_capacity(pending.len());
        for Pending { file, old, new } in pending {
            overwrites.push(Overwrite {
                name: self.name_of(&file.path)?,
                old: old.clone(),
                new: new.clone(),
            });
        }
        let bytes = encode(&overwrites);
        self.write(&bytes).at("write", &self.path)?;
        let mut written = bytes.len() as u64;
        for Pending { file, new, .. } in pending {
            file.overwrite(new)?;
            written += new.len() as u64;
        }
        sync_all(pending.iter().map(|pending| &pending.file)).at("sync", &self.directory)?;
        // Should this not become durable, the journal tells of headers that are whole.
        self.file.set_len(0).at("write", &self.path)?;
        Ok(written)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the journal, which is empty.
    pub(super) fn close(self) -> Result<(), RewrapFileError> {
        fs::remove_file(&self.path).at("remove", &self.path)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.rewind()?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    /// Makes all headers whole that the journal tells of, durably, and empties it.
    fn recover(&self, keys: &Keys<'_>) -> Result<u64, RewrapFileError> {
        let mut bytes = Vec::new();
        let mut file = (&self.file).take(MAX_LEN);
        file.read_to_end(&mut bytes).at("read", &self.path)?;
        let overwrites = match decode(&bytes) {
            Decoded::Overwrites(overwrites) => overwrites,
            // It was not durable yet, so nothing was overwritten.
            Decoded::Unfinished => Vec::new(),
            Decoded::Other => {
                return Err(RewrapFileError::NoJournal {
                    path: self.path.clone(),
                });
            }
        };
        let mut recovered = 0;
        let mut files = Vec::new();
        for overwrite in &overwrites {
            let path = self.path_of(&overwrite.name)?;
            let through_link = self.check_no_link(&path).at("open", &path);
            let file = match through_link.and_then(|()| SealedFile::open(&path)) {
                Ok(file) => file,
                Err(RewrapFileError::File { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            recovered += u64::from(self.make_whole(&file, overwrite, keys)?);
            files.push(file);
        }
        // Whole headers too may not be durable yet.
        sync_all(&files).at("sync", &self.directory)?;
        self.file.set_len(0).at("write", &self.path)?;
        Ok(recovered)
    }

    /// Writes a header again that was overwritten in part. False if there was no need to.
    fn make_whole(
        &self,
        file: &SealedFile,
        overwrite: &Overwrite,
        keys: &Keys<'_>,
    ) -> Result<bool, RewrapFileError> {
        let Overwrite { old, new, .. } = overwrite;
        let found = file.read_first(old.len())?;
        if found == *old || found == *new {
            return Ok(false);
        }
        let opens = |header: &[u8]| {
            let context = (keys.context)(&file.path);
            context.is_some_and(|context| {
                let kept = Rewrap::keeping();
                keys.envelope.rewrap_with(header, &context, &kept).is_ok()
            })
        };
        let is_mixed = found.len() == old.len()
            && found
                .iter()
                .zip(old.iter().zip(new))
                .all(|(found, (old, new))| found == old || found == new);
        if is_mixed {
            for header in [new, old] {
                if opens(header) {
                    file.overwrite(header)?;
                    return Ok(true);
                }
            }
        } else {
            let mut front = Front::default();
            file.read(&mut front)?;
            if opens(front.as_bytes()) {
                // Another message has taken its place.
                return Ok(false);
            }
        }
        Err(RewrapFileError::Unrecovered {
            path: file.path.clone(),
            journal: self.path.clone(),
        })
    }

    fn name_of(&self, path: &Path) -> Result<Vec<u8>, RewrapFileError> {
        let not_named = || RewrapFileError::File {
            action: "name",
            path: path.to_owned(),
            source: io::ErrorKind::InvalidFilename.into(),
        };
        let relative = path.strip_prefix(&self.directory);
        let relative = relative.map_err(|_| not_named())?;
        let mut name = Vec::new();
        for component in relative.components() {
            let Component::Normal(component) = component else {
                return Err(not_named());
            };
            if !name.is_empty() {
                name.push(b'/');
            }
            #[cfg(unix)]
            name.extend_from_slice(component.as_encoded_bytes());
            #[cfg(not(unix))]
            name.extend_from_slice(component.to_str().ok_or_else(not_named)?.as_bytes());
        }
        let fits = !name.is_empty() && u16::try_from(name.len()).is_ok();
        fits.then_some(name).ok_or_else(not_named)
    }

    /// The file that a name is of; never one outside of the directory.
    fn path_of(&self, name: &[u8]) -> Result<PathBuf, RewrapFileError> {
        let no_journal = || RewrapFileError::NoJournal {
            path: self.path.clone(),
        };
        #[cfg(unix)]
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
        #[cfg(not(unix))]
        let name = std::str::from_utf8(name).map_err(|_| no_journal())?;
        let relative = Path::new(name);
        let is_normal = |component| matches!(component, Component::Normal(_));
        if relative.file_name().is_some() && relative.components().all(is_normal) {
            Ok(self.directory.join(relative))
        } else {
            Err(no_journal())
        }
    }

    /// Refuses a path that a link may lead out of the directory.
    fn check_no_link(&self, path: &Path) -> io::Result<()> {
        let inside = path.ancestors().take_while(|part| *part != self.directory);
        for part in inside {
            if fs::symlink_metadata(part)?.is_symlink() {
                return Err(io::Error::other("a journal is not followed through a link"));
            }
        }
        Ok(())
    }
}

fn encode(overwrites: &[Overwrite]) -> Vec<u8> {
    let mut bytes = FIRST_LINE.to_vec();
    for Overwrite { name, old, new } in overwrites {
        bytes.push(1);
        bytes.extend(len_of(name));
        bytes.extend_from_slice(name);
        bytes.extend(len_of(old));
        bytes.extend_from_slice(old);
        bytes.extend_from_slice(new);
    }
    bytes.push(0);
    let hash = sha256(&[&bytes]);
    bytes.extend(hash);
    bytes
}

/// Names are checked, and headers are at most 65535 bytes.
fn len_of(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()
}

enum Decoded {
    Overwrites(Vec<Overwrite>),
    /// A journal that was not written to its end.
    Unfinished,
    /// No journal.
    Other,
}

fn decode(bytes: &[u8]) -> Decoded {
    // A crash may leave zeros where something was to be written.
    let mut first_line = bytes.iter().zip(FIRST_LINE);
    if first_line.any(|(&found, &expected)| found != expected && found != 0) {
        return Decoded::Other;
    }
    let Some((written, hash)) = bytes.split_last_chunk::<HASH_LEN>() else {
        return Decoded::Unfinished;
    };
    if sha256(&[written]) != *hash {
        return Decoded::Unfinished;
    }
    read(written).map_or(Decoded::Other, Decoded::Overwrites)
}

fn read(written: &[u8]) -> Option<Vec<Overwrite>> {
    const JOURNAL: &str = "journal";
    let mut reader = Reader::new(written);
    reader.take(FIRST_LINE.len(), JOURNAL).ok()?;
    let mut overwrites = Vec::new();
    while reader.u8(JOURNAL).ok()? == 1 {
        let name_len = reader.u16(JOURNAL).ok()?;
        let name = reader.take(name_len.into(), JOURNAL).ok()?;
        let header_len = usize::from(reader.u16(JOURNAL).ok()?);
        let old = reader.take(header_len, JOURNAL).ok()?;
        let new = reader.take(header_len, JOURNAL).ok()?;
        overwrites.push(Overwrite {
            name: name.to_vec(),
            old: old.to_vec(),
            new: new.to_vec(),
        });
    }
    reader.is_empty().then_some(overwrites)
}
