//! From a data key to the keys of a message (`FORMAT.md`, "Derivations").

use super::MessageOptions;
use super::body::{BodyKey, BodySettings};
use super::record::RecordKey;
use crate::context::EncryptionContext;
use crate::crypto::{
    Engine, Expand, ExpandKey, HASH_LEN, Info, KEY_LEN, NONCE_LEN, SecretArray, constant_time_eq,
    sha256,
};
use crate::error::Error;
use crate::format::{COMMITMENT_LEN, Header, HeaderParts, label};

const MODE_SALT: u8 = 1;
const MODE_AAD: u8 = 1 << 1;

type Commitment = SecretArray<COMMITMENT_LEN>;

/// The derivations from a data key.
pub(super) struct MessageKeys<'k>(ExpandKey<'k>);

impl<'k> MessageKeys<'k> {
    pub(super) fn new(data_key: ExpandKey<'k>) -> Self {
        Self(data_key)
    }

    /// The commitment of a message's header, of which `uncommitted` is all before it, and the key
    /// of the body.
    pub(super) fn body_key(
        &self,
        header: &HeaderParts<'_>,
        uncommitted: &[u8],
        options: MessageOptions<'_>,
        settings: BodySettings,
    ) -> (Commitment, BodyKey) {
        let salt = header.salt_bytes();
        let context = options.context.digest();
        let aad_hash: Option<[u8; HASH_LEN]> =
            (!options.aad.is_empty()).then(|| sha256(&[options.aad]));
        let flag = |set, flag| if set { flag } else { 0 };
        let mode = flag(!salt.is_empty(), MODE_SALT) | flag(aad_hash.is_some(), MODE_AAD);
        let mut info = Info::new(label!("payload"));
        info.push(&[header.suite.version_byte(), mode]);
        info.push(salt);
        info.push(context);
        if let Some(aad_hash) = &aad_hash {
            info.push(aad_hash);
        }
        let (derived, commitment) =
            self.derive::<{ KEY_LEN + NONCE_LEN }>(&info, context, uncommitted);
        let (key, base_nonce) = derived.split_at(KEY_LEN);
        let mut body_key = BodyKey {
            algorithm: header.suite.aead(),
            key: SecretArray::zeroed(),
            base_nonce: [0; NONCE_LEN],
            settings,
        };
        body_key.key.copy_from_slice(key);
        body_key.base_nonce.copy_from_slice(base_nonce);
        (commitment, body_key)
    }

    /// The commitment of a header for records, and the key of the records under it.
    pub(super) fn record_key(
        &self,
        header: &HeaderParts<'_>,
        uncommitted: &[u8],
        context: &EncryptionContext,
        engine: Engine,
    ) -> (Commitment, RecordKey) {
        let context = context.digest();
        let mut info = Info::new(label!("record"));
        info.push(&[header.suite.version_byte()]);
        info.push(header.salt_bytes());
        info.push(context);
        let (key, commitment) = self.derive(&info, context, uncommitted);
        (commitment, RecordKey::new(engine, header.suite, key))
    }

    /// The commitment alone: all that a rewrap needs.
    pub(super) fn commitment(&self, uncommitted: &[u8], context: &EncryptionContext) -> Commitment {
        let hash = sha256(&[context.digest(), uncommitted]);
        self.0.derive(&[label!("commit"), &hash])
    }

    /// The key for `info`, and the commitment to the data key, the context and a header.
    fn derive<const N: usize>(
        &self,
        info: &Info,
        context: &[u8; HASH_LEN],
        uncommitted: &[u8],
    ) -> (SecretArray<N>, Commitment) {
        Expand::derive_with_hash(self.0, info, label!("commit"), (context, uncommitted))
    }
}

/// Gives the key of a header if the header was committed to with the same data key and context.
pub(super) fn verified<K>(
    header: &Header<'_>,
    (commitment, key): (Commitment, K),
) -> Result<K, Error> {
    if constant_time_eq(commitment.as_slice(), header.commitment()) {
        Ok(key)
    } else {
        Err(Error::Decrypt)
    }
}
