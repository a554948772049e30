//! Bring your own key: the material of a key is made and wrapped by `openssl`, elsewhere, and
//! imported.
//!
//!     cargo run --example import_key
//!
//! It works in a folder of its own, which is gone at the end.

use std::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use waxseal::kms::ImportParameters;
use waxseal::{
    CreateKey, EncryptionContext, ImportWrapping, Kms, MemoryKeyStore, RootKey, SoftwareKeyProvider,
};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let provider = SoftwareKeyProvider::new(&RootKey::generate()?);
    let kms = Kms::open(MemoryKeyStore::new(), provider)?.as_principal("ops:alice");

    let key = kms.create_key(CreateKey::new().for_import())?;
    println!("The key {} is {}", key.id, key.state);

    // The KMS gives out a public key, and a token that holds the private half, sealed.
    let parameters = ImportParameters::new(ImportWrapping::RsaOaepSha256);
    let given = kms.get_parameters_for_import(&key, parameters)?;
    fs::write(folder.join("public.pem"), &given.public_key_pem)?;
    println!("public.pem wraps its material until {}", given.valid_until);

    // This is done where the material is, and needs nothing but these two commands.
    openssl(folder, "rand -out material.bin 32")?;
    openssl(
        folder,
        "pkeyutl -encrypt -pubin -inkey public.pem -in material.bin -out wrapped.bin \
         -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256",
    )?;

    let wrapped = fs::read(folder.join("wrapped.bin"))?;
    kms.import_key_material(&key, &given.token, &wrapped, None)?;
    println!("The key is {}", kms.describe_key(&key)?.state);

    let context = EncryptionContext::new([("tenant", "acme")])?;
    let sealed = kms.encrypt(&key, b"4111 1111 1111 1111", &context)?;

    // Destroyed here, the material is still with its owner, who can bring it back.
    kms.delete_imported_key_material(&key)?;
    println!("The key is {}", kms.describe_key(&key)?.state);
    if let Err(error) = kms.decrypt(&sealed.bytes, &context) {
        println!("Nothing opens: {error}");
    }
    kms.import_key_material(&key, &given.token, &wrapped, None)?;
    let opened = kms.decrypt(&sealed.bytes, &context)?;
    println!("Back again: {}", String::from_utf8_lossy(&opened.plaintext));
    Ok(())
}

fn openssl(folder: &Path, arguments: &str) -> Result<(), Box<dyn Error>> {
    println!(
        "$ openssl {}",
        arguments.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    let run = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .status();
    match run {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("openssl failed: {status}").into()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err("the program openssl is missing; install it: apt-get install openssl".into())
        }
        Err(error) => Err(error.into()),
    }
}
