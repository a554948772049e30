//! Lists of keys and of their versions.

use super::KmsHandle;
use super::error::KmsError;
use super::inner::Inner;
use super::key::{KeyMetadata, KeyState, KeyVersionMetadata};
use super::name::KeySelector;
use super::operation::Operation;
use super::scan::Scan;
use crate::format::KeyId;
use crate::provider::KeySpec;
use crate::store::{Collection, RecordId};

/// Says which keys to list.
///
/// ```
/// use waxseal::{KeyState, ListKeys};
///
/// let disabled = ListKeys::new().with_state(KeyState::Disabled).with_tag("team", "billing");
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ListKeys {
    state: Option<KeyState>,
    spec: Option<KeySpec>,
    tags: Vec<(String, Option<String>)>,
    after: Option<KeyId>,
    limit: Option<usize>,
}

/// A page of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyPage {
    /// The keys, by their ids.
    pub keys: Vec<KeyMetadata>,
    /// Where the next page begins, if there may be one: give it to [`ListKeys::after`].
    pub next: Option<KeyId>,
}

const DEFAULT_LIMIT: usize = 100;

impl ListKeys {
    /// All keys, 100 to a page. Those that were deleted are not listed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only keys in this state.
    pub fn with_state(mut self, state: KeyState) -> Self {
        self.state = Some(state);
        self
    }

    /// Only keys of this kind.
    pub fn with_spec(mut self, spec: KeySpec) -> Self {
        self.spec = Some(spec);
        self
    }

    /// Only keys that have this tag with this value.
    pub fn with_tag(mut self, tag: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((tag.into(), Some(value.into())));
        self
    }

    /// Only keys that have this tag, with any value.
    pub fn with_tag_key(mut self, tag: impl Into<String>) -> Self {
        self.tags.push((tag.into(), None));
        self
    }

    /// Only keys after this one: the page that [`KeyPage::next`] told of.
    pub fn after(mut self, key: KeyId) -> Self {
        self.after = Some(key);
        self
    }

    /// At most so many keys, at least one.
    pub fn with_limit(mut self, keys: usize) -> Self {
        self.limit = Some(keys.max(1));
        self
    }

    fn wants(&self, key: &KeyMetadata) -> bool {
        self.state.is_none_or(|state| state == key.state)
            && self.spec.is_none_or(|spec| spec == key.spec)
            && self.tags.iter().all(|(tag, value)| {
                let found = key.tags.get(tag);
                found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
            })
    }
}

impl KmsHandle {
    /// Lists keys, from the store.
    ///
    /// # Errors
    ///
    /// [`KmsError::Tampered`] and [`KmsError::NewerRecord`] at the first record that cannot be
    /// read, and the failures of the store.
    pub fn list_keys(&self, request: &ListKeys) -> Result<KeyPage, KmsError> {
        self.gate()
            .perform_on_store(Operation::ListKeys, |kms| kms.list_keys(request))
    }

    /// Lists the versions of a key, the oldest first: the history of its rotation.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key).
    pub fn list_versions<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<Vec<KeyVersionMetadata>, KmsError> {
        self.gate()
            .perform(Operation::ListKeyRotations, key.into(), None, |key| {
                Ok(key.record().version_metadata())
            })
    }
}

impl Inner {
    fn list_keys(&self, request: &ListKeys) -> Result<KeyPage, KmsError> {
        let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
        let mut keys = Vec::new();
        let after = request.after.map(|id| RecordId::from(*id.as_bytes()));
        for stored in Scan::after(self.store.as_ref(), Collection::KEYS, after) {
            let (address, stored) = stored?;
            if keys.len() == limit {
                let next = keys.last().map(|key: &KeyMetadata| key.id);
                return Ok(KeyPage { keys, next });
            }
            let record = self.decode_key(&address, &stored)?;
            if record.deleted().is_none() {
                let key = record.metadata(self.providers.state_now(&record));
                if request.wants(&key) {
                    keys.push(key);
                }
            }
        }
        Ok(KeyPage { keys, next: None })
    }
}
