//! Keyrings of several keys, and what is said when nothing opens.

use std::sync::Arc;

use super::{SECRET_BYTE, assert_debug_clean, assert_error_clean, secret_context};
use crate::format::{InvalidEntry, InvalidReference, KeyEntriesBuf, Share};
use crate::keyring::{BoundKey, Trials};
use crate::{
    DecryptionRequest, DiscoveryKeyring, Envelope, EnvelopeEncryptor, Error, FallbackKeyring,
    InvalidThreshold, KeyId, KeyReference, KeyVersion, Keyring, MultiKeyring, NotAnswered,
    ProviderError, RootKey, SingleKeyring, Suite, SystemRandom, ThresholdKeyring, WhyNotAnswered,
    WrapDataKeyRequest,
};

#[test]
fn keyrings_show_no_keys() {
    let single = SingleKeyring::software(&RootKey::from_bytes(&[SECRET_BYTE; 32]));
    let other = SingleKeyring::software(&RootKey::generate().unwrap());
    assert_debug_clean(&MultiKeyring::new(single.clone()).with_optional_key(other.clone()));
    assert_debug_clean(&DiscoveryKeyring::new(|_| true).among(single.clone()));
    assert_debug_clean(&FallbackKeyring::new(single.clone()).or(other.clone()));
    assert_debug_clean(&ThresholdKeyring::new(2, [single, other]).unwrap());
}

#[test]
fn what_they_say_is_clean() {
    let root = RootKey::from_bytes(&[SECRET_BYTE; 32]);
    let keyring = MultiKeyring::new(SingleKeyring::software(&root));
    let context = secret_context();
    let envelope = Envelope::new(keyring);
    let mut message = envelope.encrypt(&[SECRET_BYTE; 40], &context).unwrap();
    message[30] ^= 1;
    assert_error_clean(&envelope.decrypt(&message, &context).unwrap_err());
}

#[test]
fn every_error_of_keyrings() {
    let second = std::time::Duration::from_secs(1);
    for why in [
        WhyNotAnswered::TimedOut { after: second },
        WhyNotAnswered::PutAside { left: second },
        WhyNotAnswered::Busy { threads: 8 },
        WhyNotAnswered::Panicked,
    ] {
        match why {
            WhyNotAnswered::TimedOut { .. }
            | WhyNotAnswered::PutAside { .. }
            | WhyNotAnswered::Busy { .. }
            | WhyNotAnswered::Panicked => {
                assert_error_clean(&Error::from(NotAnswered { keyring: 1, why }));
            }
        }
    }
    assert_error_clean(&InvalidThreshold {
        threshold: 1,
        members: 1,
    });
    assert_error_clean(&InvalidEntry::from(InvalidReference::NestedShare));
    assert_error_clean(&Error::TooFewShares { needed: 3, held: 1 });

    let key = KeyReference::software(KeyId::from_bytes([1; 16]), KeyVersion::FIRST);
    let mut entries = KeyEntriesBuf::new();
    entries.push(&key, &[SECRET_BYTE; 48]).unwrap();
    let mut trials = Trials::new(entries.as_entries());
    let unavailable = ProviderError::Unavailable {
        provider: "service".to_owned(),
        source: Arc::new(std::io::Error::other("timeout"))
            .to_string()
            .into(),
    };
    trials.failed_with(|_| true, unavailable.into());
    let error = trials.end().unwrap_err();
    assert!(matches!(error, Error::NotOpened { .. }));
    assert_error_clean(&error);
}

/// A share that is wrapped for one place is not unwrapped in another.
#[test]
fn a_binding_has_all_of_a_share() {
    let key = KeyReference::software(KeyId::from_bytes([1; 16]), KeyVersion::FIRST);
    let context = secret_context();
    let bound = BoundKey::new(&key);
    let share = |group: u8, threshold, shares, number| {
        Share::new(KeyId::from_bytes([group; 16]), threshold, shares, number)
    };
    let all = [
        None,
        share(1, 2, 3, 1),
        share(1, 2, 3, 2),
        share(1, 3, 3, 1),
        share(1, 2, 4, 1),
        share(2, 2, 3, 1),
    ];
    let bindings = all.map(|share| bound.with(&context, share));
    for (number, binding) in bindings.iter().enumerate() {
        assert!(binding.len() <= 600);
        assert!(!bindings[..number].contains(binding));
    }
    // The label, the tag and prefix of the entry, the context: as for every other kind of entry.
    let shared = KeyReference::of_share(share(1, 2, 3, 1).unwrap(), &key).unwrap();
    assert_eq!(BoundKey::new(&shared).with(&context, None), bindings[1]);
}

#[test]
fn a_caching_keyring_keeps_shares_apart() {
    let inside = SingleKeyring::software(&RootKey::from_bytes(&[3; 32]));
    let keyring = crate::CachingKeyring::new(inside);
    let context = secret_context();
    let share = |number| Share::new(KeyId::from_bytes([1; 16]), 2, 3, number).unwrap();
    let data_key = crate::DataKey::from_bytes(&[9; 32]).unwrap();
    let request = WrapDataKeyRequest::new(&context, &data_key, &SystemRandom).with_share(share(1));
    let entries = keyring.wrap_data_key(request).unwrap();
    let request = DecryptionRequest::new(&context, Suite::default(), entries.as_entries());
    let right = request.with_share(share(1));
    assert!(keyring.decryption_materials(right).is_ok());
    for wrong in [request, request.with_share(share(2))] {
        let refused = keyring.decryption_materials(wrong);
        assert!(matches!(refused, Err(Error::Decrypt)));
    }
}
