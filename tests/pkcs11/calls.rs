//! How seldom the token is asked.

use waxseal::{
    CachingKeyring, CreateKeyRequest, EncryptionContext, Envelope, EnvelopeEncryptor, KeyProvider,
    SingleKeyring,
};

use crate::providers;
use crate::tokens::{SOFTHSM, token_tests};

/// Calls by which a token wraps or unwraps.
const USES: [&str; 4] = ["C_EncryptInit", "C_DecryptInit", "C_WrapKey", "C_UnwrapKey"];

token_tests! {
    fn a_hundred_thousand_messages_cost_ten_uses_of_the_key(tokens) {
        let shim = tokens.shim(&tokens.softhsm(), &[]);
        let provider = providers::open(&shim.path, SOFTHSM);
        let handle = provider.create_key(CreateKeyRequest::default()).unwrap();
        let keyring = SingleKeyring::new(provider, handle).unwrap();
        let envelope = Envelope::new(CachingKeyring::new(keyring));
        let context = EncryptionContext::new([("tenant", "acme")]).unwrap();
        shim.forget();
        for number in 0_u32..100_000 {
            let message = envelope.encrypt(&number.to_be_bytes(), &context).unwrap();
            let opened = envelope.decrypt(&message, &context).unwrap();
            assert_eq!(*opened, number.to_be_bytes());
        }
        let uses: usize = USES.map(|function| shim.count(function)).iter().sum();
        eprintln!("{uses} uses of the key, {} calls of the module", shim.calls().len());
        assert!((1..=10).contains(&uses), "{uses}");
    }
}
