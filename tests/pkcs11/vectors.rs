//! Messages that the Python implementation sealed under keys of tokens open with tokens, and the
//! other way round.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::Session;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use waxseal::format::Header;
use waxseal::pkcs11::{AdoptKey, Pkcs11KeyProvider, TokenWrapping, Vendor};
use waxseal::{
    EncryptionContext, Envelope, EnvelopeEncryptor, Error, KeyHandle, KeyId, KeyProvider,
    KeyReference, KeyVersion, Mechanism, RootKey, SealedRootKey, SingleKeyring,
    SoftwareKeyProvider, UnwrapRequest,
};

use crate::keys::open;
use crate::raw;
use crate::tokens::{FULL, SOFTHSM, token_tests};

#[derive(Deserialize)]
struct File {
    cka_id: Hex,
    mac_cka_id: Hex,
    aes_key: Hex,
    mac_key: Hex,
    rsa_key: BTreeMap<String, Hex>,
    binding: Hex,
    context: BTreeMap<String, String>,
    plaintext: Hex,
    vectors: Vec<Vector>,
    sealed_root_key: Sealed,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    mechanism: Mechanism,
    data_key: Hex,
    handle: Hex,
    reproducible: bool,
    message: Hex,
    refused: Vec<Refused>,
    kms: KmsVector,
}

#[derive(Deserialize)]
struct Refused {
    what: String,
    message: Hex,
    context: BTreeMap<String, String>,
    error: String,
}

#[derive(Deserialize)]
struct KmsVector {
    key: KeyId,
    version: KeyVersion,
    data_key: Hex,
    message: Hex,
}

#[derive(Deserialize)]
struct Sealed {
    outer_root_key: Hex,
    root_key: Hex,
    sealed: Hex,
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = base16ct::Error;

    fn try_from(text: String) -> Result<Self, base16ct::Error> {
        base16ct::lower::decode_vec(text).map(Self)
    }
}

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/testdata/tokens/tokens.json"
);

fn file() -> File {
    serde_json::from_slice(&std::fs::read(FILE).unwrap()).unwrap()
}

fn context(pairs: &BTreeMap<String, String>) -> EncryptionContext {
    EncryptionContext::new(pairs.clone()).unwrap()
}

token_tests! {
    fn by_a_callers_iv(tokens) {
        for place in [(tokens.softhsm(), SOFTHSM), (tokens.kryoptic(), FULL)] {
            check(&place, Vendor::Generic, &[Mechanism::GCM_CALLER_IV]);
        }
    }

    fn by_ivs_of_the_token(tokens) {
        for (rules, vendor, mechanism) in [
            (&["iv returned"][..], Vendor::Generic, Mechanism::GCM_RETURNED_IV),
            (&["iv returned-at-init"], Vendor::CloudHsm, Mechanism::GCM_RETURNED_IV),
            (
                &["alias 0x80001087 0x1087", "iv prepended", "hide 0x1087"],
                Vendor::CloudHsm,
                Mechanism::GCM_PREPENDED_IV,
            ),
            (&["iv appended"], Vendor::Luna, Mechanism::GCM_APPENDED_LONG_IV),
            (&["iv appended"], Vendor::Luna, Mechanism::GCM_APPENDED_IV),
        ] {
            let shim = tokens.shim(&tokens.softhsm(), rules);
            check(&(shim.path, SOFTHSM), vendor, &[mechanism]);
        }
    }

    fn by_googles_mechanism(tokens) {
        let rules = ["alias 0x8001e101 0x1087", "iv returned", "hide 0x1087"];
        let shim = tokens.shim(&tokens.softhsm(), &rules);
        check(&(shim.path, SOFTHSM), Vendor::GoogleKms, &[Mechanism::GCM_RETURNED_IV]);
    }

    fn by_key_wrap(tokens) {
        let by = [Mechanism::AES_KEY_WRAP];
        check(&(tokens.softhsm(), SOFTHSM), Vendor::Generic, &by);
        check(&(tokens.kryoptic(), FULL), Vendor::Generic, &by);
        let shim = tokens.shim(&tokens.softhsm(), &["value-len"]);
        check(&(shim.path, SOFTHSM), Vendor::Luna, &by);
    }

    fn by_oaep(tokens) {
        check(&(tokens.softhsm(), SOFTHSM), Vendor::SoftHsm, &[Mechanism::RSA_OAEP_SHA1]);
        check(&(tokens.kryoptic(), FULL), Vendor::Generic, &[
            Mechanism::RSA_OAEP_SHA1,
            Mechanism::RSA_OAEP_SHA256,
            Mechanism::RSA_OAEP_SHA384,
            Mechanism::RSA_OAEP_SHA512,
        ]);
    }

    fn by_cbc_and_hmac(tokens) {
        for place in [(tokens.softhsm(), SOFTHSM), (tokens.kryoptic(), FULL)] {
            check(&place, Vendor::Generic, &[Mechanism::CBC_HMAC_SHA256]);
        }
    }
}

#[test]
fn a_sealed_root_key_opens() {
    let Sealed {
        outer_root_key,
        root_key,
        sealed,
    } = file().sealed_root_key;
    let root_of = |bytes: Hex| RootKey::from_bytes(&bytes.0.try_into().unwrap());
    let keeper = SoftwareKeyProvider::new(&root_of(outer_root_key));
    let read = SealedRootKey::from_bytes(&sealed.0).unwrap();
    assert_eq!(read.to_bytes(), sealed.0);
    let opened = SoftwareKeyProvider::new(&read.open(&keeper).unwrap());
    let expected = SoftwareKeyProvider::new(&root_of(root_key));
    assert_eq!(opened.root_handle(), expected.root_handle());
}

/// Holds the vectors of these mechanisms against a token.
fn check((module, label): &(PathBuf, &str), vendor: Vendor, mechanisms: &[Mechanism]) {
    let file = file();
    let session = raw::session(&raw::module(module), label);
    for mechanism in mechanisms {
        let mut vectors = file.vectors.iter();
        let vector = vectors
            .find(|vector| vector.mechanism == *mechanism)
            .unwrap();
        let objects = put(&session, &file, *mechanism);
        let wrapping = TokenWrapping::new(vendor).with_mechanism(*mechanism);
        let provider = open(module, label).with_wrapping(wrapping);
        vector.check(&provider, &file);
        for object in objects {
            session.destroy_object(object).unwrap();
        }
    }
}

impl Vector {
    fn check(&self, provider: &Pkcs11KeyProvider, file: &File) {
        let name = &self.name;
        let mut adopt = AdoptKey::by_id(file.cka_id.0.clone()).with_binding(file.binding.0.clone());
        if self.mechanism == Mechanism::CBC_HMAC_SHA256 {
            adopt = adopt.with_mac_key(file.mac_cka_id.0.clone());
        }
        let handle = provider
            .adopt(&adopt)
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(handle.as_bytes(), self.handle.0, "{name}");

        let keyring = SingleKeyring::new(provider.clone(), handle.clone()).unwrap();
        let envelope = Envelope::new(keyring);
        let opened = envelope
            .decrypt(&self.message.0, &context(&file.context))
            .unwrap();
        assert_eq!(*opened, *file.plaintext.0, "{name}");
        for refused in &self.refused {
            let error = envelope
                .decrypt(&refused.message.0, &context(&refused.context))
                .unwrap_err();
            let class = match error {
                Error::Decrypt => "decrypt",
                Error::OtherKey { .. } => "other_key",
                other => panic!("{name}, {}: {other:?}", refused.what),
            };
            assert_eq!(class, refused.error, "{name}, {}", refused.what);
        }
        self.check_kms(provider, &handle, file);
        if self.reproducible {
            self.check_reproducible(provider, &handle, file);
        }
        let messages: Vec<_> = [(); 3]
            .map(|()| {
                envelope
                    .encrypt(&file.plaintext.0, &context(&file.context))
                    .unwrap()
            })
            .into();
        for opened in opened_by_python(name, &messages) {
            assert_eq!(opened, file.plaintext.0, "{name}");
        }
    }

    /// The wrapped key of a message that names a version of a KMS's key.
    fn check_kms(&self, provider: &Pkcs11KeyProvider, handle: &KeyHandle, file: &File) {
        let (header, _) = Header::parse(&self.kms.message.0).unwrap();
        let entry = header.entries().iter().next().unwrap();
        let named = KeyReference::kms_token(self.kms.key, self.kms.version, self.mechanism);
        assert!(entry.names(&named), "{}", self.name);
        let binding = binding(&named, file);
        let request = UnwrapRequest::new(handle, entry.wrapped(), &binding);
        let data_key = provider.unwrap_key(request).unwrap();
        assert_eq!(*data_key.expose(), *self.kms.data_key.0, "{}", self.name);
    }

    /// A mechanism that takes nothing at random wraps to the same bytes.
    fn check_reproducible(&self, provider: &Pkcs11KeyProvider, handle: &KeyHandle, file: &File) {
        let (header, _) = Header::parse(&self.message.0).unwrap();
        let entry = header.entries().iter().next().unwrap();
        let data_key = waxseal::DataKey::from_bytes(&self.data_key.0).unwrap();
        let binding = binding(&entry.reference(), file);
        let request = waxseal::WrapRequest::new(handle, &data_key, &binding);
        let wrapped = provider.wrap_key(request).unwrap();
        assert_eq!(wrapped.as_bytes(), entry.wrapped(), "{}", self.name);
    }
}

/// What a data key is bound to, by FORMAT.md, section 7. All contexts here have one pair.
fn binding(key: &KeyReference, file: &File) -> Vec<u8> {
    let mut canonical = vec![0, 1];
    for (key, value) in &file.context {
        for part in [key, value] {
            canonical.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
            canonical.extend(part.as_bytes());
        }
    }
    let digest = Sha256::digest(&canonical);
    [
        b"waxseal/v1/wrap\0",
        &[key.tag()][..],
        key.prefix(),
        &digest,
    ]
    .concat()
}

/// Puts the known keys into the token.
fn put(
    session: &Session,
    file: &File,
    mechanism: Mechanism,
) -> Vec<cryptoki::object::ObjectHandle> {
    let kept = |class, kind, id: &[u8]| {
        vec![
            Attribute::Class(class),
            Attribute::KeyType(kind),
            Attribute::Id(id.to_vec()),
            Attribute::Token(true),
        ]
    };
    let rsa = |name: &str| file.rsa_key[name].0.clone();
    let mut templates = Vec::new();
    if (32..=35).contains(&mechanism.get()) {
        let mut public = kept(ObjectClass::PUBLIC_KEY, KeyType::RSA, &file.cka_id.0);
        public.extend([
            Attribute::Private(false),
            Attribute::Encrypt(true),
            Attribute::Modulus(rsa("n")),
            Attribute::PublicExponent(rsa("e")),
        ]);
        let mut private = kept(ObjectClass::PRIVATE_KEY, KeyType::RSA, &file.cka_id.0);
        private.extend([
            Attribute::Private(true),
            Attribute::Decrypt(true),
            Attribute::Modulus(rsa("n")),
            Attribute::PublicExponent(rsa("e")),
            Attribute::PrivateExponent(rsa("d")),
            Attribute::Prime1(rsa("p")),
            Attribute::Prime2(rsa("q")),
            Attribute::Exponent1(rsa("dp")),
            Attribute::Exponent2(rsa("dq")),
            Attribute::Coefficient(rsa("qi")),
        ]);
        templates.extend([public, private]);
    } else {
        let mut key = kept(ObjectClass::SECRET_KEY, KeyType::AES, &file.cka_id.0);
        key.extend([
            Attribute::Private(true),
            Attribute::Value(file.aes_key.0.clone()),
        ]);
        key.extend(match mechanism {
            Mechanism::AES_KEY_WRAP => [Attribute::Wrap(true), Attribute::Unwrap(true)],
            _ => [Attribute::Encrypt(true), Attribute::Decrypt(true)],
        });
        templates.push(key);
    }
    if mechanism == Mechanism::CBC_HMAC_SHA256 {
        let (class, kind) = (ObjectClass::SECRET_KEY, KeyType::GENERIC_SECRET);
        let mut key = kept(class, kind, &file.mac_cka_id.0);
        key.extend([
            Attribute::Private(true),
            Attribute::Value(file.mac_key.0.clone()),
            Attribute::Sign(true),
            Attribute::Verify(true),
        ]);
        templates.push(key);
    }
    let create = |template: Vec<Attribute>| session.create_object(&template).unwrap();
    templates.into_iter().map(create).collect()
}

/// What the second implementation opens.
fn opened_by_python(name: &str, messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let messages_len = messages.len();
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/reference/make_token_vectors.py"
    );
    let messages = messages
        .iter()
        .map(|message| base16ct::lower::encode_string(message));
    let output = Command::new(python())
        .args([script, "open", FILE, name])
        .args(messages)
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines = printed.lines();
    assert_eq!(lines.clone().count(), messages_len, "{name}");
    lines
        .map(|line| base16ct::lower::decode_vec(line).unwrap())
        .collect()
}

/// A Python with the package that the second implementation stands on, made here if need be.
fn python() -> PathBuf {
    let works = |python: &Path| {
        let needed = "from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV";
        let ran = Command::new(python).args(["-c", needed]).output();
        ran.is_ok_and(|output| output.status.success())
    };
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reference-python");
    let candidates = ["python3".into(), made.join("bin/python")];
    if let Some(python) = candidates.iter().find(|python| works(python)) {
        return python.clone();
    }
    let _ = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&made)
        .status();
    let [_, python] = candidates;
    let _ = Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "cryptography>=48"])
        .status();
    assert!(
        works(&python),
        "the second implementation needs a package of Python: pip install 'cryptography>=48'"
    );
    python
}
