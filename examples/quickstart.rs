//! The main job, start to end: seals a real file under a fresh root key, looks at what anyone can
//! see of it, opens it, and shows three refusals.
//!
//!     cargo run --example quickstart

use std::error::Error;

use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, MessageOptions, RootKey, SingleKeyring, inspect,
};

fn main() -> Result<(), Box<dyn Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/FORMAT.md");
    let payload = std::fs::read(path)?;

    let root_key = RootKey::generate()?;
    let envelope = Envelope::new(SingleKeyring::software(&root_key));
    let context = EncryptionContext::new([("tenant", "acme"), ("purpose", "quickstart")])?;
    let options = MessageOptions::new(&context).with_aad(b"FORMAT.md");

    let message = envelope.encrypt_with(&payload, options)?;
    println!(
        "sealed FORMAT.md: {} bytes became {}, {} more\n",
        payload.len(),
        message.len(),
        message.len() - payload.len()
    );
    println!(
        "what anyone can see, without a key:\n{}\n",
        inspect(&message)?
    );

    let opened = envelope.decrypt_with(&message, options)?;
    assert_eq!(*opened.plaintext, *payload);
    println!(
        "opened: {} bytes, the same as before\n",
        opened.plaintext.len()
    );

    println!("and what is refused:");
    let other_context = EncryptionContext::new([("tenant", "evil"), ("purpose", "quickstart")])?;
    let other_options = MessageOptions::new(&other_context).with_aad(b"FORMAT.md");
    show_refusal(
        "another context",
        envelope.decrypt_with(&message, other_options),
    );

    let mut flipped = message.clone();
    *flipped.last_mut().ok_or("the message is empty")? ^= 1;
    show_refusal("one bit flipped", envelope.decrypt_with(&flipped, options));

    let other_envelope = Envelope::new(SingleKeyring::software(&RootKey::generate()?));
    show_refusal(
        "another root key",
        other_envelope.decrypt_with(&message, options),
    );
    Ok(())
}

fn show_refusal(what: &str, result: Result<waxseal::Opened, waxseal::Error>) {
    match result {
        Ok(_) => panic!("{what} was accepted"),
        Err(error) => println!("  {what}: {error}"),
    }
}
