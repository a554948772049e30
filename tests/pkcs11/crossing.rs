//! Messages that one token sealed open on another that has the same key, and what software makes by
//! the same mechanism opens on tokens.

use std::path::PathBuf;

use cryptoki::session::Session;
use waxseal::pkcs11::{AdoptKey, Vendor};
use waxseal::{EncryptionContext, Envelope, EnvelopeEncryptor, Error, Mechanism, SingleKeyring};

use crate::providers::{by, open_as};
use crate::raw::{self, Use};
use crate::tokens::{FULL, KEY_WRAP_ONLY, MAC_ONLY, OAEP_ONLY, SOFTHSM, Tokens, token_tests};

const ID: &[u8; 16] = b"key of the tests";
const MAC_ID: &[u8; 16] = b"mac of the tests";
const KEY: [u8; 32] = [0x11; 32];
const MAC_KEY: [u8; 32] = [0x22; 32];

token_tests! {
    fn by_gcm(tokens) {
        let places = places(tokens, FULL);
        open_everywhere(&places, Mechanism::GCM_CALLER_IV, |session| {
            raw::put_aes_key(session, ID, &KEY, Use::Encrypts);
        });
    }

    fn by_key_wrap(tokens) {
        let places = places(tokens, KEY_WRAP_ONLY);
        open_everywhere(&places, Mechanism::AES_KEY_WRAP, |session| {
            raw::put_aes_key(session, ID, &KEY, Use::Wraps);
        });
    }

    fn by_oaep(tokens) {
        let places = places(tokens, OAEP_ONLY);
        open_everywhere(&places, Mechanism::RSA_OAEP_SHA1, |session| {
            raw::put_rsa_key(session, ID);
        });
    }

    fn by_cbc_and_hmac(tokens) {
        let places = places(tokens, MAC_ONLY);
        open_everywhere(&places, Mechanism::CBC_HMAC_SHA256, |session| {
            raw::put_aes_key(session, ID, &KEY, Use::Encrypts);
            raw::put_mac_key(session, MAC_ID, &MAC_KEY);
        });
    }
}

type Place = (PathBuf, &'static str);

fn places(tokens: &Tokens, kryoptics: &'static str) -> [Place; 2] {
    [(tokens.softhsm(), SOFTHSM), (tokens.kryoptic(), kryoptics)]
}

fn open_everywhere(places: &[Place], mechanism: Mechanism, put: impl Fn(&Session)) {
    let envelopes = places.iter().map(|(module, label)| {
        put(&raw::session(&raw::module(module), label));
        let provider = open_as(module, label, by(Vendor::Generic, mechanism));
        let mut adopt = AdoptKey::by_id(*ID);
        if mechanism == Mechanism::CBC_HMAC_SHA256 {
            adopt = adopt.with_mac_key(*MAC_ID);
        }
        let handle = provider.adopt(&adopt).unwrap();
        Envelope::new(SingleKeyring::new(provider, handle).unwrap())
    });
    let envelopes: Vec<Envelope> = envelopes.collect();
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    for sealing in &envelopes {
        let message = sealing.encrypt(b"payload", &context).unwrap();
        for opening in &envelopes {
            assert_eq!(*opening.decrypt(&message, &context).unwrap(), *b"payload");
            let refused = opening.decrypt(&message, &EncryptionContext::empty());
            assert!(matches!(refused, Err(Error::Decrypt)), "{refused:?}");
        }
    }
}
