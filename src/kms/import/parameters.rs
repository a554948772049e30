use std::fmt;

use super::super::error::KmsError;
use crate::clock::Timestamp;
use crate::crypto::{ImportKeyPair, ImportWrapping, InvalidKey, KeyPair, RsaSize, spki_to_pem};
use crate::names::named;
use crate::provider::{KeySpec, ProviderError};

/// Says how material is to be wrapped on its way in.
///
/// ```
/// use waxseal::kms::{ImportKeySize, ImportParameters};
/// use waxseal::ImportWrapping;
///
/// let parameters = ImportParameters::new(ImportWrapping::RsaAesKeyWrapSha256)
///     .with_size(ImportKeySize::Rsa4096);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportParameters {
    /// How the material is wrapped.
    pub wrapping: ImportWrapping,
    /// The size of the key that wraps it.
    pub size: ImportKeySize,
}

/// The size of an RSA key that wraps material to be imported. The names are those of AWS KMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ImportKeySize {
    /// `RSA_2048`: about as strong as 112 bits.
    Rsa2048,
    /// `RSA_3072`: about as strong as 128 bits.
    #[default]
    Rsa3072,
    /// `RSA_4096`: about as strong as 150 bits.
    Rsa4096,
}

named!(ImportKeySize, "size of a wrapping key", {
    Rsa2048 => "RSA_2048",
    Rsa3072 => "RSA_3072",
    Rsa4096 => "RSA_4096",
});

/// What the owner of key material needs to import it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParametersForImport {
    /// The public key to wrap the material with: a `SubjectPublicKeyInfo` in DER.
    pub public_key: Vec<u8>,
    /// The same in PEM.
    pub public_key_pem: String,
    /// The token to give back with the wrapped material. Not secret; about 3 KiB.
    pub token: Vec<u8>,
    /// When the token is no longer taken.
    pub valid_until: Timestamp,
}

impl ImportParameters {
    /// Wraps so, with a key of 3072 bits.
    #[must_use]
    pub fn new(wrapping: ImportWrapping) -> Self {
        Self {
            wrapping,
            size: ImportKeySize::default(),
        }
    }

    /// Wraps with a key of another size.
    #[must_use]
    pub fn with_size(mut self, size: ImportKeySize) -> Self {
        self.size = size;
        self
    }

    /// A private key of RSA is longer than what RSA-OAEP takes.
    pub(super) fn check(self, spec: KeySpec) -> Result<(), KmsError> {
        let is_rsa = matches!(spec.key_pair(), Some(KeyPair::Rsa(_)));
        if is_rsa && self.wrapping == ImportWrapping::RsaOaepSha256 {
            return Err(KmsError::ImportWrapping {
                spec,
                wrapping: self.wrapping,
            });
        }
        Ok(())
    }
}

impl ParametersForImport {
    pub(super) fn new(
        pair: &ImportKeyPair,
        token: Vec<u8>,
        valid_until: Timestamp,
    ) -> Result<Self, KmsError> {
        let public_key = pair.to_spki().map_err(broken)?;
        Ok(Self {
            public_key_pem: spki_to_pem(&public_key).map_err(broken)?,
            public_key,
            token,
            valid_until,
        })
    }
}

/// A pair that was just made is one that can be written.
pub(super) fn broken(InvalidKey: InvalidKey) -> KmsError {
    KmsError::Provider(ProviderError::Unavailable {
        provider: "software".to_owned(),
        source: "a new key pair cannot be encoded".into(),
    })
}

impl From<ImportKeySize> for RsaSize {
    fn from(size: ImportKeySize) -> Self {
        match size {
            ImportKeySize::Rsa2048 => Self::Bits2048,
            ImportKeySize::Rsa3072 => Self::Bits3072,
            ImportKeySize::Rsa4096 => Self::Bits4096,
        }
    }
}

impl fmt::Debug for ParametersForImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParametersForImport")
            .field(
                "public_key",
                &format_args!("{} bytes", self.public_key.len()),
            )
            .field("token", &format_args!("{} bytes", self.token.len()))
            .field("valid_until", &format_args!("{}", self.valid_until))
            .finish_non_exhaustive()
    }
}
