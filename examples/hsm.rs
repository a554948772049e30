//! A key that never leaves its token: SoftHSM from nothing, a key in it, messages under the key, the
//! token taken away and given back.
//!
//!     cargo run --features pkcs11 --example hsm
//!
//! For a real HSM the five commands at the beginning are the vendor's, and the rest stays.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use waxseal::pkcs11::{PinSource, Pkcs11Config, Pkcs11KeyProvider, Vendor};
use waxseal::{
    CachingKeyring, CreateKey, CreateKeyRequest, EncryptionContext, Envelope, EnvelopeEncryptor,
    KeyProvider, Kms, MemoryKeyStore, SingleKeyring, inspect,
};

const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

/// In the second process: the folder that the first one prepared.
const FOLDER: &str = "WAXSEAL_HSM_EXAMPLE";

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::var_os(FOLDER) {
        Some(folder) => use_token(Path::new(&folder)),
        None => prepare_token(),
    }
}

/// SoftHSM reads its configuration when it is loaded, so the token is used by a process of its own.
fn prepare_token() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let folder = directory.path();
    println!("1. A token is made, as an administrator does, once:");
    let store = folder.join("tokens");
    let configuration = folder.join("softhsm2.conf");
    let pin = folder.join("pin");
    fs::create_dir(&store)?;
    fs::write(
        &configuration,
        format!("directories.tokendir = {}\n", store.display()),
    )?;
    fs::write(&pin, "271828\n")?;
    fs::set_permissions(&pin, fs::Permissions::from_mode(0o600))?;
    println!("   export SOFTHSM2_CONF={}", configuration.display());
    let arguments = "--init-token --free --label demo --so-pin 314159 --pin 271828";
    println!("   softhsm2-util {arguments}");
    let made = Command::new("softhsm2-util")
        .args(arguments.split(' '))
        .env("SOFTHSM2_CONF", &configuration)
        .output()
        .map_err(|_| "softhsm2-util is missing; install it: apt-get install softhsm2")?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into());
    }
    let status = Command::new(std::env::current_exe()?)
        .env("SOFTHSM2_CONF", &configuration)
        .env(FOLDER, folder)
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err("the part that uses the token failed".into()),
    }
}

fn use_token(folder: &Path) -> Result<(), Box<dyn Error>> {
    println!(
        "2. The application opens it. It knows the PIN's file, and nothing else that is secret."
    );
    let config = Pkcs11Config::new(module()?)
        .with_token_label("demo")
        .with_pin(PinSource::file(folder.join("pin")));
    let provider = Pkcs11KeyProvider::open(config)?.with_wrapping(Vendor::SoftHsm);
    println!("   {provider:?}");
    println!("   new keys wrap by mechanism {}", provider.mechanism()?);

    println!("3. It makes a key in the token. What it stores is the key's handle:");
    let handle = provider.create_key(CreateKeyRequest::default())?;
    println!("   {} bytes that are no secret", handle.as_bytes().len());
    for key in provider.list_keys()? {
        println!("   in the token: {key}");
    }

    println!("4. It seals and opens. The token wraps the data key of each message.");
    let envelope = Envelope::new(SingleKeyring::new(provider.clone(), handle.clone())?);
    let context = EncryptionContext::new([("tenant", "acme")])?;
    let message = envelope.encrypt(b"4242 4242 4242 4242", &context)?;
    for key in inspect(&message)?.wrapped_keys {
        println!("   the message names its key: {key}");
    }
    let payload = envelope.decrypt(&message, &context)?;
    println!("   opened: {}", String::from_utf8_lossy(&payload));
    let elsewhere = EncryptionContext::new([("tenant", "other")])?;
    println!(
        "   for another tenant: {}",
        refused(envelope.decrypt(&message, &elsewhere))
    );

    println!("5. A caching keyring asks the token seldom: a data key seals many messages.");
    let keyring = SingleKeyring::new(provider.clone(), handle)?;
    let caching = Envelope::new(CachingKeyring::new(keyring));
    for number in 0..10_000 {
        caching.encrypt(format!("message {number}").as_bytes(), &context)?;
    }
    println!("   10,000 messages sealed");

    println!("6. Somebody takes the token away, and gives it back.");
    let (store, away) = (folder.join("tokens"), folder.join("away"));
    fs::rename(&store, &away)?;
    fs::create_dir(&store)?;
    println!("   {}", refused(envelope.decrypt(&message, &context)));
    fs::remove_dir(&store)?;
    fs::rename(&away, &store)?;
    let payload = retry(|| envelope.decrypt(&message, &context))?;
    println!("   opened again: {}", String::from_utf8_lossy(&payload));

    println!("7. A KMS over the token: each version of its keys is a key in there.");
    let kms = Kms::open(MemoryKeyStore::new(), provider.clone())?;
    let admin = kms.as_principal("ops:alice");
    let key = admin.create_key(CreateKey::new())?;
    let invoice = admin.encrypt(&key, b"an invoice", &context)?;
    admin.rotate_now(&key)?;
    let opened = admin.decrypt(&invoice.bytes, &context)?;
    println!(
        "   opened after rotation: {}",
        String::from_utf8_lossy(&opened.plaintext)
    );
    println!("   {} keys in the token", provider.list_keys()?.len());
    Ok(())
}

fn module() -> Result<PathBuf, &'static str> {
    let mut modules = MODULES.iter().map(PathBuf::from);
    modules
        .find(|path| path.exists())
        .ok_or("SoftHSM's module is missing; install it: apt-get install softhsm2")
}

fn refused<T>(result: Result<T, waxseal::Error>) -> String {
    match result {
        Ok(_) => "not refused".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Retries what may succeed later, for ten seconds.
fn retry<T>(mut attempt: impl FnMut() -> Result<T, waxseal::Error>) -> Result<T, waxseal::Error> {
    for _ in 0..100 {
        match attempt() {
            Err(error) if error.is_retryable() => {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            answer => return answer,
        }
    }
    attempt()
}
