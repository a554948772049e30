//! What every keyring must do, alone and around others.

use std::sync::Arc;

use crate::audit::PendingRecords;
use crate::context::EncryptionContext;
use crate::envelope::{Envelope, EnvelopeEncryptor, MessageOptions};
use crate::error::Error;
use crate::format::{KeyEntriesBuf, KeyId, KeyReference, Share, Suite};
use crate::keyring::{
    DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring, Reuse, Unwrapped,
    WrapDataKeyRequest,
};
use crate::provider::RootKey;
use crate::rng::SystemRandom;
use crate::secret::DataKey;

/// Every test of a keyring that opens what it seals.
///
/// ```
/// use waxseal::{RootKey, SingleKeyring, testing};
///
/// testing::keyring(SingleKeyring::software(&RootKey::generate()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn keyring(keyring: impl Keyring + 'static) {
    let keyring = Arc::new(keyring);
    keyrings(Arc::clone(&keyring), keyring);
}

/// Every test of a keyring that seals, and another that opens with some of its keys, or with shares
/// enough.
pub fn keyrings(sealing: impl Keyring + 'static, opening: impl Keyring + 'static) {
    let pair = Pair {
        sealing: Arc::new(sealing),
        opening: Arc::new(opening),
    };
    for test in [
        Pair::what_is_sealed_opens,
        Pair::messages_open,
        Pair::data_keys_differ,
        Pair::a_data_key_that_was_made_elsewhere_is_wrapped,
        Pair::a_wrapped_key_is_bound_to_its_context,
        Pair::a_wrapped_share_is_bound_to_its_place,
        Pair::a_changed_wrapped_key_gives_no_other_data_key,
        Pair::foreign_wrapped_keys_are_not_mine,
        Pair::foreign_wrapped_keys_do_no_harm,
        Pair::what_is_answered_at_once_is_the_same,
        Pair::what_is_answered_before_it_is_recorded_is_the_same,
        Pair::many_threads_at_once,
    ] {
        test(&pair);
    }
}

struct Pair {
    sealing: Arc<dyn Keyring>,
    opening: Arc<dyn Keyring>,
}

const SUITES: [Suite; 2] = [Suite::Aes256Gcm, Suite::ChaCha20Poly1305];

impl Pair {
    fn what_is_sealed_opens(&self) {
        for suite in SUITES {
            for context in [context("acme"), EncryptionContext::empty()] {
                for len in [None, Some(0), Some(5), Some(1 << 50)] {
                    let mut request = EncryptionRequest::new(&context, suite, &SystemRandom);
                    request.payload_len = len;
                    let sealed = self.sealing.encryption_materials(request).unwrap();
                    let entries = sealed.entries();
                    assert!(entries.count() >= 1, "nobody could open it");
                    assert!(entries.as_bytes().len() <= self.sealing.max_entries_len());
                    let request = DecryptionRequest::new(&context, suite, entries);
                    let Unwrapped::Done(opened) =
                        self.opening.decryption_materials(request).unwrap()
                    else {
                        panic!("{:?} does not hold a key of {entries:?}", self.opening);
                    };
                    assert!(opened.data_key() == sealed.data_key(), "another data key");
                    let by = entries.iter().nth(opened.entry()).unwrap();
                    assert!(self.opening.holds(&by), "opened by a key that is not held");
                }
            }
        }
    }

    fn messages_open(&self) {
        let context = context("acme");
        for suite in SUITES {
            let sealer = Envelope::new(Arc::clone(&self.sealing)).with_suite(suite);
            let opener = Envelope::new(Arc::clone(&self.opening));
            for len in [0, 1, 16_384, 40_000] {
                let payload = vec![7; len];
                let options = MessageOptions::new(&context).with_aad(b"row 5");
                let message = sealer.encrypt_with(&payload, options).unwrap();
                assert!(message.len() <= sealer.max_message_len(len));
                let opened = opener.decrypt_with(&message, options).unwrap();
                assert_eq!(*opened.plaintext, *payload);
            }
        }
    }

    /// Each is random, unless it is one that is shared.
    fn data_keys_differ(&self) {
        let context = context("acme");
        let fresh = |_| self.seal(&context);
        let sealed: Vec<_> = (0..8).map(fresh).collect();
        for (number, one) in sealed.iter().enumerate() {
            for other in &sealed[..number] {
                let is_shared =
                    |materials: &EncryptionMaterials| materials.reuse() == Reuse::Shared;
                assert!((is_shared(one) && is_shared(other)) || one.data_key() != other.data_key());
            }
        }
    }

    fn a_data_key_that_was_made_elsewhere_is_wrapped(&self) {
        let context = context("acme");
        let data_key = DataKey::from_bytes(&[0x5a; 32]).unwrap();
        let request = WrapDataKeyRequest::new(&context, &data_key, &SystemRandom);
        let entries = self.sealing.wrap_data_key(request).unwrap();
        assert!(entries.count() >= 1, "wrapped under no key");
        assert!(entries.as_entries().as_bytes().len() <= self.sealing.max_entries_len());
        let opened = self.open(&entries, &context, None).unwrap();
        assert!(opened == Some(data_key), "another data key");
    }

    fn a_wrapped_key_is_bound_to_its_context(&self) {
        let sealed = KeyEntriesBuf::from(self.seal(&context("acme")).entries());
        for other in [context("other"), EncryptionContext::empty()] {
            self.assert_refused(&sealed, &other, None);
        }
    }

    fn a_wrapped_share_is_bound_to_its_place(&self) {
        let context = context("acme");
        let share = |group: u8, number| Share::new(KeyId::from_bytes([group; 16]), 2, 3, number);
        let right = share(1, 1);
        let data_key = DataKey::from_bytes(&[0x5b; 32]).unwrap();
        let mut request = WrapDataKeyRequest::new(&context, &data_key, &SystemRandom);
        request.share = right;
        let Ok(entries) = self.sealing.wrap_data_key(request) else {
            // A keyring of shares does not divide a share.
            return;
        };
        assert!(self.open(&entries, &context, right).unwrap() == Some(data_key));
        for wrong in [None, share(1, 2), share(2, 1)] {
            self.assert_refused(&entries, &context, wrong);
        }
        let whole = KeyEntriesBuf::from(self.seal(&context).entries());
        self.assert_refused(&whole, &context, right);
    }

    fn a_changed_wrapped_key_gives_no_other_data_key(&self) {
        let context = context("acme");
        let sealed = self.seal(&context);
        for (changed, _) in sealed.entries().iter().enumerate() {
            for position in [0, 7, 20, 31, 40, 47] {
                let mut entries = KeyEntriesBuf::new();
                for (number, entry) in sealed.entries().iter().enumerate() {
                    let mut wrapped = entry.wrapped().to_vec();
                    let len = wrapped.len();
                    wrapped[position % len] ^= u8::from(number == changed);
                    entries.push(&entry.reference(), &wrapped).unwrap();
                }
                match self.open(&entries, &context, None) {
                    Ok(Some(data_key)) => {
                        assert!(data_key == *sealed.data_key(), "another data key")
                    }
                    // Another wrapped key may stand in, or shares may be too few.
                    Ok(None) | Err(Error::Decrypt | Error::TooFewShares { .. }) => {}
                    Err(error) => panic!("changed bytes are told as {error:?}"),
                }
            }
        }
    }

    fn foreign_wrapped_keys_are_not_mine(&self) {
        let entries = foreign();
        let context = context("acme");
        assert!(self.open(&entries, &context, None).unwrap().is_none());
        let empty = KeyEntriesBuf::new();
        assert!(self.open(&empty, &context, None).unwrap().is_none());
        for entry in entries.as_entries() {
            assert!(!self.opening.holds(&entry), "{entry:?} is held");
        }
    }

    fn foreign_wrapped_keys_do_no_harm(&self) {
        let context = context("acme");
        let sealed = self.seal(&context);
        let mut entries = foreign();
        entries.append(sealed.entries()).unwrap();
        let opened = self.open(&entries, &context, None).unwrap();
        assert!(
            opened.as_ref() == Some(sealed.data_key()),
            "another data key"
        );
    }

    fn what_is_answered_at_once_is_the_same(&self) {
        let context = context("acme");
        let request = EncryptionRequest::new(&context, Suite::default(), &SystemRandom);
        let sealed = match self.sealing.try_encryption_materials(request) {
            Some(sealed) => sealed.unwrap(),
            None => self.seal(&context),
        };
        let entries = KeyEntriesBuf::from(sealed.entries());
        let opened = self.open(&entries, &context, None).unwrap();
        assert!(opened.as_ref() == Some(sealed.data_key()));
        let request = DecryptionRequest::new(&context, Suite::default(), sealed.entries());
        if let Some(answer) = self.opening.try_decryption_materials(request) {
            let Unwrapped::Done(answer) = answer.unwrap() else {
                panic!("not mine, when asked to answer at once");
            };
            assert!(answer.data_key() == sealed.data_key());
        }
    }

    fn what_is_answered_before_it_is_recorded_is_the_same(&self) {
        let context = context("acme");
        let pending = PendingRecords::default();
        let mut request = EncryptionRequest::new(&context, Suite::default(), &SystemRandom);
        request.pending = Some(&pending);
        let sealed = match self.sealing.try_encryption_materials(request) {
            Some(sealed) => sealed.unwrap(),
            None => self.sealing.encryption_materials(request).unwrap(),
        };
        let mut request = DecryptionRequest::new(&context, Suite::default(), sealed.entries());
        request.pending = Some(&pending);
        let at_once = self.opening.try_decryption_materials(request);
        for opened in at_once
            .into_iter()
            .chain([self.opening.decryption_materials(request)])
        {
            let Unwrapped::Done(opened) = opened.unwrap() else {
                panic!("not mine, when the caller waits for records");
            };
            assert!(opened.data_key() == sealed.data_key(), "another data key");
        }
    }

    fn many_threads_at_once(&self) {
        std::thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || {
                    for turn in 0..4 {
                        let context = context(&format!("tenant {}", (number + turn) % 3));
                        let sealed = self.seal(&context);
                        let entries = KeyEntriesBuf::from(sealed.entries());
                        let opened = self.open(&entries, &context, None).unwrap();
                        assert!(opened.as_ref() == Some(sealed.data_key()));
                    }
                });
            }
        });
    }

    fn seal(&self, context: &EncryptionContext) -> EncryptionMaterials {
        let request = EncryptionRequest::new(context, Suite::default(), &SystemRandom);
        self.sealing.encryption_materials(request).unwrap()
    }

    fn open(
        &self,
        entries: &KeyEntriesBuf,
        context: &EncryptionContext,
        share: Option<Share>,
    ) -> Result<Option<DataKey>, Error> {
        let mut request = DecryptionRequest::new(context, Suite::default(), entries.as_entries());
        request.share = share;
        Ok(match self.opening.decryption_materials(request)? {
            Unwrapped::Done(opened) => {
                assert!(opened.entry() < entries.count(), "opened by no wrapped key");
                Some(DataKey::from_bytes(opened.data_key().expose()).unwrap())
            }
            Unwrapped::NotMine => None,
        })
    }

    fn assert_refused(
        &self,
        entries: &KeyEntriesBuf,
        context: &EncryptionContext,
        share: Option<Share>,
    ) {
        match self.open(entries, context, share) {
            Err(Error::Decrypt) => {}
            other => panic!("not refused, but {other:?}"),
        }
    }
}

/// Wrapped keys of a root key and of a service that nobody here has.
fn foreign() -> KeyEntriesBuf {
    let root_key = RootKey::from_bytes(&[0xee; 32]);
    let keyring = crate::keyring::SingleKeyring::software(&root_key);
    let context = context("acme");
    let request = EncryptionRequest::new(&context, Suite::default(), &SystemRandom);
    let sealed = keyring.encryption_materials(request).unwrap();
    let mut entries = KeyEntriesBuf::from(sealed.entries());
    let service = KeyReference::named("nowhere", b"1").unwrap();
    entries.push(&service, b"wrapped").unwrap();
    entries
}

fn context(tenant: &str) -> EncryptionContext {
    EncryptionContext::new([("tenant", tenant)]).unwrap()
}
