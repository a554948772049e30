//! 10,000 sealed files, a key that is rotated, all files rewrapped, and the old version destroyed once
//! nothing is under it.
//!
//! `cargo run --release --example rotate_everything`, or with a number of files of your own.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use waxseal::{
    CreateKey, DirectoryInventory, EncryptionContext, Envelope, EnvelopeEncryptor, Kms, Rewrap,
    RewrapJob, RootKey, SoftwareKeyProvider, SqliteKeyStore,
};

const FILE_LEN: usize = 64 * 1024;
const FILES: NonZero<usize> = NonZero::new(10_000).unwrap();

fn main() -> Result<(), Box<dyn Error>> {
    let count: NonZero<usize> = match std::env::args().nth(1) {
        Some(count) => count
            .parse()
            .map_err(|_| format!("{count:?} is no number of files, of which there must be some"))?,
        None => FILES,
    };
    let directory = tempfile::tempdir()?;
    let files = directory.path().join("files");
    let store = SqliteKeyStore::create(directory.path().join("keys.db"))?;
    let kms = Kms::open(store, SoftwareKeyProvider::new(&RootKey::generate()?))?;
    // From now on nothing is destroyed that these files need.
    kms.register_inventory(DirectoryInventory::new(&files));
    let ops = kms.as_principal("ops:alice");
    let key = ops
        .create_key(CreateKey::new().with_description("documents"))?
        .id;
    let envelope = Envelope::new(ops.keyring(key)?);

    seal_files(&files, count.get(), &envelope)?;
    println!("{}\n", DirectoryInventory::new(&files).count()?);

    let old = ops.describe_key(key)?.primary;
    let new = ops.rotate_now(key)?;
    println!("rotated: version {new} wraps from now on, version {old} still unwraps");
    let refused = ops.destroy_version(key, old).err().ok_or("it was in use")?;
    println!("refused: {refused}\n");

    let began = Instant::now();
    let report = RewrapJob::new(&envelope, Rewrap::new())
        .with_progress(|report| {
            if report.looked_at % 2500 == 0 {
                print!("{}... ", report.looked_at);
                let _ = io::stdout().flush();
            }
            ControlFlow::Continue(())
        })
        .run_directory(&files, context_of)?;
    println!("\n{report}");
    println!(
        "{:?}, {} bytes written for each file of {FILE_LEN}\n",
        began.elapsed(),
        report.bytes_written / report.rewrapped.max(1)
    );
    assert!(report.is_complete());

    println!("{}\n", DirectoryInventory::new(&files).count()?);
    ops.destroy_version(key, old)?;
    println!("version {old} is destroyed");
    for version in ops.list_versions(key)? {
        println!("  version {}: {}", version.version, version.state);
    }
    let path = files.join("0/document-0.sealed");
    let context = context_of(&path).ok_or("no context")?;
    assert_eq!(
        envelope.decrypt(&fs::read(path)?, &context)?.len(),
        FILE_LEN
    );
    println!("and all {count} files open");
    Ok(())
}

fn seal_files(files: &Path, count: usize, envelope: &Envelope) -> Result<(), Box<dyn Error>> {
    for number in 0..count {
        let path = files.join(format!("{}/document-{number}.sealed", number % 16));
        fs::create_dir_all(path.parent().ok_or("no directory")?)?;
        let context = context_of(&path).ok_or("no context")?;
        fs::write(path, envelope.encrypt(&vec![7; FILE_LEN], &context)?)?;
    }
    Ok(())
}

/// What each file was sealed with: here, what it is.
fn context_of(path: &Path) -> Option<EncryptionContext> {
    let name = path.file_name()?.to_str()?;
    EncryptionContext::new([("document", name)]).ok()
}
