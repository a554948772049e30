//! Reads the files of `testdata/v1`; `testdata/README.md` says what their fields mean.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer};
use waxseal::format::FormatError;
use waxseal::{
    ContextError, EncryptionContext, Envelope, Error, HeaderStore, KeyHandle, KeySpec, Opener,
    RootKey, Sealer, SigningAlgorithm, SingleKeyring, SoftwareKeyProvider, Suite,
};

use super::FixedRandom;
use super::header_store::Giving;

pub const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/testdata/v1");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    pub name: String,
    #[serde(rename = "comment")]
    _comment: String,
    pub kind: String,
    pub expect: String,
    pub error: Option<String>,
    pub field: Option<String>,
    pub passphrase: Option<String>,
    #[serde(default, deserialize_with = "hex")]
    pub record: Vec<u8>,
    #[serde(default, deserialize_with = "hex")]
    root_key: Vec<u8>,
    #[serde(default, deserialize_with = "hex")]
    handle: Vec<u8>,
    #[serde(default, deserialize_with = "hex")]
    binding: Vec<u8>,
    pub spec: Option<KeySpec>,
    pub algorithm: Option<SigningAlgorithm>,
    #[serde(default)]
    context: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "hex")]
    pub aad: Vec<u8>,
    plaintext: Option<String>,
    plaintext_len: Option<usize>,
    #[serde(rename = "plaintext_sha256")]
    _plaintext_sha256: Option<String>,
    #[serde(default, deserialize_with = "hex")]
    pub data_key: Vec<u8>,
    #[serde(default, deserialize_with = "hex")]
    pub salt: Vec<u8>,
    suite: Option<u8>,
    #[serde(default)]
    pub reproducible: bool,
    #[serde(default)]
    also_opens_with: Vec<OtherOpening>,
    #[serde(flatten)]
    pub raw: RawGcm,
    #[serde(default, deserialize_with = "hex")]
    pub message: Vec<u8>,
    #[serde(default, deserialize_with = "hex")]
    pub public_key: Vec<u8>,
    #[serde(default, deserialize_with = "hex")]
    pub mac: Vec<u8>,
    #[serde(default, deserialize_with = "hex")]
    pub signature: Vec<u8>,
    #[serde(default, deserialize_with = "hexes")]
    pub headers: Vec<Vec<u8>>,
    #[serde(default, deserialize_with = "hex")]
    nonce: Vec<u8>,
    #[serde(default, deserialize_with = "hex")]
    pub sealed_record: Vec<u8>,
}

/// A ciphertext that opens as plain AES-256-GCM under two keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawGcm {
    #[serde(deserialize_with = "hex")]
    pub raw_key_1: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub raw_nonce_1: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub raw_plaintext_1: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub raw_key_2: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub raw_nonce_2: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub raw_plaintext_2: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    pub raw_ciphertext: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct OtherOpening {
    #[serde(deserialize_with = "hex")]
    aad: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    plaintext: Vec<u8>,
}

/// All vectors, in the order of their names.
pub fn all() -> impl Iterator<Item = Vector> {
    let mut paths: Vec<_> = std::fs::read_dir(DIRECTORY)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.into_iter().map(|path| read(&path))
}

/// The vector of that name.
pub fn named(name: &str) -> Vector {
    read(&Path::new(DIRECTORY).join(name).with_extension("json"))
}

fn read(path: &Path) -> Vector {
    let text = std::fs::read(path).unwrap();
    let vector: Vector =
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(
        Some(vector.name.as_str()),
        path.file_stem().and_then(|stem| stem.to_str())
    );
    vector
}

impl Vector {
    pub fn root_key(&self) -> RootKey {
        RootKey::from_bytes(self.root_key.as_slice().try_into().unwrap())
    }

    pub fn try_context(&self) -> Result<EncryptionContext, ContextError> {
        EncryptionContext::new(self.context.clone())
    }

    pub fn context(&self) -> EncryptionContext {
        self.try_context().unwrap()
    }

    pub fn handle(&self) -> KeyHandle {
        KeyHandle::from_bytes(self.handle.clone()).with_binding(self.binding.clone())
    }

    pub fn keyring(&self) -> SingleKeyring {
        if self.handle.is_empty() {
            return SingleKeyring::software(&self.root_key());
        }
        let provider = SoftwareKeyProvider::new(&self.root_key());
        SingleKeyring::new(provider, self.handle()).unwrap()
    }

    /// Opens as the vector's reader does.
    pub fn opener(&self) -> Envelope {
        Envelope::new(self.keyring())
    }

    /// Seals with the vector's data key, and salt.
    pub fn sealer(&self) -> Envelope {
        let suite = self.suite();
        if self.salt.is_empty() {
            return self
                .opener()
                .with_suite(suite)
                .with_random_source(FixedRandom::new(self.data_key.clone()));
        }
        let keyring = super::SharingKeyring::new(self.keyring(), &self.data_key);
        Envelope::new(keyring)
            .with_suite(suite)
            .with_random_source(FixedRandom::new(self.salt.clone()))
    }

    /// Opens the records under the headers that the vector's reader was given.
    pub fn record_opener(&self) -> Opener {
        let headers = Giving::new(self.headers.clone());
        Opener::new(self.opener(), self.context(), headers)
    }

    /// Seals one record with the vector's nonce, under a header with its data key and salt.
    pub fn record_sealer(&self, headers: impl HeaderStore + 'static) -> Sealer {
        let random = [&self.nonce[..], &self.data_key, &self.salt].concat();
        let envelope = self
            .opener()
            .with_suite(self.suite())
            .with_random_source(FixedRandom::new(random));
        Sealer::new(envelope, self.context(), headers)
    }

    fn suite(&self) -> Suite {
        match self.suite {
            Some(2) => Suite::ChaCha20Poly1305,
            _ => Suite::Aes256Gcm,
        }
    }

    pub fn plaintext(&self) -> Vec<u8> {
        match (&self.plaintext, self.plaintext_len) {
            (Some(text), None) => from_hex(text),
            (None, Some(len)) => (0..len).map(pattern_byte).collect(),
            _ => panic!("{} has no plaintext", self.name),
        }
    }

    pub fn other_openings(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        self.also_opens_with
            .iter()
            .map(|opening| (opening.aad.clone(), opening.plaintext.clone()))
    }

    /// Fails unless `error` is of the class and names the field that the vector says.
    pub fn assert_refusal(&self, error: &Error) {
        let (class, field) = classify(error);
        assert_eq!(
            (Some(class), field),
            (self.error.as_deref(), self.field.as_deref()),
            "{}: {error}",
            self.name
        );
    }
}

fn classify(error: &Error) -> (&'static str, Option<&'static str>) {
    match error {
        Error::Decrypt => ("decrypt", None),
        Error::OtherKey { .. } => ("other_key", None),
        Error::UnknownHeader { .. } => ("unknown_header", None),
        Error::Limit(limit) => ("limit", Some(limit_field(limit))),
        Error::Format(error) | Error::StoredHeader { source: error, .. } => match error {
            FormatError::NotAMessage => ("not_a_message", None),
            FormatError::UnsupportedVersion { .. } => ("unsupported_version", None),
            FormatError::UnsupportedSuite { .. } => ("unsupported_suite", None),
            FormatError::RecordHeader => ("record_header", None),
            FormatError::MessageHeader => ("message_header", None),
            FormatError::NotARecord => ("not_a_record", None),
            FormatError::Truncated { .. } => ("truncated", None),
            FormatError::Malformed { field, .. } => ("malformed", Some(short_name(field))),
            FormatError::Limit(limit) => ("limit", Some(limit_field(limit))),
            other => panic!("unknown {other:?}"),
        },
        other => panic!("unknown {other:?}"),
    }
}

fn limit_field(error: &waxseal::LimitExceeded) -> &'static str {
    use waxseal::format::Limit;
    match error.limit {
        Limit::Entry => "entry",
        Limit::Pad => "pad",
        Limit::Header => "header",
        Limit::AssociatedData => "aad",
        Limit::Candidates => "candidates",
        other => panic!("unknown {other:?}"),
    }
}

/// The name that the vectors give a field of the header.
fn short_name(field: &str) -> &'static str {
    match field {
        "flags" => "flags",
        "salt" => "salt",
        "wrapped key tag" => "tag",
        "wrapped key length" => "length",
        "wrapped key" => "entry",
        "wrapped keys" => "entries",
        "padding" => "pad",
        "body" => "body",
        other => panic!("unknown field {other}"),
    }
}

fn pattern_byte(i: usize) -> u8 {
    u8::try_from((i * 31 + 7) % 251).unwrap()
}

pub fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    String::deserialize(deserializer).map(|text| from_hex(&text))
}

fn hexes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<u8>>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    Ok(texts.iter().map(|text| from_hex(text)).collect())
}
