//! A real ciphertext that opens as plain AES-256-GCM under two keys, as a body.

mod common;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use common::vector;
use waxseal::{EnvelopeEncryptor, Error};

#[test]
fn raw_gcm_opens_it_under_both_keys_and_the_commitment_lets_one_pass() {
    let first = vector::named("two_key_body");
    let other = vector::named("two_key_body_other");
    assert_eq!(first.message, other.message, "one message, two readers");

    let raw = &first.raw;
    for (key, nonce, plaintext) in [
        (&raw.raw_key_1, &raw.raw_nonce_1, &raw.raw_plaintext_1),
        (&raw.raw_key_2, &raw.raw_nonce_2, &raw.raw_plaintext_2),
    ] {
        let cipher = Aes256Gcm::new_from_slice(key).unwrap();
        let nonce = Nonce::try_from(nonce.as_slice()).unwrap();
        let opened = cipher.decrypt(&nonce, raw.raw_ciphertext.as_slice());
        assert_eq!(opened.as_ref(), Ok(plaintext));
    }
    assert_ne!(raw.raw_plaintext_1, raw.raw_plaintext_2);
    assert!(first.message.ends_with(&raw.raw_ciphertext));

    let opened = first.opener().decrypt(&first.message, &first.context());
    assert_eq!(*opened.unwrap(), raw.raw_plaintext_1);
    let refused = other.opener().decrypt(&other.message, &other.context());
    assert!(matches!(refused, Err(Error::Decrypt)));
}
