//! Making what was written durable.

use std::fs::File;
use std::io;
use std::path::Path;

use super::sealed_file::SealedFile;

/// Makes new and renamed files of a directory durable.
#[cfg(unix)]
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}

/// Where directories cannot be opened, the file system sees to it.
#[cfg(not(unix))]
pub(super) fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes the bytes of files durable. Many are so by one call for each file system, which costs as
/// much as one or two calls for single files.
pub(super) fn sync_all<'f>(files: impl IntoIterator<Item = &'f SealedFile>) -> io::Result<()> {
    let files: Vec<_> = files.into_iter().collect();
    if files.len() >= MANY {
        sync_file_systems(&files)
    } else {
        files.iter().try_for_each(|file| file.file.sync_data())
    }
}

const MANY: usize = 4;

/// Since Linux 5.8, `syncfs` tells of failed writes.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn sync_file_systems(files: &[&SealedFile]) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    let mut synced = Vec::new();
    for file in files {
        let device = file.metadata.dev();
        if !synced.contains(&device) {
            rustix::fs::syncfs(&file.file)?;
            synced.push(device);
        }
    }
    Ok(())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sync_file_systems(files: &[&SealedFile]) -> io::Result<()> {
    files.iter().try_for_each(|file| file.file.sync_data())
}
