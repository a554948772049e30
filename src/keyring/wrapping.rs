//! Data keys under a key of a provider.

use smallvec::SmallVec;

use super::{EncryptionMaterials, EncryptionRequest, Keyring, WrapDataKeyRequest};
use crate::context::EncryptionContext;
use crate::error::Error;
use crate::format::codec::varint_len;
use crate::format::{KeyReference, Share, label};
use crate::provider::{
    GenerateDataKeyRequest, GeneratedDataKey, KeyHandle, KeyProvider, ProviderError, WrapRequest,
};
use crate::rng::RandomSource;
use crate::secret::FreshDataKey;

/// What data keys that are wrapped under one key are bound to, before the context.
#[derive(Debug, Clone)]
pub(crate) struct BoundKey(SmallVec<[u8; 64]>);

impl BoundKey {
    pub(crate) fn new(key: &KeyReference) -> Self {
        let mut bound = SmallVec::from_slice(label!("wrap"));
        bound.push(key.tag());
        bound.extend_from_slice(key.prefix());
        Self(bound)
    }

    /// What a wrapped data key is bound to: the key that it names, the context and, where it is a
    /// share, which one. That is always the label, the tag and prefix of the entry, and the context.
    pub(crate) fn with(
        &self,
        context: &EncryptionContext,
        share: Option<Share>,
    ) -> SmallVec<[u8; 96]> {
        let mut binding = SmallVec::from_slice(&self.0);
        if let Some(share) = share {
            let place = label!("wrap").len();
            binding.insert_many(place, KeyReference::share_start(share));
        }
        binding.extend_from_slice(context.digest());
        binding
    }
}

/// Keeps, of what providers said to the wrapped keys of one message, what tells most: a refusal
/// gives way to anything else.
pub(crate) fn keep_telling(kept: &mut Option<ProviderError>, error: ProviderError) {
    if kept.is_none() || !matches!(error, ProviderError::Rejected) {
        *kept = Some(error);
    }
}

/// Generates a data key, in the provider where that is its capability, and wraps it.
pub(crate) fn generate_data_key(
    provider: &dyn KeyProvider,
    handle: &KeyHandle,
    binding: &[u8],
    random: &dyn RandomSource,
) -> Result<GeneratedDataKey, Error> {
    if provider.capabilities().generates_data_keys {
        return Ok(provider.generate_data_key(GenerateDataKeyRequest { handle, binding })?);
    }
    let data_key = FreshDataKey::generate(random)?;
    let wrapped = provider.wrap_key(WrapRequest {
        handle,
        data_key: data_key.as_data_key(),
        binding,
    })?;
    Ok(GeneratedDataKey { data_key, wrapped })
}

/// A new data key, as a keyring wraps any other.
pub(super) fn wrap_new_data_key(
    keyring: &dyn Keyring,
    request: EncryptionRequest<'_>,
) -> Result<EncryptionMaterials, Error> {
    let EncryptionRequest {
        context, random, ..
    } = request;
    let data_key = FreshDataKey::generate(random)?;
    let wanted = WrapDataKeyRequest::new(context, data_key.as_data_key(), random);
    let entries = keyring.wrap_data_key(wanted)?;
    Ok(EncryptionMaterials::fresh(data_key, entries))
}

/// The bytes that a data key wrapped under `key` takes in a header, tag and length included.
pub(super) fn entry_len(key: &KeyReference, wrapped_len: usize) -> usize {
    let len = key.prefix().len().saturating_add(wrapped_len);
    let len_of_len = u32::try_from(len).map_or(usize::MAX, varint_len);
    len.saturating_add(1).saturating_add(len_of_len)
}
