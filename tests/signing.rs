//! What this crate signs, `openssl` verifies, and the other way round, by every algorithm.

mod common;

use std::sync::LazyLock;

use common::openssl::OpenSsl;
use sha2::{Digest, Sha256, Sha384, Sha512};
use waxseal::{
    CreateKeyRequest, ImportKeyRequest, KeyHandle, KeyProvider, KeySpec, MacRequest, MessageInput,
    ProviderError, PublicKey, SecretBytes, SignRequest, SigningAlgorithm, SigningMismatch,
    SoftwareKeyProvider, VerifyError,
};

const MESSAGE: &[u8] = b"a message of some length, which is signed";

static PROVIDER: LazyLock<SoftwareKeyProvider> =
    LazyLock::new(|| SoftwareKeyProvider::generate().unwrap());

fn pairs() -> impl Iterator<Item = KeySpec> {
    let all = KeySpec::ALL.iter().copied();
    all.filter(|spec| spec.has_public_key())
}

fn create(spec: KeySpec) -> KeyHandle {
    PROVIDER.create_key(CreateKeyRequest::new(spec)).unwrap()
}

fn import(spec: KeySpec, material: Vec<u8>) -> Result<KeyHandle, ProviderError> {
    let material = SecretBytes::from(material);
    PROVIDER.import_key(ImportKeyRequest::new(spec, &material))
}

fn sign(handle: &KeyHandle, algorithm: SigningAlgorithm, message: MessageInput<'_>) -> Vec<u8> {
    let request = SignRequest::new(handle, algorithm, message);
    PROVIDER.sign(request).unwrap().into_bytes()
}

fn digest(algorithm: SigningAlgorithm, message: &[u8]) -> Vec<u8> {
    match algorithm.digest_len() {
        Some(32) => Sha256::digest(message).to_vec(),
        Some(48) => Sha384::digest(message).to_vec(),
        Some(64) => Sha512::digest(message).to_vec(),
        other => panic!("{algorithm}: {other:?}"),
    }
}

/// Makes such a key: `private.pem`, and `private.der` in PKCS #8.
fn generate(openssl: &OpenSsl, spec: KeySpec) {
    let options = match spec {
        KeySpec::Ed25519 => "ED25519".to_owned(),
        KeySpec::EcdsaP256 => "EC -pkeyopt ec_paramgen_curve:P-256".to_owned(),
        KeySpec::EcdsaP384 => "EC -pkeyopt ec_paramgen_curve:P-384".to_owned(),
        _ => {
            let (_, bits) = spec.name().split_once('_').unwrap();
            format!("RSA -pkeyopt rsa_keygen_bits:{bits}")
        }
    };
    generate_as(openssl, &options);
}

fn generate_as(openssl: &OpenSsl, options: &str) {
    openssl.run(&format!("genpkey -out private.pem -algorithm {options}"));
    openssl.run("pkcs8 -topk8 -nocrypt -in private.pem -outform DER -out private.der");
    openssl.run("pkey -in private.pem -pubout -out public.pem");
    openssl.run("pkey -in private.pem -pubout -outform DER -out public.der");
}

/// The options by which `openssl pkeyutl` signs `message` itself.
fn options(algorithm: SigningAlgorithm) -> String {
    let options = "-rawin -in message";
    let Some(digest_len) = algorithm.digest_len() else {
        return options.to_owned();
    };
    let padding = match algorithm.name().split('_').nth(1).unwrap() {
        "PSS" => "-pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest",
        "PKCS1" => "-pkeyopt rsa_padding_mode:pkcs1",
        _ => "",
    };
    format!("{options} -digest sha{} {padding}", digest_len * 8)
}

#[test]
fn openssl_verifies_what_is_signed_here() {
    let mut signed = 0;
    for spec in pairs() {
        let handle = create(spec);
        let public_key = PROVIDER.public_key(&handle).unwrap();
        let openssl = OpenSsl::new();
        openssl.write("public.pem", public_key.pem());
        openssl.write("public.der", public_key.as_der());
        openssl.run("pkey -pubin -inform DER -in public.der -pubcheck -noout");
        for &algorithm in spec.signing_algorithms() {
            let verify = format!(
                "pkeyutl -verify -pubin -inkey public.pem -sigfile signature {}",
                options(algorithm)
            );
            let of_message = sign(&handle, algorithm, MessageInput::Raw(MESSAGE));
            openssl.write("message", MESSAGE);
            openssl.write("signature", &of_message);
            openssl.run(&verify);
            if algorithm.digest_len().is_some() {
                let digest = digest(algorithm, MESSAGE);
                let of_digest = sign(&handle, algorithm, MessageInput::Digest(&digest));
                openssl.write("signature", of_digest);
                openssl.run(&verify);
            }
            openssl.write("message", b"another message");
            assert!(openssl.fails(&verify), "{algorithm}");
            signed += 1;
        }
    }
    assert_eq!(signed, 3 + 3 * 6);
}

#[test]
fn what_openssl_signs_is_verified_here() {
    let mut verified = 0;
    for spec in pairs() {
        let openssl = OpenSsl::new();
        openssl.write("message", MESSAGE);
        generate(&openssl, spec);
        let pem = String::from_utf8(openssl.read("public.pem")).unwrap();
        let public_key = PublicKey::from_pem(&pem).unwrap();
        assert_eq!(public_key.spec(), spec);
        assert_eq!(public_key.pem(), pem);
        for &algorithm in spec.signing_algorithms() {
            openssl.run(&format!(
                "pkeyutl -sign -inkey private.pem -out signature {}",
                options(algorithm)
            ));
            let signature = openssl.read("signature");
            let message = MessageInput::Raw(MESSAGE);
            assert_eq!(public_key.verify(algorithm, message, &signature), Ok(()));
            if algorithm.digest_len().is_some() {
                let digest = digest(algorithm, MESSAGE);
                let message = MessageInput::Digest(&digest);
                assert_eq!(public_key.verify(algorithm, message, &signature), Ok(()));
            }
            refuses_what_is_changed(&public_key, algorithm, &signature);
            verified += 1;
        }
    }
    assert_eq!(verified, 3 + 3 * 6);
}

fn refuses_what_is_changed(public_key: &PublicKey, algorithm: SigningAlgorithm, signature: &[u8]) {
    let refused = Err(VerifyError::InvalidSignature);
    let other = MessageInput::Raw(b"another message");
    assert_eq!(public_key.verify(algorithm, other, signature), refused);
    let message = MessageInput::Raw(MESSAGE);
    let positions = [0, 1, signature.len() / 2, signature.len() - 1];
    let flipped = positions.map(|position| {
        let mut changed = signature.to_vec();
        changed[position] ^= 1;
        changed
    });
    let longer = [signature, b"\0"].concat();
    let shorter = signature[1..].to_vec();
    for changed in flipped.into_iter().chain([longer, shorter, Vec::new()]) {
        assert_eq!(public_key.verify(algorithm, message, &changed), refused);
    }
}

#[test]
fn keys_of_openssl_are_imported() {
    for spec in pairs() {
        let openssl = OpenSsl::new();
        generate(&openssl, spec);
        let handle = import(spec, openssl.read("private.der")).unwrap();
        let public_key = PROVIDER.public_key(&handle).unwrap();
        assert_eq!(public_key.as_der(), openssl.read("public.der"));
        let algorithm = spec.signing_algorithms()[0];
        let message = MessageInput::Raw(MESSAGE);
        let signature = sign(&handle, algorithm, message);
        assert_eq!(public_key.verify(algorithm, message, &signature), Ok(()));
    }
}

#[test]
fn what_is_no_private_key_of_the_spec_is_not_imported() {
    let openssl = OpenSsl::new();
    let made_as = |options| {
        generate_as(&openssl, options);
        openssl.read("private.der")
    };
    let p256 = made_as("EC -pkeyopt ec_paramgen_curve:P-256");
    let public = openssl.read("public.der");
    let encrypt = "pkcs8 -topk8 -v2 aes-256-cbc -passout pass:x -outform DER -out encrypted.der";
    openssl.run(&format!("{encrypt} -in private.pem"));
    openssl.run("ec -in private.pem -outform DER -out sec1.der");
    let short = made_as("RSA -pkeyopt rsa_keygen_bits:1024");
    let exponent_3 = made_as("RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3");
    let pss_alone = made_as("RSA-PSS -pkeyopt rsa_keygen_bits:2048");
    for (spec, material) in [
        (KeySpec::EcdsaP384, p256.clone()),
        (KeySpec::Ed25519, p256.clone()),
        (KeySpec::Rsa2048, p256.clone()),
        (KeySpec::EcdsaP256, p256[..p256.len() - 1].to_vec()),
        (KeySpec::EcdsaP256, [&p256[..], b"\0"].concat()),
        (KeySpec::EcdsaP256, Vec::new()),
        (KeySpec::EcdsaP256, openssl.read("encrypted.der")),
        (KeySpec::EcdsaP256, public),
        (KeySpec::EcdsaP256, openssl.read("sec1.der")),
        (KeySpec::Rsa2048, short),
        (KeySpec::Rsa2048, exponent_3),
        (KeySpec::Rsa2048, pss_alone),
    ] {
        let refused = import(spec, material);
        assert!(
            matches!(refused, Err(ProviderError::InvalidKeyMaterial { .. })),
            "{spec}: {refused:?}"
        );
    }
}

#[test]
fn a_private_key_with_a_flipped_bit_is_not_imported() {
    let openssl = OpenSsl::new();
    for spec in [KeySpec::Ed25519, KeySpec::EcdsaP256, KeySpec::Rsa2048] {
        generate(&openssl, spec);
        let whole = openssl.read("private.der");
        let mut imported = 0;
        for position in 0..whole.len() {
            let mut changed = whole.clone();
            changed[position] ^= 4;
            match import(spec, changed) {
                Ok(handle) => {
                    imported += 1;
                    PROVIDER.public_key(&handle).unwrap();
                }
                Err(ProviderError::InvalidKeyMaterial { .. }) => {}
                Err(other) => panic!("{spec} at {position}: {other}"),
            }
        }
        // A seed is as good as any other; of an RSA key, what is derived from the primes is not
        // looked at, but derived anew.
        let may_be_imported = match spec {
            KeySpec::Ed25519 => 32,
            KeySpec::EcdsaP256 => 0,
            _ => 400,
        };
        assert!(imported <= may_be_imported, "{spec}: {imported}");
    }
}

#[test]
fn macs_are_those_of_openssl() {
    let openssl = OpenSsl::new();
    openssl.write("message", MESSAGE);
    for (spec, bits, lens) in [
        (KeySpec::Hmac256, 256, [32, 33, 64, 128]),
        (KeySpec::Hmac384, 384, [48, 49, 64, 128]),
        (KeySpec::Hmac512, 512, [64, 65, 100, 128]),
    ] {
        for len in lens {
            let key = vec![0x5a; len];
            let handle = import(spec, key).unwrap();
            let mac = PROVIDER.generate_mac(MacRequest::new(&handle, MESSAGE));
            let hex = "5a".repeat(len);
            openssl.run(&format!(
                "dgst -sha{bits} -mac HMAC -macopt hexkey:{hex} -binary -out mac message"
            ));
            assert_eq!(mac.unwrap().as_bytes(), openssl.read("mac"));
        }
    }
}

#[test]
fn signatures_of_an_algorithm_are_no_signatures_of_another() {
    for (spec, others) in [
        (KeySpec::Ed25519, KeySpec::EcdsaP256),
        (KeySpec::EcdsaP256, KeySpec::EcdsaP384),
        (KeySpec::Rsa2048, KeySpec::Ed25519),
    ] {
        let handle = create(spec);
        let public_key = PROVIDER.public_key(&handle).unwrap();
        for &algorithm in others.signing_algorithms() {
            let mismatch = SigningMismatch::Algorithm { spec, algorithm };
            let message = MessageInput::Raw(MESSAGE);
            let refused = PROVIDER.sign(SignRequest::new(&handle, algorithm, message));
            assert!(matches!(refused, Err(ProviderError::Signing(found)) if found == mismatch));
            assert_eq!(
                public_key.verify(algorithm, message, b"signature"),
                Err(VerifyError::Mismatch(mismatch))
            );
        }
    }
    let handle = create(KeySpec::Rsa2048);
    let public_key = PROVIDER.public_key(&handle).unwrap();
    let message = MessageInput::Raw(MESSAGE);
    for &made_by in KeySpec::Rsa2048.signing_algorithms() {
        let signature = sign(&handle, made_by, message);
        for &algorithm in KeySpec::Rsa2048.signing_algorithms() {
            let verified = public_key.verify(algorithm, message, &signature);
            assert_eq!(verified.is_ok(), algorithm == made_by, "{algorithm}");
        }
    }
}

#[test]
fn a_digest_has_the_length_of_the_algorithm() {
    let (p256, edwards) = (create(KeySpec::EcdsaP256), create(KeySpec::Ed25519));
    for len in [0, 31, 33, 48, 64] {
        let digest = vec![7; len];
        let message = MessageInput::Digest(&digest);
        let request = SignRequest::new(&p256, SigningAlgorithm::EcdsaSha256, message);
        let refused = PROVIDER.sign(request).unwrap_err();
        let mismatch = SigningMismatch::DigestLength {
            algorithm: SigningAlgorithm::EcdsaSha256,
            expected: 32,
            len,
        };
        assert!(matches!(refused, ProviderError::Signing(found) if found == mismatch));
    }
    let message = MessageInput::Digest(&[7; 64]);
    let request = SignRequest::new(&edwards, SigningAlgorithm::Ed25519, message);
    let refused = PROVIDER.sign(request).unwrap_err();
    assert!(
        refused.to_string().contains("give the message itself"),
        "{refused}"
    );
}

#[test]
fn what_is_no_public_key_is_refused() {
    let handle = create(KeySpec::EcdsaP256);
    let public_key = PROVIDER.public_key(&handle).unwrap();
    let der = public_key.as_der();
    assert_eq!(PublicKey::from_der(der).as_ref(), Ok(&public_key));
    for len in 0..der.len() {
        assert!(PublicKey::from_der(&der[..len]).is_err(), "{len}");
    }
    for position in 0..der.len() {
        let mut changed = der.to_vec();
        changed[position] ^= 1;
        assert!(PublicKey::from_der(&changed).is_err(), "{position}");
    }
    assert!(PublicKey::from_der(&[der, b"\0"].concat()).is_err());
    let pem = public_key.pem();
    assert!(PublicKey::from_pem(&pem.replace("PUBLIC", "PRIVATE")).is_err());
    assert!(PublicKey::from_pem(&pem[1..]).is_err());

    let openssl = OpenSsl::new();
    for (command, spec) in [
        ("EC -pkeyopt ec_paramgen_curve:P-521", "P-521"),
        ("X25519", "X25519"),
        ("ED448", "Ed448"),
        ("RSA -pkeyopt rsa_keygen_bits:1024", "RSA of 1024 bits"),
        ("RSA-PSS -pkeyopt rsa_keygen_bits:2048", "RSA for PSS alone"),
    ] {
        generate_as(&openssl, command);
        let pem = String::from_utf8(openssl.read("public.pem")).unwrap();
        assert!(PublicKey::from_pem(&pem).is_err(), "{spec}");
    }
}

#[test]
fn ecdsa_is_deterministic() {
    let handle = create(KeySpec::EcdsaP256);
    let message = MessageInput::Raw(MESSAGE);
    let first = sign(&handle, SigningAlgorithm::EcdsaSha256, message);
    assert_eq!(first, sign(&handle, SigningAlgorithm::EcdsaSha256, message));
}
