//! What a keyring tries, in which order, and what it says when nothing opens.

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use waxseal::format::{InvalidEntry, KeyEntriesBuf, KeyEntry, Limit};
use waxseal::{
    Capabilities, CreateKeyRequest, DataKey, DecryptionMaterials, DecryptionRequest,
    EncryptionContext, EncryptionMaterials, EncryptionRequest, Envelope, EnvelopeEncryptor, Error,
    FreshDataKey, GenerateDataKeyRequest, GeneratedDataKey, KeyDescription, KeyHandle, KeyProvider,
    KeyReference, Keyring, ProviderError, RootKey, SingleKeyring, SoftwareKeyProvider,
    UnwrapRequest, Unwrapped, WrapDataKeyRequest, WrapRequest, WrappedKey,
};

/// A software provider that can be made to answer otherwise, and counts what it is asked.
#[derive(Debug)]
struct Faulty {
    inner: SoftwareKeyProvider,
    unwraps: AtomicUsize,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Outage,
    ShortDataKey,
    OtherDataKey,
    ShortWrappedKey,
}

impl Faulty {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            inner: SoftwareKeyProvider::new(&RootKey::from_bytes(&common::ROOT_KEY)),
            unwraps: AtomicUsize::new(0),
            fault,
        })
    }

    fn envelope(self: &Arc<Self>) -> Envelope {
        let handle = self.inner.root_handle();
        Envelope::new(SingleKeyring::new(Arc::clone(self), handle).unwrap())
    }
}

impl KeyProvider for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn create_key(&self, request: CreateKeyRequest<'_>) -> Result<KeyHandle, ProviderError> {
        self.inner.create_key(request)
    }

    fn destroy_key(&self, handle: &KeyHandle) -> Result<(), ProviderError> {
        self.inner.destroy_key(handle)
    }

    fn describe_key(&self, handle: &KeyHandle) -> Result<KeyDescription, ProviderError> {
        self.inner.describe_key(handle)
    }

    fn wrap_key(&self, request: WrapRequest<'_>) -> Result<WrappedKey, ProviderError> {
        let wrapped = self.inner.wrap_key(request)?;
        match self.fault {
            Fault::ShortWrappedKey => Ok(WrappedKey::from(&wrapped.as_bytes()[..47])),
            _ => Ok(wrapped),
        }
    }

    fn unwrap_key(&self, request: UnwrapRequest<'_>) -> Result<DataKey, ProviderError> {
        self.unwraps.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Fault::None | Fault::ShortWrappedKey => self.inner.unwrap_key(request),
            Fault::Outage => Err(ProviderError::Unavailable {
                provider: "faulty".into(),
                source: io::Error::from(io::ErrorKind::ConnectionRefused).into(),
            }),
            Fault::ShortDataKey => Ok(DataKey::from_bytes(&[7; 31])?),
            Fault::OtherDataKey => Ok(DataKey::from_bytes(&[7; 32])?),
        }
    }

    fn generate_data_key(
        &self,
        request: GenerateDataKeyRequest<'_>,
    ) -> Result<GeneratedDataKey, ProviderError> {
        self.inner.generate_data_key(request)
    }
}

/// Wraps every data key for all of its keyrings, as a multi-key keyring does.
#[derive(Debug)]
struct All(Vec<SingleKeyring>);

impl Keyring for All {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        let EncryptionRequest {
            context, random, ..
        } = request;
        let data_key = FreshDataKey::generate(random)?;
        let wanted = WrapDataKeyRequest::new(context, data_key.as_data_key(), random);
        let entries = self.wrap_data_key(wanted)?;
        Ok(EncryptionMaterials::fresh(data_key, entries))
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        for keyring in &self.0 {
            if let Unwrapped::Done(materials) = keyring.decryption_materials(request)? {
                return Ok(Unwrapped::Done(materials));
            }
        }
        Ok(Unwrapped::NotMine)
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        let mut entries = KeyEntriesBuf::new();
        for keyring in &self.0 {
            entries.append(keyring.wrap_data_key(request)?.as_entries())?;
        }
        Ok(entries)
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        self.0.iter().any(|keyring| keyring.holds(entry))
    }

    fn max_entries_len(&self) -> usize {
        self.0.iter().map(Keyring::max_entries_len).sum()
    }
}

fn software_keyrings(count: usize) -> Vec<SingleKeyring> {
    let new = |_| SingleKeyring::software(&RootKey::generate().unwrap());
    (0..count).map(new).collect()
}

#[test]
fn a_message_for_many_keys_opens_with_each_and_names_the_one_used() {
    let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
    for count in [1, 2, 16] {
        let keyrings = software_keyrings(count);
        let envelope = Envelope::new(All(keyrings.clone()));
        let message = envelope.encrypt(b"payload", &context).unwrap();
        assert_eq!(message.len(), 50 + 67 * count + 7);
        for (number, keyring) in keyrings.into_iter().enumerate() {
            let options = waxseal::MessageOptions::new(&context);
            let opened = Envelope::new(keyring)
                .decrypt_with(&message, options)
                .unwrap();
            assert_eq!(
                (&*opened.plaintext, opened.opened_by),
                (&b"payload"[..], number)
            );
        }
    }
}

#[test]
fn more_wrapped_keys_than_a_message_may_have_are_refused() {
    let envelope = Envelope::new(All(software_keyrings(17)));
    let error = envelope
        .encrypt(b"", &EncryptionContext::empty())
        .unwrap_err();
    assert!(
        matches!(error, Error::Entry(InvalidEntry::Limit(_))),
        "{error}"
    );
    let envelope = Envelope::new(All(Vec::new()));
    let error = envelope
        .encrypt(b"", &EncryptionContext::empty())
        .unwrap_err();
    assert!(matches!(error, Error::NoWrappedKey));
    let same = software_keyrings(1);
    let envelope = Envelope::new(All([same.clone(), same].concat()));
    let error = envelope
        .encrypt(b"", &EncryptionContext::empty())
        .unwrap_err();
    assert!(matches!(error, Error::Entry(InvalidEntry::Duplicate)));
}

#[test]
fn a_header_that_no_reader_would_accept_is_not_written() {
    /// Wraps for five keys whose wrapped form is as long as an entry may be.
    #[derive(Debug)]
    struct Long;

    impl Keyring for Long {
        fn encryption_materials(
            &self,
            request: EncryptionRequest<'_>,
        ) -> Result<EncryptionMaterials, Error> {
            let mut entries = KeyEntriesBuf::new();
            for number in 0..5 {
                let key = KeyReference::named("service", &[number]).unwrap();
                entries.push(&key, &vec![1; 16_000])?;
            }
            let data_key = FreshDataKey::generate(request.random)?;
            Ok(EncryptionMaterials::fresh(data_key, entries))
        }

        fn decryption_materials(&self, _: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
            Ok(Unwrapped::NotMine)
        }

        fn wrap_data_key(&self, _: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
            Err(Error::OpensOnly)
        }

        fn holds(&self, _: &KeyEntry<'_>) -> bool {
            false
        }

        fn max_entries_len(&self) -> usize {
            80_100
        }
    }

    let refused = Envelope::new(Long).encrypt(b"", &EncryptionContext::empty());
    let Err(Error::Limit(error)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((error.limit, error.max), (Limit::Header, 65535));
}

#[test]
fn a_provider_is_never_given_a_wrapped_key_that_does_not_name_its_key() {
    let provider = Faulty::new(Fault::None);
    let context = EncryptionContext::empty();
    let foreign = Envelope::new(All(software_keyrings(3)))
        .encrypt(b"", &context)
        .unwrap();
    let refused = provider.envelope().decrypt(&foreign, &context);
    assert!(matches!(refused, Err(Error::OtherKey { message_keys }) if message_keys.len() == 3));
    assert_eq!(provider.unwraps.load(Ordering::Relaxed), 0);
}

#[test]
fn a_lying_provider_gives_one_opaque_error() {
    let context = EncryptionContext::empty();
    let message = common::envelope().encrypt(b"payload", &context).unwrap();
    for fault in [Fault::ShortDataKey, Fault::OtherDataKey] {
        let refused = Faulty::new(fault).envelope().decrypt(&message, &context);
        assert!(matches!(refused, Err(Error::Decrypt)), "{fault:?}");
    }
    let refused = Faulty::new(Fault::ShortWrappedKey)
        .envelope()
        .encrypt(b"", &context);
    let error = refused.unwrap_err();
    assert!(
        matches!(error, Error::Entry(InvalidEntry::WrappedLength { len: 47 })),
        "{error}"
    );
}

#[test]
fn an_outage_is_no_failure_to_decrypt() {
    let context = EncryptionContext::empty();
    let message = common::envelope().encrypt(b"payload", &context).unwrap();
    let error = Faulty::new(Fault::Outage)
        .envelope()
        .decrypt(&message, &context)
        .unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(
        error.to_string(),
        "the faulty provider is unavailable: connection refused; try again, and check that it can be reached"
    );
}

#[test]
fn the_data_key_of_another_message_does_not_open() {
    /// Gives a data key of its own choice, whatever the message.
    #[derive(Debug)]
    struct Fixed(SingleKeyring);

    impl Keyring for Fixed {
        fn encryption_materials(
            &self,
            request: EncryptionRequest<'_>,
        ) -> Result<EncryptionMaterials, Error> {
            self.0.encryption_materials(request)
        }

        fn decryption_materials(&self, _: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
            let data_key = DataKey::from_bytes(&[7; 32]).unwrap();
            Ok(Unwrapped::Done(DecryptionMaterials::new(data_key, 0)))
        }

        fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
            self.0.wrap_data_key(request)
        }

        fn holds(&self, _: &KeyEntry<'_>) -> bool {
            true
        }

        fn max_entries_len(&self) -> usize {
            self.0.max_entries_len()
        }
    }

    let envelope = Envelope::new(Fixed(software_keyrings(1).remove(0)));
    let context = EncryptionContext::empty();
    let message = envelope.encrypt(b"payload", &context).unwrap();
    let refused = envelope.decrypt(&message, &context);
    assert!(matches!(refused, Err(Error::Decrypt)));
}

#[test]
fn a_failing_random_generator_seals_nothing() {
    let empty = common::FixedRandom::new([]);
    let envelope = common::envelope().with_random_source(empty);
    let error = envelope
        .encrypt(b"payload", &EncryptionContext::empty())
        .unwrap_err();
    assert!(matches!(error, Error::Random(_)));
}
