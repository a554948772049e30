//! The keys of recipients.

use super::{SECRET_BYTE, SECRET_WORD, assert_debug_clean, assert_error_clean};
use crate::{
    Error, InvalidRecipientKey, RecipientAlgorithm, RecipientKeyring, RecipientOpener,
    RecipientPrivateKey, RecipientPublicKey,
};

#[test]
fn they_are_not_shown() {
    for algorithm in RecipientAlgorithm::ALL {
        let key = RecipientPrivateKey::from_bytes(*algorithm, &[SECRET_BYTE; 32]).unwrap();
        assert_debug_clean(&key);
        assert_debug_clean(&key.to_text());
        assert_debug_clean(key.public_key());
        assert_debug_clean(&RecipientKeyring::new(key.public_key().clone()));
        assert_debug_clean(&RecipientOpener::new(key));
    }
}

#[test]
fn a_text_that_is_none_is_not_shown() {
    for text in ["", "waxseal-x25519-private:", "waxseal-x-wing-public:"] {
        let text = format!("{text}{SECRET_WORD}");
        assert_error_clean(&text.parse::<RecipientPublicKey>().unwrap_err());
        assert_error_clean(&RecipientPrivateKey::from_text(text.as_bytes()).unwrap_err());
    }
}

#[test]
fn every_error() {
    for error in [
        InvalidRecipientKey::Text {
            what: "public key",
            example: "text",
        },
        InvalidRecipientKey::Private,
        InvalidRecipientKey::Mistyped,
        InvalidRecipientKey::Key {
            algorithm: RecipientAlgorithm::XWing,
        },
    ] {
        match error {
            InvalidRecipientKey::Text { .. }
            | InvalidRecipientKey::Private
            | InvalidRecipientKey::Mistyped
            | InvalidRecipientKey::Key { .. } => assert_error_clean(&Error::from(error)),
        }
    }
}
