//! One file.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use super::Rewrap;
use super::error::{At, RewrapFileError};
use super::journal::{Journal, Keys, Pending};
use super::sealed_file::{JOURNAL_SUFFIX, SealedFile, beside};
use crate::context::EncryptionContext;
use crate::envelope::EnvelopeEncryptor;
use crate::front::Front;

/// What became of a file that was to be rewrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileRewrap {
    /// It was already as it should be.
    Current,
    /// Its header was overwritten in place.
    InPlace,
    /// It was copied behind its new header.
    Copied,
}

/// Rewraps the message, or the header for records, in a file, durably. The payload is neither read
/// nor decrypted; it is copied only if the header has to become longer or shorter and there is no
/// [room](crate::Envelope::with_room) in it. A copy has the permissions of the file, and its owner if
/// the process may give it away; other names of the file (hard links) still lead to the old one.
///
/// A crash at any instant leaves the file as it was or as it is to be, but for one case: a power cut
/// may leave a header half overwritten. Beside it is then a journal, named as the file with
/// `.waxseal-rewrap` at the end, with which the next call makes the file whole first, whatever it is
/// asked. For many files, [`RewrapJob`](super::RewrapJob) is faster.
///
/// Of a link, the file that it leads to is rewrapped, and the journal is beside that.
///
/// # Errors
///
/// [`RewrapFileError`]. The file opens as it did before, unless the error says otherwise.
pub fn rewrap_file(
    path: impl AsRef<Path>,
    envelope: &dyn EnvelopeEncryptor,
    context: &EncryptionContext,
    change: &Rewrap,
) -> Result<FileRewrap, RewrapFileError> {
    let path = &*without_link(path.as_ref())?;
    let keys = Keys {
        envelope,
        context: &|_path| Some(context.clone()),
    };
    let journal = || Journal::open(beside(path, JOURNAL_SUFFIX), &keys);
    if beside(path, JOURNAL_SUFFIX).exists() {
        let (journal, _recovered) = journal()?;
        journal.close()?;
    }
    let file = SealedFile::open(path)?;
    let mut front = Front::default();
    file.read(&mut front)?;
    let rewrapped = file.rewrapped(envelope, &front, context, change)?;
    if !rewrapped.is_changed {
        return Ok(FileRewrap::Current);
    }
    if !rewrapped.fits_in_place() {
        file.splice(&rewrapped)?;
        return Ok(FileRewrap::Copied);
    }
    let (journal, _recovered) = journal()?;
    journal.overwrite(&[Pending::new(file, &front, rewrapped)])?;
    journal.close()?;
    Ok(FileRewrap::InPlace)
}

/// The path of what a link leads to.
fn without_link(path: &Path) -> Result<Cow<'_, Path>, RewrapFileError> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        Ok(fs::canonicalize(path).at("open", path)?.into())
    } else {
        Ok(path.into())
    }
}
