//! What is stored of a key.
//!
//! All of a key is one record: so every change of it is one compare-and-swap, and it never has two
//! primary versions. The bytes are specified in `FORMAT.md`.

mod bytes;
mod codec;
mod due;
mod metadata;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub(super) use self::bytes::StoredBytes;
pub(super) use self::codec::{Codec, Unreadable};
pub(super) use self::due::Due;
use super::error::KmsError;
use super::grant::GrantsRecord;
use super::key::{KeyOrigin, KeyState, KeyUsage, VersionCause, VersionState};
use super::name::AliasName;
use super::new_material::NewMaterial;
use super::rotation::RotationPolicy;
use super::stored_policy::StoredPolicy;
use crate::clock::Timestamp;
use crate::format::codec::varint;
use crate::format::{KeyId, KeyVersion, Mechanism, label};
use crate::provider::{KeyHandle, KeySpec};
use crate::store::{Collection, RecordKey};

/// The most versions of a key: they are all in one record.
pub(super) const MAX_VERSIONS: usize = 1000;

/// A record of the collection `keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRecord {
    pub(crate) key: KeyId,
    /// Grows with every change, so that a process notices when an older state is put back.
    pub(super) generation: u64,
    pub(crate) spec: KeySpec,
    pub(crate) usage: KeyUsage,
    pub(crate) origin: KeyOrigin,
    /// The provider that new versions are made in.
    pub(crate) provider: String,
    pub(crate) created: Timestamp,
    pub(crate) state: StoredState,
    pub(crate) description: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) aliases: BTreeSet<AliasName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rotation: Option<RotationRecord>,
    pub(crate) primary: KeyVersion,
    /// By their numbers, 1 and up without a gap. None when the key was destroyed.
    pub(crate) versions: Vec<VersionRecord>,
    /// Who may do what with it, beside what the policy of the store says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<StoredPolicy>,
    /// Which grants it has, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) grants: Option<GrantsRecord>,
}

/// What of a key's state is stored. The rest is whether its provider is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub(crate) enum StoredState {
    Enabled,
    Disabled,
    PendingImport,
    PendingDeletion {
        on: Timestamp,
        /// Whether it is deleted although something is under it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        even_if_used: bool,
    },
    /// There is no way back: the versions that are left are to be destroyed, then what the store may
    /// have kept of them is to be erased, then the key is deleted.
    Destroying {
        since: Timestamp,
    },
    Deleted {
        on: Timestamp,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotationRecord {
    pub(crate) policy: RotationPolicy,
    /// When the period is over, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VersionRecord {
    pub(crate) number: KeyVersion,
    pub(crate) state: VersionState,
    pub(crate) cause: VersionCause,
    pub(crate) created: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) promoted: Option<Timestamp>,
    /// When it is to be promoted, if nobody does so before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) promotion: Option<Timestamp>,
    pub(crate) provider: String,
    /// In the states `PendingImport` and `Destroyed`: what is still to be destroyed in the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handle: Option<StoredBytes>,
    /// Whether the store may have kept a handle that was here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) erase: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destroyed: Option<Timestamp>,
    /// Of material that was imported, for no other is to be imported again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<StoredBytes>,
    /// How the provider's key wraps, where not as software does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mechanism: Option<Mechanism>,
    pub(crate) wraps: u64,
}

impl KeyRecord {
    /// Where the record of a key is in the store.
    pub(crate) fn address(key: KeyId) -> RecordKey {
        RecordKey::new(Collection::KEYS, (*key.as_bytes()).into())
    }

    pub(crate) fn version(&self, number: KeyVersion) -> Option<&VersionRecord> {
        let index = usize::try_from(number.get()).ok()?.checked_sub(1)?;
        self.versions.get(index)
    }

    pub(crate) fn version_mut(&mut self, number: KeyVersion) -> Option<&mut VersionRecord> {
        let index = usize::try_from(number.get()).ok()?.checked_sub(1)?;
        self.versions.get_mut(index)
    }

    /// The number of the version that is made next, if there is room for one.
    pub(super) fn next_version(&self) -> Option<KeyVersion> {
        let next = self.versions.len().checked_add(1)?;
        let next = Some(next).filter(|&next| next <= MAX_VERSIONS)?;
        KeyVersion::new(u32::try_from(next).ok()?)
    }

    /// The version that waits to be promoted.
    pub(super) fn pending(&self) -> Option<&VersionRecord> {
        let mut versions = self.versions.iter();
        versions.find(|version| version.state == VersionState::Pending)
    }

    /// Makes a version primary.
    pub(super) fn promote(&mut self, number: KeyVersion, now: Timestamp) {
        if let Some(version) = self.version_mut(number) {
            version.state = VersionState::Enabled;
            version.promoted = Some(now);
            version.promotion = None;
            self.primary = number;
        }
    }

    /// When the key was deleted, or began to be.
    pub(crate) fn deleted(&self) -> Option<Timestamp> {
        match self.state {
            StoredState::Destroying { since } => Some(since),
            StoredState::Deleted { on } => Some(on),
            _ => None,
        }
    }

    /// The state of a key that is not deleted; `available` says whether its primary version's
    /// provider is there.
    pub(super) fn key_state(&self, available: bool) -> KeyState {
        match self.state {
            StoredState::Enabled | StoredState::Disabled if !available => KeyState::Unavailable,
            StoredState::Enabled => KeyState::Enabled,
            StoredState::Disabled => KeyState::Disabled,
            StoredState::PendingImport => KeyState::PendingImport,
            StoredState::PendingDeletion { .. }
            | StoredState::Destroying { .. }
            | StoredState::Deleted { .. } => KeyState::PendingDeletion,
        }
    }

    /// Whether the primary version has material to use.
    pub(super) fn has_material(&self) -> bool {
        self.version(self.primary)
            .is_some_and(|version| version.state == VersionState::Enabled)
    }

    /// The handle of a version, bound to it; `None` if the version has none.
    pub(super) fn bound_handle(&self, version: &VersionRecord) -> Option<KeyHandle> {
        let handle = KeyHandle::from_bytes(version.handle.as_ref()?.as_bytes());
        Some(handle.with_binding(self.binding(version.number)))
    }

    /// Gives each version that has a handle the handle that `replace` gives for it, if it does.
    pub(super) fn replace_handles(
        &mut self,
        mut replace: impl FnMut(&VersionRecord, &KeyHandle) -> Result<Option<KeyHandle>, KmsError>,
    ) -> Result<(), KmsError> {
        let replaced = self.versions.iter().map(|version| {
            let handle = self.bound_handle(version);
            handle.map_or(Ok(None), |handle| replace(version, &handle))
        });
        let replaced = replaced.collect::<Result<Vec<_>, _>>()?;
        for (version, handle) in self.versions.iter_mut().zip(replaced) {
            if let Some(handle) = handle {
                version.handle = Some(StoredBytes::new(handle.as_bytes()));
            }
        }
        Ok(())
    }

    /// What the handle of a version is bound to.
    pub(crate) fn binding(&self, version: KeyVersion) -> Vec<u8> {
        version_binding(self.key, version, self.spec, self.usage)
    }

    /// What every record keeps to. One that does not is of a version of this crate that this one
    /// does not know.
    fn is_sound(&self) -> bool {
        if self.deleted().is_some() && self.versions.is_empty() {
            return true;
        }
        let numbered = self
            .versions
            .iter()
            .zip(1..)
            .all(|(version, number)| version.number.get() == number);
        let pending = self
            .versions
            .iter()
            .filter(|version| version.state == VersionState::Pending)
            .count();
        let primary = self.version(self.primary);
        numbered
            && pending <= 1
            && primary.is_some_and(|version| version.state != VersionState::Pending)
            && self.usage == KeyUsage::of(self.spec)
    }
}

impl VersionRecord {
    /// Whether its material is not to be used any more; what is still there of it is to be destroyed.
    pub(super) fn is_condemned(&self) -> bool {
        matches!(
            self.state,
            VersionState::PendingImport | VersionState::Destroyed
        )
    }

    /// A version that is not primary yet, or waits for its material.
    pub(super) fn new(
        number: KeyVersion,
        cause: VersionCause,
        created: Timestamp,
        provider: &str,
        material: Option<&NewMaterial>,
    ) -> Self {
        let mut version = Self {
            number,
            state: match material {
                Some(_) => VersionState::Pending,
                None => VersionState::PendingImport,
            },
            cause,
            created,
            promoted: None,
            promotion: None,
            provider: provider.to_owned(),
            handle: None,
            mechanism: None,
            erase: false,
            expires: None,
            destroyed: None,
            digest: None,
            wraps: 0,
        };
        if let Some(material) = material {
            material.fill(&mut version);
        }
        version
    }
}

/// What a provider's key is bound to that is a version of a KMS key: a handle that was moved to
/// another key or version is refused by its provider.
pub(super) fn version_binding(
    key: KeyId,
    version: KeyVersion,
    spec: KeySpec,
    usage: KeyUsage,
) -> Vec<u8> {
    let mut binding = label!("kms-version").to_vec();
    binding.extend_from_slice(key.as_bytes());
    binding.extend(varint(version.get()));
    for name in [spec.name(), usage.name()] {
        binding.extend(u8::try_from(name.len()));
        binding.extend_from_slice(name.as_bytes());
    }
    binding
}
