//! The providers that a KMS was given.

use std::sync::Arc;

use super::error::KmsError;
use super::key::KeyState;
use super::record::KeyRecord;
use crate::provider::KeyProvider;

#[derive(Debug)]
pub(super) struct Providers(Vec<Arc<dyn KeyProvider>>);

impl Providers {
    pub(super) fn new(providers: Vec<Arc<dyn KeyProvider>>) -> Result<Self, KmsError> {
        if providers.is_empty() {
            return Err(KmsError::NoProviders);
        }
        for (index, provider) in providers.iter().enumerate() {
            let mut before = providers.iter().take(index);
            if before.any(|other| other.name() == provider.name()) {
                return Err(KmsError::SameProvider {
                    provider: provider.name().to_owned(),
                });
            }
        }
        Ok(Self(providers))
    }

    /// The one that keys are made in unless another is named.
    pub(super) fn first(&self) -> Result<&Arc<dyn KeyProvider>, KmsError> {
        self.0.first().ok_or(KmsError::NoProviders)
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<dyn KeyProvider>> {
        self.0.iter().find(|provider| provider.name() == name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<dyn KeyProvider>> {
        self.0.iter()
    }

    /// The most bytes of a data key that any of them wrapped.
    pub(super) fn max_wrapped_len(&self) -> usize {
        let lens = self
            .iter()
            .map(|provider| provider.capabilities().max_wrapped_len);
        lens.max().unwrap_or(0)
    }

    /// The state of a key, as it is with these providers.
    pub(super) fn state_of(&self, record: &KeyRecord) -> KeyState {
        let primary = record.version(record.primary);
        record.key_state(primary.is_none_or(|primary| self.find(&primary.provider).is_some()))
    }

    /// The same, as it is told: a key whose provider is away is unavailable too.
    pub(super) fn state_now(&self, record: &KeyRecord) -> KeyState {
        let primary = record.version(record.primary);
        let provider = primary.and_then(|primary| self.find(&primary.provider));
        self.state_of(record).seen_with(provider.map(AsRef::as_ref))
    }

    pub(super) fn get(&self, name: &str) -> Result<&Arc<dyn KeyProvider>, KmsError> {
        self.find(name).ok_or_else(|| KmsError::NoProvider {
            provider: name.to_owned(),
        })
    }
}

impl KeyState {
    /// The state that is told, with the provider of the primary version. Operations are not refused
    /// for a provider that is away, since trying is how it is found to be back.
    pub(super) fn seen_with(self, provider: Option<&dyn KeyProvider>) -> Self {
        match self {
            Self::Enabled | Self::Disabled
                if provider.is_some_and(|provider| !provider.is_available()) =>
            {
                Self::Unavailable
            }
            state => state,
        }
    }
}
