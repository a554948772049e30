use std::sync::Arc;

use super::wrapping::{BoundKey, entry_len, generate_data_key, keep_telling};
use super::{
    DecryptionMaterials, DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring,
    Unwrapped, WrapDataKeyRequest,
};
use crate::error::Error;
use crate::format::{KeyEntriesBuf, KeyEntry, KeyReference};
use crate::provider::{
    KeyDescription, KeyHandle, KeyProvider, ProviderError, RootKey, SoftwareKeyProvider,
    UnwrapRequest, WrapRequest,
};

/// One key of one provider: wraps every message under it and opens those that name it.
///
/// Every message has a data key of its own.
#[derive(Debug, Clone)]
pub struct SingleKeyring {
    provider: Arc<dyn KeyProvider>,
    handle: KeyHandle,
    description: KeyDescription,
    bound_key: BoundKey,
}

impl SingleKeyring {
    /// Takes the key of a handle that `provider` issued.
    ///
    /// # Errors
    ///
    /// What the provider says when it is asked for the key, and [`ProviderError::WrongSpec`] for a
    /// key that does not wrap.
    pub fn new(
        provider: impl KeyProvider + 'static,
        handle: KeyHandle,
    ) -> Result<Self, ProviderError> {
        let description = provider.describe_key(&handle)?;
        if !description.spec.wraps() {
            return Err(ProviderError::WrongSpec {
                spec: description.spec,
                operation: "wrap data keys",
            });
        }
        Ok(Self::from_parts(Arc::new(provider), handle, description))
    }

    /// Wraps under a root key in this process: the shortest way to an
    /// [`Envelope`](crate::Envelope).
    #[must_use]
    pub fn software(root_key: &RootKey) -> Self {
        let provider = SoftwareKeyProvider::new(root_key);
        let (handle, description) = (provider.root_handle(), provider.describe_root());
        Self::from_parts(Arc::new(provider), handle, description)
    }

    fn from_parts(
        provider: Arc<dyn KeyProvider>,
        handle: KeyHandle,
        description: KeyDescription,
    ) -> Self {
        Self {
            bound_key: BoundKey::new(&description.reference),
            provider,
            handle,
            description,
        }
    }

    /// How messages name the key.
    #[must_use]
    pub fn key(&self) -> &KeyReference {
        &self.description.reference
    }

    fn answers_at_once(&self) -> bool {
        self.provider.capabilities().answers_at_once
    }
}

impl Keyring for SingleKeyring {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        let generated = generate_data_key(
            self.provider.as_ref(),
            &self.handle,
            &self.bound_key.with(request.context, None),
            request.random,
        )?;
        let mut entries = KeyEntriesBuf::new();
        entries.push(self.key(), generated.wrapped.as_bytes())?;
        Ok(EncryptionMaterials::fresh(generated.data_key, entries))
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        let binding = self.bound_key.with(request.context, request.share);
        let mut failed = None;
        for (number, entry) in request.entries.iter().enumerate() {
            if !entry.names(self.key()) {
                continue;
            }
            match self.provider.unwrap_key(UnwrapRequest {
                handle: &self.handle,
                wrapped: entry.wrapped(),
                binding: &binding,
            }) {
                Ok(data_key) => {
                    return Ok(Unwrapped::Done(DecryptionMaterials::new(data_key, number)));
                }
                Err(error) => keep_telling(&mut failed, error),
            }
        }
        failed.map_or(Ok(Unwrapped::NotMine), |error| Err(error.into()))
    }

    fn try_encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Option<Result<EncryptionMaterials, Error>> {
        self.answers_at_once()
            .then(|| self.encryption_materials(request))
    }

    fn try_decryption_materials(
        &self,
        request: DecryptionRequest<'_>,
    ) -> Option<Result<Unwrapped, Error>> {
        self.answers_at_once()
            .then(|| self.decryption_materials(request))
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        let wrapped = self.provider.wrap_key(WrapRequest {
            handle: &self.handle,
            data_key: request.data_key,
            binding: &self.bound_key.with(request.context, request.share),
        })?;
        let mut entries = KeyEntriesBuf::new();
        entries.push(self.key(), wrapped.as_bytes())?;
        Ok(entries)
    }

    fn wraps_at_once(&self) -> bool {
        self.answers_at_once()
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        entry.names(self.key())
    }

    fn max_entries_len(&self) -> usize {
        entry_len(self.key(), self.description.wrapped_len)
    }
}
