//! What the bytes of a software key's handle say (FORMAT.md, section 12).

use smallvec::SmallVec;

use super::material;
use crate::crypto::TAG_LEN;
use crate::format::codec::Reader;
use crate::format::{KeyId, label};
use crate::provider::{KeyHandle, KeySpec, ProviderError};

/// A handle that has the shape of one. Nothing in it is authentic yet.
pub(super) struct ParsedHandle<'h> {
    pub(super) root_id: KeyId,
    pub(super) key: ParsedKey<'h>,
}

#[derive(Clone, Copy)]
pub(super) enum ParsedKey<'h> {
    Root,
    Created(CreatedKey<'h>),
}

/// A key that was created or imported, with its material wrapped.
#[derive(Clone, Copy)]
pub(super) struct CreatedKey<'h> {
    pub(super) key_id: KeyId,
    pub(super) spec: KeySpec,
    /// The bytes before the wrapped material.
    named: &'h [u8],
    binding: &'h [u8],
    pub(super) wrapped: &'h [u8],
}

/// The handle of the root key: this byte, root key id.
const ROOT: u8 = 0;
/// The handle of a wrapping key that is bound to nothing: this byte, root key id, key id, wrapped
/// key. Read, and no longer written.
const UNBOUND: u8 = 1;
/// The handle of any key: this byte, root key id, key id, spec, wrapped material.
const BOUND: u8 = 2;

impl<'h> ParsedHandle<'h> {
    pub(super) fn read(handle: &'h KeyHandle) -> Result<Self, ProviderError> {
        const MALFORMED: ProviderError = ProviderError::InvalidHandle {
            reason: "its length or first byte is not that of a software key's handle",
        };
        let parsed = Self::read_fields(handle).ok_or(MALFORMED)?;
        let is_unbound = match parsed.key {
            ParsedKey::Root => true,
            ParsedKey::Created(key) => key.named.first() == Some(&UNBOUND),
        };
        if is_unbound && !handle.binding().is_empty() {
            return Err(ProviderError::InvalidHandle {
                reason: "its key was created for no purpose, and one is stated",
            });
        }
        Ok(parsed)
    }

    fn read_fields(handle: &'h KeyHandle) -> Option<Self> {
        let mut reader = Reader::new(handle.as_bytes());
        let kind = reader.u8("").ok()?;
        let root_id = KeyId::from_bytes(*reader.take_array("").ok()?);
        if kind == ROOT {
            let key = ParsedKey::Root;
            return reader.is_empty().then_some(Self { root_id, key });
        }
        let key_id = KeyId::from_bytes(*reader.take_array("").ok()?);
        let spec = match kind {
            UNBOUND => KeySpec::Wrapping256,
            BOUND => KeySpec::of_code(reader.u8("").ok()?)?,
            _ => return None,
        };
        let wrapped = reader.rest();
        let named_len = handle.as_bytes().len().checked_sub(wrapped.len())?;
        let material_len = wrapped.len().checked_sub(TAG_LEN)?;
        let key = ParsedKey::Created(CreatedKey {
            key_id,
            spec,
            named: handle.as_bytes().get(..named_len)?,
            binding: handle.binding(),
            wrapped,
        });
        material::lens(spec)
            .contains(&material_len)
            .then_some(Self { root_id, key })
    }
}

impl CreatedKey<'_> {
    /// What the material is wrapped with as associated data.
    pub(super) fn aad(&self) -> Aad {
        aad(self.named, self.binding)
    }
}

pub(super) type Aad = SmallVec<[u8; 128]>;

pub(super) fn aad(named: &[u8], binding: &[u8]) -> Aad {
    let mut aad = Aad::from_slice(label!("handle"));
    aad.extend_from_slice(named);
    aad.extend_from_slice(binding);
    aad
}

pub(super) fn root_handle(root_id: KeyId) -> KeyHandle {
    let mut bytes = vec![ROOT];
    bytes.extend_from_slice(root_id.as_bytes());
    KeyHandle::from_bytes(bytes)
}

/// The bytes of a handle before the wrapped material.
pub(super) fn named(root_id: KeyId, key_id: KeyId, spec: KeySpec) -> Vec<u8> {
    let mut bytes = vec![BOUND];
    bytes.extend_from_slice(root_id.as_bytes());
    bytes.extend_from_slice(key_id.as_bytes());
    bytes.push(spec.code());
    bytes
}
