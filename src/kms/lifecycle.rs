//! Creating keys, telling of them, and what their owners write on them.

use std::collections::{BTreeMap, BTreeSet};

use super::KmsHandle;
use super::acting::Acting;
use super::asked::{Asked, Parameters};
use super::commit::{Unit, conflict};
use super::error::KmsError;
use super::key::{KeyMetadata, KeyOrigin, KeyUsage, VersionCause, VersionState};
use super::name::{KeySelector, MAX_TAGS, check_description, check_tag};
use super::new_material::NewMaterial;
use super::operation::Operation;
use super::policies::{Lockout, policy_of_new_key};
use super::policy::Policy;
use super::record::version_binding;
use super::record::{KeyRecord, RotationRecord, StoredState, VersionRecord};
use super::rotation::RotationPolicy;
use super::stored_policy::StoredPolicy;
use crate::clock::Timestamp;
use crate::format::{KeyId, KeyVersion};
use crate::provider::{CreateKeyRequest, KeyProvider, KeySpec};

/// Says what key to create.
///
/// ```
/// use waxseal::{CreateKey, KeySpec, RotationPolicy};
///
/// let wrapping = CreateKey::new()
///     .with_description("card numbers")
///     .with_tag("team", "billing")
///     .with_rotation(RotationPolicy::every_days(90));
/// let signing = CreateKey::new().with_spec(KeySpec::Ed25519);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct CreateKey {
    spec: KeySpec,
    usage: Option<KeyUsage>,
    origin: KeyOrigin,
    provider: Option<String>,
    description: String,
    tags: BTreeMap<String, String>,
    rotation: Option<RotationPolicy>,
    policy: Option<(Policy, Lockout)>,
}

impl CreateKey {
    /// A key that wraps data keys, made by the first provider, without automatic rotation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes it a key of this kind.
    pub fn with_spec(mut self, spec: KeySpec) -> Self {
        self.spec = spec;
        self
    }

    /// Says what it is for. That follows from its spec: saying it too makes sure.
    pub fn with_usage(mut self, usage: KeyUsage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Leaves its material to be imported. Until then its state is
    /// [`PendingImport`](super::KeyState::PendingImport).
    pub fn for_import(mut self) -> Self {
        self.origin = KeyOrigin::External;
        self
    }

    /// Makes it in this provider, one of those that the KMS was given.
    pub fn with_provider(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(name.into());
        self
    }

    /// Describes it, in at most 8192 bytes. Not secret.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Puts a tag on it: a key of 1 to 128 bytes and a value of at most 256. At most 50 tags. Not
    /// secret.
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Rotates it by itself.
    pub fn with_rotation(mut self, policy: RotationPolicy) -> Self {
        self.rotation = Some(policy);
        self
    }

    /// Gives it a policy. Otherwise, in a store that has a policy, its creator may do everything with
    /// it, and so may whom the policy of the store allows it.
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = Some((policy, Lockout::Refuse));
        self
    }

    /// Gives it a policy, also if its creator, or nobody at all, can put another afterwards.
    pub fn with_policy_even_if_locked_out(mut self, policy: Policy) -> Self {
        self.policy = Some((policy, Lockout::Bypass));
        self
    }

    fn parameters(&self) -> Parameters<'_> {
        let lockout = self.policy.as_ref().map(|(_, lockout)| *lockout);
        Parameters {
            spec: Some(self.spec),
            usage: Some(KeyUsage::of(self.spec)),
            origin: Some(self.origin),
            tags: Some(&self.tags),
            rotation_days: self.rotation.and_then(|policy| policy.period_days()),
            ..lockout.map(Lockout::parameters).unwrap_or_default()
        }
    }
}

impl KmsHandle {
    /// Creates a key.
    ///
    /// Order: create the provider's key, then commit the record, which makes it known. A crash in
    /// between leaves a key in the provider that nothing refers to, and nothing where the key is in
    /// its handle.
    ///
    /// # Errors
    ///
    /// [`KmsError::NoProvider`], [`KmsError::UnsupportedSpec`], [`KmsError::UsageOfSpec`],
    /// [`KmsError::InvalidName`] for a description or tag, [`KmsError::OutOfRange`] for a rotation
    /// policy, [`KmsError::Limit`], [`KmsError::PolicyLockout`], and the failures of the provider and
    /// the store.
    pub fn create_key(&self, request: CreateKey) -> Result<KeyMetadata, KmsError> {
        let asked = Asked::new(Operation::CreateKey).with(request.parameters());
        self.gate()
            .perform_on_store(asked, |kms| kms.create_key(&request))
    }

    /// Tells of a key.
    ///
    /// # Errors
    ///
    /// [`KmsError::NoKey`], [`KmsError::NoAlias`], [`KmsError::Deleted`],
    /// [`KmsError::InvalidSelector`], and the failures of the store.
    pub fn describe_key<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<KeyMetadata, KmsError> {
        self.gate()
            .perform(Operation::DescribeKey, key.into(), None, |key| {
                Ok(key.entry().metadata())
            })
    }

    /// Changes the description of a key: at most 8192 bytes, not secret.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`], and
    /// [`KmsError::InvalidName`] for a description that is too long.
    pub fn update_description<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        description: &str,
    ) -> Result<(), KmsError> {
        check_description(description)?;
        self.edit(Operation::UpdateKeyDescription, key.into(), |record| {
            description.clone_into(&mut record.description);
            Ok(())
        })
    }

    /// Puts a tag on a key, or changes the value of one: a key of 1 to 128 bytes and a value of at
    /// most 256. Not secret.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`],
    /// [`KmsError::InvalidName`] for the tag, and [`KmsError::Limit`] when the key has 50 tags.
    pub fn tag_key<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        tag: &str,
        value: &str,
    ) -> Result<(), KmsError> {
        check_tag(tag, value)?;
        let asked = Asked::new(Operation::TagResource).with(Parameters {
            tag: Some((tag, Some(value))),
            ..Parameters::default()
        });
        self.edit(asked, key.into(), |record| {
            record.tags.insert(tag.to_owned(), value.to_owned());
            check_tag_count(record.key, &record.tags)
        })
    }

    /// Takes a tag off a key. A tag that it does not have is no error.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), and [`KmsError::InvalidState`].
    pub fn untag_key<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        tag: &str,
    ) -> Result<(), KmsError> {
        let asked = Asked::new(Operation::UntagResource).with(Parameters {
            tag: Some((tag, None)),
            ..Parameters::default()
        });
        self.edit(asked, key.into(), |record| {
            record.tags.remove(tag);
            Ok(())
        })
    }

    /// Enables a key: it can be used. One that is enabled stays so.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), and [`KmsError::InvalidState`].
    pub fn enable_key<'k>(&self, key: impl Into<KeySelector<'k>>) -> Result<(), KmsError> {
        self.edit(Operation::EnableKey, key.into(), |record| {
            record.state = StoredState::Enabled;
            Ok(())
        })
    }

    /// Disables a key: nothing can be wrapped or unwrapped with it until it is enabled again. One
    /// that is disabled stays so.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), and [`KmsError::InvalidState`].
    pub fn disable_key<'k>(&self, key: impl Into<KeySelector<'k>>) -> Result<(), KmsError> {
        self.edit(Operation::DisableKey, key.into(), |record| {
            record.state = StoredState::Disabled;
            Ok(())
        })
    }

    pub(super) fn edit<'q>(
        &self,
        asked: impl Into<Asked<'q>>,
        key: KeySelector<'_>,
        edit: impl FnMut(&mut KeyRecord) -> Result<(), KmsError>,
    ) -> Result<(), KmsError> {
        self.gate()
            .perform_asked(asked.into(), key, |key| key.change(edit).map(drop))
    }
}

impl Acting<'_> {
    fn create_key(&self, request: &CreateKey) -> Result<KeyMetadata, KmsError> {
        request.check()?;
        let provider = match &request.provider {
            Some(name) => self.providers.get(name)?,
            None => self.providers.first()?,
        };
        let mut id = [0; 16];
        self.random.fill(&mut id)?;
        let id = KeyId::from_bytes(id);
        check_support(provider.as_ref(), request.spec, request.origin)?;
        let now = self.date();
        let draft = request.to_record(id, provider.name(), None, now);
        let policy = self.policy_of_new_key(draft, request.policy.as_ref())?;
        let material = match request.origin {
            KeyOrigin::External => None,
            KeyOrigin::Provider => {
                let usage = KeyUsage::of(request.spec);
                let binding = version_binding(id, KeyVersion::FIRST, request.spec, usage);
                let create = CreateKeyRequest::new(request.spec).with_binding(&binding);
                Some(NewMaterial::create(provider.as_ref(), create)?)
            }
        };
        let record = request.to_record(id, provider.name(), material.as_ref(), now);
        let record = KeyRecord { policy, ..record };
        let address = KeyRecord::address(id);
        if let Some(attempt) = self.attempt() {
            attempt.told.key.set(Some(id));
        }
        let unit = Unit::new(self).create_key(record);
        let committed = match &material {
            Some(material) => unit.commit_with(provider.as_ref(), &material.handle)?,
            None => unit.commit()?,
        };
        let entry = committed.and_then(|entries| entries.into_iter().next());
        entry
            .map(|entry| entry.metadata())
            .ok_or_else(|| conflict(address))
    }

    /// The policy that was asked for, or else the one that new keys have.
    fn policy_of_new_key(
        &self,
        mut key: KeyRecord,
        asked: Option<&(Policy, Lockout)>,
    ) -> Result<Option<StoredPolicy>, KmsError> {
        if let Some((policy, lockout)) = asked {
            key.policy = Some(StoredPolicy::new(policy.clone()));
            self.check_lockout(&key, *lockout)?;
            return Ok(key.policy);
        }
        match self.attempt() {
            Some(attempt) if self.store_policy()?.is_some() => {
                let policy = policy_of_new_key(attempt.principal())?;
                Ok(Some(StoredPolicy::new(policy)))
            }
            _ => Ok(None),
        }
    }
}

impl CreateKey {
    fn check(&self) -> Result<(), KmsError> {
        if let Some(usage) = self.usage
            && usage != KeyUsage::of(self.spec)
        {
            return Err(KmsError::UsageOfSpec {
                spec: self.spec,
                usage,
            });
        }
        check_description(&self.description)?;
        for (key, value) in &self.tags {
            check_tag(key, value)?;
        }
        if self.tags.len() > MAX_TAGS {
            return Err(KmsError::InvalidName {
                what: "a set of tags",
                rule: "at most 50 of them",
            });
        }
        match &self.rotation {
            None => Ok(()),
            Some(_) if self.origin == KeyOrigin::External || !self.spec.wraps() => {
                Err(KmsError::NoRotation)
            }
            Some(policy) => policy.check(),
        }
    }

    fn to_record(
        &self,
        key: KeyId,
        provider: &str,
        material: Option<&NewMaterial>,
        now: Timestamp,
    ) -> KeyRecord {
        let has_material = material.is_some();
        let number = KeyVersion::FIRST;
        let mut version =
            VersionRecord::new(number, VersionCause::Created, now, provider, material);
        version.promoted = Some(now);
        if has_material {
            version.state = VersionState::Enabled;
        }
        KeyRecord {
            key,
            generation: 1,
            spec: self.spec,
            usage: KeyUsage::of(self.spec),
            origin: self.origin,
            provider: provider.to_owned(),
            created: now,
            state: if has_material {
                StoredState::Enabled
            } else {
                StoredState::PendingImport
            },
            description: self.description.clone(),
            tags: self.tags.clone(),
            aliases: BTreeSet::new(),
            rotation: self.rotation.map(|policy| RotationRecord {
                next: policy.first(now),
                policy,
            }),
            primary: KeyVersion::FIRST,
            versions: vec![version],
            policy: None,
            grants: None,
        }
    }
}

fn check_support(
    provider: &dyn KeyProvider,
    spec: KeySpec,
    origin: KeyOrigin,
) -> Result<(), KmsError> {
    let capabilities = provider.capabilities();
    let (specs, action) = match origin {
        KeyOrigin::Provider => (capabilities.creates, "create"),
        KeyOrigin::External => (capabilities.imports, "import"),
    };
    if specs.contains(spec) {
        return Ok(());
    }
    Err(KmsError::UnsupportedSpec {
        provider: provider.name().to_owned(),
        action,
        spec,
    })
}

fn check_tag_count(key: KeyId, tags: &BTreeMap<String, String>) -> Result<(), KmsError> {
    if tags.len() <= MAX_TAGS {
        return Ok(());
    }
    Err(KmsError::Limit {
        key,
        what: "tags",
        max: MAX_TAGS,
    })
}
