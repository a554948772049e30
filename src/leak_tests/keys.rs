//! Keys that sign and make MACs, and what is asked of them.

use super::*;

#[test]
fn every_kind_of_key() {
    let provider = SoftwareKeyProvider::generate().unwrap();
    let provider = provider.with_random_source(SecretRandom);
    let secret = || SecretBytes::from(vec![SECRET_BYTE; 64]);
    let message = SECRET_WORD.as_bytes();
    for &spec in KeySpec::ALL {
        let material = secret();
        let request = ImportKeyRequest::new(spec, &material).with_binding(b"purpose");
        assert_debug_clean(&request);
        assert_debug_clean(&CreateKeyRequest::new(spec));
        if let Err(error) = provider.import_key(request) {
            assert_error_clean(&error);
        }
    }
    let material = secret();
    let request = ImportKeyRequest::new(KeySpec::Hmac512, &material);
    let handle = provider.import_key(request).unwrap();
    assert_debug_clean(&handle);
    let request = MacRequest::new(&handle, message);
    assert_debug_clean(&request);
    assert_debug_clean(&provider.generate_mac(request).unwrap());
    assert_debug_clean(&Mac::from_bytes(&[SECRET_BYTE; 32]));

    let request = CreateKeyRequest::new(KeySpec::Ed25519);
    let handle = provider.create_key(request).unwrap();
    for message in [MessageInput::Raw(message), MessageInput::Digest(message)] {
        let request = SignRequest::new(&handle, SigningAlgorithm::Ed25519, message);
        assert_debug_clean(&request);
        match provider.sign(request) {
            Ok(signature) => assert_debug_clean(&signature),
            Err(error) => assert_error_clean(&error),
        }
    }
    let public_key = provider.public_key(&handle).unwrap();
    assert_debug_clean(&public_key);
    assert_error_clean(&PublicKey::from_pem(SECRET_WORD).unwrap_err());
    assert_debug_clean(&provider);
    assert_debug_clean(&provider.key_cache_stats());
}

#[test]
fn a_sealed_root_key() {
    let keeper = SoftwareKeyProvider::generate().unwrap();
    let handle = keeper.create_key(CreateKeyRequest::default()).unwrap();
    let root_key = RootKey::from_bytes(&[SECRET_BYTE; 32]);
    let sealed = SealedRootKey::seal(&root_key, &keeper, &handle).unwrap();
    assert_debug_clean(&sealed);
    assert_error_clean(&SealedRootKey::from_bytes(SECRET_WORD.as_bytes()).unwrap_err());
}

/// One of each. A new variant does not compile until it is listed here.
#[test]
fn every_signing_error() {
    let algorithm = SigningAlgorithm::EcdsaSha256;
    let mismatches = [
        SigningMismatch::Algorithm {
            spec: KeySpec::Rsa2048,
            algorithm,
        },
        SigningMismatch::DigestLength {
            algorithm,
            expected: 32,
            len: 31,
        },
        SigningMismatch::Digest { algorithm },
    ];
    for error in mismatches.map(VerifyError::from) {
        match error {
            VerifyError::InvalidSignature
            | VerifyError::Mismatch(
                SigningMismatch::Algorithm { .. }
                | SigningMismatch::DigestLength { .. }
                | SigningMismatch::Digest { .. },
            ) => assert_error_clean(&error),
        }
    }
    assert_error_clean(&VerifyError::InvalidSignature);
    assert_error_clean(&InvalidPublicKey);
    assert_error_clean(&SECRET_WORD.parse::<KeySpec>().unwrap_err());
}
