use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    DecryptionMaterials, DecryptionRequest, EncryptionMaterials, EncryptionRequest, Keyring,
    Unwrapped,
};
use crate::context::EncryptionContext;
use crate::error::Error;
use crate::format::codec::varint_len;
use crate::format::{KeyEntriesBuf, KeyReference, label};
use crate::provider::{
    GenerateDataKeyRequest, GeneratedDataKey, KeyDescription, KeyHandle, KeyProvider,
    ProviderError, RootKey, SoftwareKeyProvider, UnwrapRequest, WrapRequest,
};
use crate::secret::FreshDataKey;

/// One key of one provider: wraps every message under it and opens those that name it.
///
/// Every message has a data key of its own.
#[derive(Debug, Clone)]
pub struct SingleKeyring {
    provider: Arc<dyn KeyProvider>,
    handle: KeyHandle,
    description: KeyDescription,
    /// What all its wrapped data keys are bound to, before the context.
    bound_key: SmallVec<[u8; 64]>,
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
        let mut bound_key = SmallVec::from_slice(label!("wrap"));
        bound_key.push(description.reference.tag());
        bound_key.extend_from_slice(description.reference.prefix());
        Self {
            provider,
            handle,
            description,
            bound_key,
        }
    }

    /// How messages name the key.
    #[must_use]
    pub fn key(&self) -> &KeyReference {
        &self.description.reference
    }

    /// What a wrapped data key is bound to: the key that it names, and the context.
    fn binding(&self, context: &EncryptionContext) -> SmallVec<[u8; 96]> {
        let mut binding = SmallVec::from_slice(&self.bound_key);
        binding.extend_from_slice(context.digest());
        binding
    }

    fn answers_at_once(&self) -> bool {
        self.provider.capabilities().answers_at_once
    }

    fn generate(
        &self,
        request: EncryptionRequest<'_>,
        binding: &[u8],
    ) -> Result<GeneratedDataKey, Error> {
        let handle = &self.handle;
        if self.provider.capabilities().generates_data_keys {
            let request = GenerateDataKeyRequest { handle, binding };
            return Ok(self.provider.generate_data_key(request)?);
        }
        let data_key = FreshDataKey::generate(request.random)?;
        let wrapped = self.provider.wrap_key(WrapRequest {
            handle,
            data_key: data_key.as_data_key(),
            binding,
        })?;
        Ok(GeneratedDataKey { data_key, wrapped })
    }
}

impl Keyring for SingleKeyring {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        let generated = self.generate(request, &self.binding(request.context))?;
        let mut entries = KeyEntriesBuf::new();
        entries.push(self.key(), generated.wrapped.as_bytes())?;
        Ok(EncryptionMaterials::fresh(generated.data_key, entries))
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        let binding = self.binding(request.context);
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
                Err(ProviderError::Rejected) => {
                    failed.get_or_insert(ProviderError::Rejected);
                }
                Err(error) => failed = Some(error),
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

    fn max_entries_len(&self) -> usize {
        let len = self.key().prefix().len() + self.description.wrapped_len;
        let len_of_len = u32::try_from(len).map_or(usize::MAX, varint_len);
        len.saturating_add(1).saturating_add(len_of_len)
    }
}
