//! From a data key to the keys of a message (`FORMAT.md`, "Derivations").

use zeroize::Zeroizing;

use super::MessageOptions;
use super::body::{BodyKey, Parallelism};
use super::record::RecordKey;
use crate::context::EncryptionContext;
use crate::crypto::{Engine, Expand, HASH_LEN, KEY_LEN, NONCE_LEN, constant_time_eq, sha256};
use crate::error::Error;
use crate::format::{COMMITMENT_LEN, Header, HeaderParts, label};
use crate::secret::DataKey;

const MODE_SALT: u8 = 1;
const MODE_AAD: u8 = 1 << 1;

/// A data key with its derivations set up.
pub(super) struct MessageKeys(Expand);

impl MessageKeys {
    pub(super) fn new(data_key: &DataKey) -> Self {
        Self(Expand::new(data_key.expose()))
    }

    /// The key of the body.
    pub(super) fn body_key(
        &self,
        header: &HeaderParts<'_>,
        options: MessageOptions<'_>,
    ) -> BodyKey {
        let salt = header.salt_bytes();
        let aad_hash: Option<[u8; HASH_LEN]> =
            (!options.aad.is_empty()).then(|| sha256(&[options.aad]));
        let flag = |set, flag| if set { flag } else { 0 };
        let mode = flag(!salt.is_empty(), MODE_SALT) | flag(aad_hash.is_some(), MODE_AAD);
        let derived: Zeroizing<[u8; KEY_LEN + NONCE_LEN]> = self.0.derive(&[
            label!("payload"),
            &[header.suite.version_byte(), mode],
            salt,
            options.context.digest(),
            aad_hash.as_ref().map_or(&[], <[u8; HASH_LEN]>::as_slice),
        ]);
        let (key, base_nonce) = derived.split_at(KEY_LEN);
        let mut body_key = BodyKey {
            algorithm: header.suite.aead(),
            key: Zeroizing::new([0; KEY_LEN]),
            base_nonce: [0; NONCE_LEN],
            engine: Engine::default(),
            parallelism: Parallelism::default(),
        };
        body_key.key.copy_from_slice(key);
        body_key.base_nonce.copy_from_slice(base_nonce);
        body_key
    }

    /// The key of the records under a header.
    pub(super) fn record_key(
        &self,
        header: &HeaderParts<'_>,
        context: &EncryptionContext,
        engine: Engine,
    ) -> RecordKey {
        let key = self.0.derive(&[
            label!("record"),
            &[header.suite.version_byte()],
            header.salt_bytes(),
            context.digest(),
        ]);
        RecordKey::new(engine, header.suite, key)
    }

    /// The commitment to the data key, the context and all of the header before it.
    pub(super) fn commitment(
        &self,
        context: &EncryptionContext,
        uncommitted: &[u8],
    ) -> Zeroizing<[u8; COMMITMENT_LEN]> {
        let committed = sha256(&[context.digest(), uncommitted]);
        self.0.derive(&[label!("commit"), &committed])
    }

    /// Refuses a header that was not committed to with this data key and context.
    pub(super) fn verify(
        &self,
        header: &Header<'_>,
        context: &EncryptionContext,
    ) -> Result<(), Error> {
        let expected = self.commitment(context, header.uncommitted());
        if constant_time_eq(expected.as_slice(), header.commitment()) {
            Ok(())
        } else {
            Err(Error::Decrypt)
        }
    }
}
