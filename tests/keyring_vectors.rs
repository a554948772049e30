//! Messages for recipients and in shares that the Python reference implementation sealed.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::vector::from_hex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use waxseal::format::Header;
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, Error, RootKey, SingleKeyring, ThresholdKeyring,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shares {
    #[serde(rename = "comment")]
    _comment: String,
    root_keys: Vec<String>,
    threshold: u8,
    group: String,
    #[serde(rename = "data_key")]
    _data_key: String,
    context: BTreeMap<String, String>,
    plaintext: String,
    message: String,
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/keyrings");
    serde_json::from_slice(&std::fs::read(directory.join(name)).unwrap()).unwrap()
}

#[test]
fn three_of_four_open_what_the_reference_sealed() {
    let vector: Shares = read("shares.json");
    let context = EncryptionContext::new(vector.context).unwrap();
    let message = from_hex(&vector.message);
    let (header, _) = Header::parse(&message).unwrap();
    for (number, entry) in (1..).zip(header.entries()) {
        let (share, _) = entry.reference().share().unwrap();
        assert_eq!(
            (share.number(), share.threshold()),
            (number, vector.threshold)
        );
        assert_eq!(share.group().to_string(), vector.group);
    }
    let keyrings: Vec<_> = vector
        .root_keys
        .iter()
        .map(|key| RootKey::from_bytes(&from_hex(key).try_into().unwrap()))
        .map(|key| SingleKeyring::software(&key))
        .collect();
    for choice in 0..16u32 {
        let some = keyrings
            .iter()
            .enumerate()
            .filter(|(number, _)| choice >> number & 1 == 1);
        let some = some.map(|(_, keyring)| keyring.clone());
        let opened = Envelope::new(ThresholdKeyring::opening(some)).decrypt(&message, &context);
        match choice.count_ones() {
            0 => assert!(matches!(opened, Err(Error::OtherKey { .. }))),
            1 | 2 => assert!(matches!(opened, Err(Error::TooFewShares { needed: 3, .. }))),
            _ => assert_eq!(*opened.unwrap(), *from_hex(&vector.plaintext)),
        }
    }
}

#[cfg(feature = "recipients")]
mod recipients {
    use waxseal::{
        RecipientAlgorithm, RecipientKeyring, RecipientOpener, RecipientPrivateKey,
        RecipientPublicKey,
    };

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Recipient {
        #[serde(rename = "comment")]
        _comment: String,
        algorithm: RecipientAlgorithm,
        private_key: String,
        key_id: String,
        public_text: String,
        private_text: String,
        context: BTreeMap<String, String>,
        plaintext: String,
        message: String,
    }

    #[test]
    fn open_what_the_reference_sealed() {
        for name in ["recipient_x25519.json", "recipient_x_wing.json"] {
            let vector: Recipient = read(name);
            let context = EncryptionContext::new(vector.context).unwrap();
            let bytes = from_hex(&vector.private_key).try_into().unwrap();
            let key = RecipientPrivateKey::from_bytes(vector.algorithm, &bytes).unwrap();
            assert_eq!(key.public_key().id().to_string(), vector.key_id);
            assert_eq!(key.public_key().to_string(), vector.public_text);
            assert_eq!(&*key.to_text(), vector.private_text.as_bytes());

            let opener = Envelope::new(RecipientOpener::new(key));
            let opened = opener
                .decrypt(&from_hex(&vector.message), &context)
                .unwrap();
            assert_eq!(*opened, *from_hex(&vector.plaintext));
            // And it is sealed in the same form.
            let public: RecipientPublicKey = vector.public_text.parse().unwrap();
            let ours = Envelope::new(RecipientKeyring::new(public))
                .encrypt(&opened, &context)
                .unwrap();
            assert_eq!(ours.len(), from_hex(&vector.message).len());
        }
    }
}
