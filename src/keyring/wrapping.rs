//! Data keys under a key of a provider.

use smallvec::SmallVec;

use crate::context::EncryptionContext;
use crate::error::Error;
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
