//! The whole life of a key in a KMS over an SQLite file: made, used, rotated, disabled, deleted. A
//! clock that is moved by hand does the waiting.
//!
//!     cargo run --example kms_tour

use std::error::Error;
use std::time::Duration;

use waxseal::{
    CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, KeySpec, Kms, KmsHandle,
    ManualClock, MessageInput, RootKey, RotationPolicy, SigningAlgorithm, SoftwareKeyProvider,
    SqliteKeyStore, WaitingPeriod, inspect,
};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("keys.db");
    let root_key = RootKey::generate()?;
    let clock = ManualClock::default();
    let open = || {
        Kms::builder(SqliteKeyStore::open_or_create(&path)?)
            .provider(SoftwareKeyProvider::new(&root_key))
            .clock(clock.clone())
            .open()
            .map_err(Box::<dyn Error>::from)
    };
    let admin = open()?.as_principal("ops:alice");
    let billing = open()?.as_principal("svc:billing");

    println!("1. {} makes a key, and a name for it.", admin.principal());
    let key = admin.create_key(
        CreateKey::new()
            .with_description("invoices")
            .with_tag("team", "billing")
            .with_rotation(RotationPolicy::every_days(90)),
    )?;
    admin.create_alias("alias/invoices", &key)?;
    println!("   key {}, {}, {}", key.id, key.spec, key.state);

    println!("2. {} seals an invoice under it.", billing.principal());
    let context = EncryptionContext::new([("tenant", "acme")])?;
    let envelope = Envelope::new(billing.keyring("alias/invoices")?);
    let first = envelope.encrypt(b"invoice 1: 100 EUR", &context)?;
    show_key(&first)?;

    println!("3. 91 days pass. The key is rotated by itself; the old invoice still opens.");
    wait(&clock, &admin, 91)?;
    let second = envelope.encrypt(b"invoice 2: 200 EUR", &context)?;
    show_key(&second)?;
    for message in [&first, &second] {
        let invoice = envelope.decrypt(message, &context)?;
        println!("   opened: {}", String::from_utf8_lossy(&invoice));
    }

    println!("4. The program ends and starts again: all of it is in the file.");
    drop((envelope, billing, admin));
    let kms = open()?;
    let admin = kms.as_principal("ops:alice");
    let envelope = Envelope::new(kms.as_principal("svc:billing").keyring("alias/invoices")?);
    for version in admin.list_versions("alias/invoices")? {
        let primary = if version.primary { ", primary" } else { "" };
        println!(
            "   version {} of {}{primary}",
            version.version, version.created
        );
    }

    println!("5. A key that signs, in the same store.");
    let signer = admin.create_key(CreateKey::new().with_spec(KeySpec::Ed25519))?;
    let statement = MessageInput::Raw(b"the invoices of May are complete");
    let signature = admin.sign(&signer, SigningAlgorithm::Ed25519, statement)?;
    admin.get_public_key(&signer)?.verify(
        SigningAlgorithm::Ed25519,
        statement,
        signature.as_bytes(),
    )?;
    println!(
        "   {} bytes of signature, verified with the public key alone",
        signature.as_bytes().len()
    );

    println!("6. The key is disabled. The very next call is refused:");
    admin.disable_key("alias/invoices")?;
    show_refusal(envelope.decrypt(&first, &context));
    admin.enable_key("alias/invoices")?;

    println!("7. Its deletion is scheduled, regretted and cancelled.");
    admin.schedule_deletion("alias/invoices", WaitingPeriod::days(7)?)?;
    show_refusal(envelope.decrypt(&first, &context));
    admin.cancel_deletion("alias/invoices")?;
    admin.enable_key("alias/invoices")?;
    println!(
        "   cancelled; opened again: {} bytes",
        envelope.decrypt(&first, &context)?.len()
    );

    println!("8. Then it is deleted after all. The waiting period over, it is gone:");
    admin.schedule_deletion(key.id, WaitingPeriod::days(7)?)?;
    wait(&clock, &admin, 8)?;
    let envelope = Envelope::new(admin.keyring(key.id)?);
    show_refusal(envelope.decrypt(&first, &context));
    Ok(())
}

/// Lets days pass, and does what is due then.
fn wait(clock: &ManualClock, admin: &KmsHandle, days: u64) -> Result<(), Box<dyn Error>> {
    clock.advance(Duration::from_secs(days * 24 * 60 * 60));
    let report = admin.tick()?;
    for (key, version) in report.promoted {
        println!("   tick: version {version} of {key} is primary");
    }
    for key in report.deleted {
        println!("   tick: {key} is deleted");
    }
    Ok(())
}

fn show_key(message: &[u8]) -> Result<(), Box<dyn Error>> {
    let inspection = inspect(message)?;
    for key in &inspection.wrapped_keys {
        println!(
            "   {} bytes, under version {} of {}",
            message.len(),
            key.key_version.map_or(0, |version| version.get()),
            key.key
        );
    }
    Ok(())
}

fn show_refusal<T>(result: Result<T, waxseal::Error>) {
    if let Err(error) = result {
        println!("   refused: {error}");
    }
}
