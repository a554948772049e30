//! A person asks to be forgotten. Each has a key of their own, so one record is destroyed and nothing
//! else is read or written: not the rows, and not the backups of the rows.
//!
//! `cargo run --example forget_me`

use std::error::Error;

use waxseal::{
    CreateKey, EncryptionContext, Envelope, EnvelopeEncryptor, KeyId, Kms, KmsHandle, RootKey,
    SoftwareKeyProvider, SqliteKeyStore,
};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let store = SqliteKeyStore::create(directory.path().join("keys.db"))?;
    let provider = SoftwareKeyProvider::new(&RootKey::generate()?);
    let kms = Kms::open(store, provider)?;

    // One key of the KMS for all people, and under it one small seed for each of them.
    let service = kms.as_principal("svc:profiles");
    let key = service.create_key(CreateKey::new().with_description("profiles"))?;
    let profiles = Profiles {
        kms: service,
        key: key.id,
    };
    let rows = [
        profiles.seal("person:1", "Lisbon")?,
        profiles.seal("person:2", "Oslo")?,
        profiles.seal("person:3", "Turin")?,
    ];
    let backup_of_rows = rows.clone();

    // A request for erasure. What comes back is to be kept: what was destroyed, when, and by whom.
    let privacy_desk = kms.as_principal("svc:privacy-desk");
    let proof = privacy_desk.erase_subject(key.id, "person:2")?;
    println!("erased: {}\n", serde_json::to_string_pretty(&proof)?);

    // Nothing of person 2 can be read any more, also where the rows are copies. The others can.
    for rows in [&rows, &backup_of_rows] {
        for (person, row) in ["person:1", "person:2", "person:3"].into_iter().zip(rows) {
            match profiles.open(person, row) {
                Ok(city) => println!("{person} lives in {city}"),
                Err(error) => println!("{person}: {error}"),
            }
        }
        assert!(profiles.open("person:2", &rows[1]).is_err());
    }

    // Years later, somebody asks whether it was done.
    privacy_desk.verify_erasure(&proof, Some("person:2"))?;
    println!("\nthe proof is genuine, and about person:2");
    Ok(())
}

/// Seals and opens what is known of people, each under their own key.
struct Profiles {
    kms: KmsHandle,
    key: KeyId,
}

impl Profiles {
    fn seal(&self, person: &str, city: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        self.kms.create_subject(self.key, person)?;
        Ok(self
            .envelope(person)?
            .encrypt(city.as_bytes(), &context(person)?)?)
    }

    fn open(&self, person: &str, row: &[u8]) -> Result<String, Box<dyn Error>> {
        let city = self.envelope(person)?.decrypt(row, &context(person)?)?;
        Ok(String::from_utf8_lossy(&city).into_owned())
    }

    fn envelope(&self, person: &str) -> Result<Envelope, Box<dyn Error>> {
        Ok(Envelope::new(self.kms.subject_keyring(self.key, person)?))
    }
}

fn context(person: &str) -> Result<EncryptionContext, Box<dyn Error>> {
    Ok(EncryptionContext::new([
        ("table", "profiles"),
        ("person", person),
    ])?)
}
