//! The bytes of an import token (FORMAT.md, section 20).

use super::super::error::KmsError;
use super::super::store_key::OpenStore;
use super::parameters::{ImportKeySize, ImportParameters, broken};
use crate::clock::Timestamp;
use crate::crypto::{ImportKeyPair, ImportWrapping, MaterialWrap};
use crate::format::codec::Reader;
use crate::format::{FormatError, KeyId, label};

/// What a token says. It holds the private half of a pair as well, sealed.
pub(super) struct ImportToken {
    pub(super) key: KeyId,
    pub(super) parameters: ImportParameters,
    pub(super) valid_until: Timestamp,
}

const VERSION: u8 = 1;

impl ImportToken {
    pub(super) fn seal(self, store: &OpenStore, pair: &ImportKeyPair) -> Result<Vec<u8>, KmsError> {
        let mut token = vec![VERSION];
        token.extend_from_slice(store.id().as_bytes());
        token.extend_from_slice(self.key.as_bytes());
        token.push(wrapping_code(self.parameters.wrapping));
        token.push(size_code(self.parameters.size));
        token.extend_from_slice(&self.valid_until.as_unix_millis().to_be_bytes());
        let private_key = pair.to_pkcs8().map_err(broken)?;
        let sealed = sealing_key(store, self.key).wrap(&aad(&token), &private_key);
        token.extend(sealed);
        Ok(token)
    }

    /// Reads a token of a key, and the pair in it.
    pub(super) fn open(
        bytes: &[u8],
        key: KeyId,
        store: &OpenStore,
        now: Timestamp,
    ) -> Result<(Self, ImportKeyPair), KmsError> {
        let refused = |reason| KmsError::ImportToken { key, reason };
        match bytes.first() {
            None => return Err(refused("it is empty")),
            Some(&VERSION) => {}
            Some(_) => return Err(refused("it is not one that this version of waxseal knows")),
        }
        let (token, of_store, sealed) =
            Self::read(bytes).map_err(|_| refused("it is not one, or not a whole one"))?;
        if of_store != store.id() {
            return Err(refused("it is of another store"));
        }
        if token.key != key {
            return Err(refused("it is of another key"));
        }
        let front_len = bytes.len().saturating_sub(sealed.len());
        let front = bytes.get(..front_len).unwrap_or_default();
        let pkcs8 = sealing_key(store, key)
            .unwrap(&aad(front), sealed)
            .map_err(|_| refused("it was changed"))?;
        if token.valid_until <= now {
            return Err(KmsError::ImportTokenExpired {
                key,
                on: token.valid_until,
            });
        }
        let pair = ImportKeyPair::from_pkcs8(token.parameters.size.into(), &pkcs8)
            .map_err(|_| refused("it was made by another program"))?;
        Ok((token, pair))
    }

    /// Nothing of it is authentic yet.
    fn read(bytes: &[u8]) -> Result<(Self, KeyId, &[u8]), FormatError> {
        const FIELD: &str = "import token";
        const UNKNOWN: FormatError = FormatError::Malformed {
            field: FIELD,
            reason: "it has an unknown code",
        };
        let mut reader = Reader::new(bytes);
        reader.u8(FIELD)?;
        let store = KeyId::from_bytes(*reader.take_array(FIELD)?);
        let key = KeyId::from_bytes(*reader.take_array(FIELD)?);
        let wrapping = reader.u8(FIELD)?;
        let size = reader.u8(FIELD)?;
        let millis = u64::from_be_bytes(*reader.take_array(FIELD)?);
        let find_wrapping = |&&each: &&ImportWrapping| wrapping_code(each) == wrapping;
        let find_size = |&&each: &&ImportKeySize| size_code(each) == size;
        let wrapping = ImportWrapping::ALL.iter().find(find_wrapping);
        let size = ImportKeySize::ALL.iter().find(find_size);
        let token = Self {
            key,
            parameters: ImportParameters {
                wrapping: *wrapping.ok_or(UNKNOWN)?,
                size: *size.ok_or(UNKNOWN)?,
            },
            valid_until: Timestamp::from_unix_millis(millis),
        };
        Ok((token, store, reader.rest()))
    }
}

fn sealing_key(store: &OpenStore, key: KeyId) -> MaterialWrap {
    let info: [&[u8]; 2] = [label!("kms-import"), key.as_bytes()];
    MaterialWrap::new(&store.codec.derive(&info))
}

fn aad(front: &[u8]) -> Vec<u8> {
    [label!("kms-import-token"), front].concat()
}

fn wrapping_code(wrapping: ImportWrapping) -> u8 {
    match wrapping {
        ImportWrapping::RsaOaepSha256 => 1,
        ImportWrapping::RsaAesKeyWrapSha256 => 2,
    }
}

fn size_code(size: ImportKeySize) -> u8 {
    match size {
        ImportKeySize::Rsa2048 => 1,
        ImportKeySize::Rsa3072 => 2,
        ImportKeySize::Rsa4096 => 3,
    }
}
