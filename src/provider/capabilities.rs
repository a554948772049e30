use super::{KeySpec, KeySpecs};

/// What a provider can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The kinds of keys that the provider creates, and can use for all that their kind says.
    pub creates: KeySpecs,
    /// The kinds of keys that the provider imports.
    pub imports: KeySpecs,
    /// Whether the provider generates data keys with a random generator of its own.
    pub generates_data_keys: bool,
    /// Whether wrapping, unwrapping and generating never block: they only compute.
    pub answers_at_once: bool,
    /// The most bytes of a wrapped data key, whichever key it is under: what buffers are measured
    /// by.
    pub max_wrapped_len: usize,
    /// Where the keys themselves are.
    pub key_material: KeyMaterial,
}

impl Capabilities {
    /// What `max_wrapped_len` is unless it is said: the modulus of RSA with 8192 bits.
    const DEFAULT_MAX_WRAPPED_LEN: usize = 1024;

    /// The capabilities of a provider that creates wrapping keys, wraps and unwraps, and no more.
    #[must_use]
    pub fn new(key_material: KeyMaterial) -> Self {
        Self {
            creates: KeySpecs::NONE.with(KeySpec::Wrapping256),
            imports: KeySpecs::NONE,
            generates_data_keys: false,
            answers_at_once: false,
            max_wrapped_len: Self::DEFAULT_MAX_WRAPPED_LEN,
            key_material,
        }
    }

    /// Says which kinds of keys the provider creates, in place of wrapping keys alone.
    #[must_use]
    pub fn creating(mut self, specs: impl IntoIterator<Item = KeySpec>) -> Self {
        self.creates = specs.into_iter().collect();
        self
    }

    /// Says which kinds of keys the provider imports.
    #[must_use]
    pub fn importing(mut self, specs: impl IntoIterator<Item = KeySpec>) -> Self {
        self.imports = specs.into_iter().collect();
        self
    }

    /// Says that the provider generates data keys.
    #[must_use]
    pub fn with_data_key_generation(mut self) -> Self {
        self.generates_data_keys = true;
        self
    }

    /// Says how many bytes a wrapped data key has at the most, in place of 1024.
    #[must_use]
    pub fn with_max_wrapped_len(mut self, len: usize) -> Self {
        self.max_wrapped_len = len;
        self
    }

    /// Says that wrapping, unwrapping and generating never block.
    #[must_use]
    pub fn with_immediate_answers(mut self) -> Self {
        self.answers_at_once = true;
        self
    }
}

/// Where a provider's keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyMaterial {
    /// In the provider: losing the handle loses the way to the key, not the key.
    InProvider,
    /// In the handle, wrapped: losing the handle loses the key.
    InHandle,
}
