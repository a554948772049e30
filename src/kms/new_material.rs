//! A key that a provider has just made, and no record names yet.

use super::record::{StoredBytes, VersionRecord};
use crate::crypto::WRAPPED_LEN;
use crate::format::Mechanism;
use crate::provider::{
    CreateKeyRequest, ImportKeyRequest, KeyDescription, KeyHandle, KeyProvider, ProviderError,
};

pub(super) struct NewMaterial {
    pub(super) handle: KeyHandle,
    mechanism: Option<Mechanism>,
}

impl NewMaterial {
    pub(super) fn create(
        provider: &dyn KeyProvider,
        request: CreateKeyRequest<'_>,
    ) -> Result<Self, ProviderError> {
        Self::describe(provider, provider.create_key(request)?)
    }

    pub(super) fn import(
        provider: &dyn KeyProvider,
        request: ImportKeyRequest<'_>,
    ) -> Result<Self, ProviderError> {
        Self::describe(provider, provider.import_key(request)?)
    }

    /// Puts it into the record of its version.
    pub(super) fn fill(&self, version: &mut VersionRecord) {
        version.handle = Some(StoredBytes::new(self.handle.as_bytes()));
        version.mechanism = self.mechanism;
    }

    /// Asks how the key wraps, since messages will say so. A key that cannot tell is destroyed: it
    /// protects nothing.
    fn describe(provider: &dyn KeyProvider, handle: KeyHandle) -> Result<Self, ProviderError> {
        match provider.describe_key(&handle) {
            Ok(description) => Ok(Self {
                mechanism: mechanism(&description),
                handle,
            }),
            Err(error) => {
                // A failure here must not hide why.
                let _ = provider.destroy_key(&handle);
                Err(error)
            }
        }
    }
}

/// How the key wraps, where not as software does.
fn mechanism(description: &KeyDescription) -> Option<Mechanism> {
    let wraps_otherwise = description.spec.wraps() && description.wrapped_len != WRAPPED_LEN;
    description
        .mechanism
        .or(wraps_otherwise.then_some(Mechanism::PROVIDER_DEFINED))
}
