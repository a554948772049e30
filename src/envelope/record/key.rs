//! A header of records, and the key that it gives.

use crate::context::EncryptionContext;
use crate::crypto::{Aead, Engine, KEY_LEN, NONCE_LEN, Rejected, SecretArray, constant_time_eq};
use crate::envelope::derive::{MessageKeys, verified};
use crate::envelope::sealing::{check_wrapped, header_len, held, write_committed};
use crate::error::Error;
use crate::format::{
    FormatError, Header, HeaderId, HeaderKind, HeaderParts, RECORD_MARK, Record, RecordMut,
    SALT_LEN, Suite,
};
use crate::keyring::{EncryptionMaterials, Unwrapped};
use crate::rng::RandomSource;

/// The key of the records under one header.
pub(crate) struct RecordKey {
    aead: Aead,
    key: SecretArray<KEY_LEN>,
}

impl RecordKey {
    pub(in crate::envelope) fn new(
        engine: Engine,
        suite: Suite,
        key: SecretArray<KEY_LEN>,
    ) -> Self {
        Self {
            aead: Aead::new(engine, suite.aead(), &key),
            key,
        }
    }

    /// Verifies a header and finds the key of its records.
    pub(in crate::envelope) fn open(
        header: &Header<'_>,
        unwrapped: Unwrapped,
        context: &EncryptionContext,
        engine: Engine,
    ) -> Result<Self, Error> {
        let materials = held(header, unwrapped)?;
        let keys = MessageKeys::new(materials.expand_key());
        let derived = keys.record_key(header.parts(), header.uncommitted(), context, engine);
        verified(header, derived)
    }

    /// Writes all of `record`, which is longer than `plaintext` by the overhead.
    pub(super) fn seal_record(
        &self,
        id: HeaderId,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
        record: &mut [u8],
    ) -> Result<(), Rejected> {
        let fields = RecordMut::split(record).ok_or(Rejected)?;
        *fields.tag = self.aead.seal(nonce, aad, plaintext, fields.ciphertext)?;
        *fields.id = *id.as_bytes();
        *fields.nonce = *nonce;
        Ok(())
    }

    /// Decrypts to `plaintext`, which is as long as the ciphertext and holds zeros after a failure.
    pub(super) fn open_record(
        &self,
        record: &Record<'_>,
        aad: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), Rejected> {
        self.aead
            .open(record.nonce, aad, record.ciphertext, record.tag, plaintext)
    }

    /// Whether the keys are the same, as those of a header and its rewrapped copy are.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        constant_time_eq(self.key.as_slice(), other.key.as_slice())
    }
}

/// A header made for records: to be stored before the first of them is released.
pub(crate) struct NewHeader {
    pub(super) id: HeaderId,
    pub(super) bytes: Vec<u8>,
    pub(super) key: RecordKey,
}

impl NewHeader {
    pub(in crate::envelope) fn seal(
        materials: &EncryptionMaterials,
        suite: Suite,
        random: &dyn RandomSource,
        context: &EncryptionContext,
        engine: Engine,
    ) -> Result<Self, Error> {
        check_wrapped(materials)?;
        let mut salt = [0; SALT_LEN];
        random.fill(&mut salt)?;
        let [first, ..] = &mut salt;
        *first |= RECORD_MARK;
        let parts = HeaderParts {
            suite,
            kind: HeaderKind::Record,
            salt: Some(&salt),
            entries: materials.entries(),
            pad: None,
        };
        let keys = MessageKeys::new(materials.expand_key());
        let mut bytes = vec![0; header_len(&parts)?];
        let key = write_committed(&parts, &mut bytes, |uncommitted| {
            keys.record_key(&parts, uncommitted, context, engine)
        })?;
        Ok(Self {
            id: HeaderId::of_salt(&salt),
            bytes,
            key,
        })
    }
}

/// Reads a stored header, and its id.
pub(super) fn parse_header(bytes: &[u8]) -> Result<(Header<'_>, HeaderId), FormatError> {
    let (header, _nothing) = Header::parse(bytes)?;
    let id = header.header_id().ok_or(FormatError::MessageHeader)?;
    Ok((header, id))
}
