//! New versions of keys.
//!
//! Order: create the provider's key, then commit the record with its handle, which makes the version
//! known and, where it is promoted at once, primary. Who finds that another process was faster
//! destroys the provider's key again. A crash in between leaves a key in the provider that nothing
//! refers to, and nothing where the key is in its handle.

mod policy;

use serde::Serialize;

pub use self::policy::RotationPolicy;
pub(super) use self::policy::{days, in_range};
use super::KmsHandle;
use super::acting::Acting;
use super::asked::{Asked, Parameters};
use super::commit::Unit;
use super::entry::KeyEntry;
use super::error::KmsError;
use super::key::{KeyState, VersionCause, VersionState};
use super::name::KeySelector;
use super::new_material::NewMaterial;
use super::operation::Operation;
use super::record::{KeyRecord, MAX_VERSIONS, RotationRecord, VersionRecord};
use crate::clock::Timestamp;
use crate::format::KeyVersion;
use crate::provider::{CreateKeyRequest, KeyProvider};

/// How a key is rotated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RotationStatus {
    /// Whether it is rotated by itself. It is not while its deletion is scheduled.
    pub enabled: bool,
    /// When it is rotated by itself.
    pub policy: Option<RotationPolicy>,
    /// When its period is over. Nothing is rotated while the key is disabled.
    pub next_rotation: Option<Timestamp>,
    /// The version that waits to be promoted.
    pub pending_version: Option<KeyVersion>,
    /// When that version is promoted by itself, if it is.
    pub promotion_date: Option<Timestamp>,
}

/// When a new version becomes primary.
#[derive(Debug, Clone, Copy)]
enum Promotion {
    Now,
    On(Timestamp),
    /// When somebody promotes it.
    ByHand,
}

/// What a rotation that was due has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rotated {
    /// The version is primary.
    Promoted(KeyVersion),
    /// The version waits.
    Pending(KeyVersion),
}

impl KmsHandle {
    /// Lets a key be rotated by itself, from now on. With the policy that it has already, nothing
    /// changes.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`],
    /// [`KmsError::InvalidUsage`] for a key that does not wrap, [`KmsError::InvalidOrigin`] for one
    /// whose material is imported, and [`KmsError::OutOfRange`] for the policy.
    pub fn enable_rotation<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        policy: RotationPolicy,
    ) -> Result<(), KmsError> {
        policy.check()?;
        let now = self.kms.date();
        let asked = Asked::new(Operation::EnableKeyRotation).with(Parameters {
            rotation_days: policy.period_days(),
            ..Parameters::default()
        });
        self.edit(asked, key.into(), |record| {
            let is_same = |rotation: &RotationRecord| rotation.policy == policy;
            if !record.rotation.as_ref().is_some_and(is_same) {
                let next = policy.first(now);
                record.rotation = Some(RotationRecord { policy, next });
            }
            Ok(())
        })
    }

    /// Lets a key no longer be rotated by itself. A version that already waits to be promoted still
    /// is.
    ///
    /// # Errors
    ///
    /// As [`enable_rotation`](Self::enable_rotation).
    pub fn disable_rotation<'k>(&self, key: impl Into<KeySelector<'k>>) -> Result<(), KmsError> {
        self.edit(Operation::DisableKeyRotation, key.into(), |record| {
            record.rotation = None;
            Ok(())
        })
    }

    /// Tells how a key is rotated.
    ///
    /// # Errors
    ///
    /// As [`describe_key`](Self::describe_key), [`KmsError::InvalidState`], and
    /// [`KmsError::InvalidOrigin`] for a key whose material is imported.
    pub fn rotation_status<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<RotationStatus, KmsError> {
        self.gate()
            .perform(Operation::GetKeyRotationStatus, key.into(), None, |key| {
                Ok(key.entry().rotation_status())
            })
    }

    /// Gives a key a new primary version at once, and returns its number. A version that waits to be
    /// promoted is promoted; if there is none, one is made. When the next automatic rotation is due
    /// does not change.
    ///
    /// # Errors
    ///
    /// As [`enable_rotation`](Self::enable_rotation), [`KmsError::Limit`] when the key has 1000
    /// versions, [`KmsError::NoProvider`], and the failures of the provider.
    pub fn rotate_now<'k>(&self, key: impl Into<KeySelector<'k>>) -> Result<KeyVersion, KmsError> {
        self.gate()
            .perform(Operation::RotateKeyOnDemand, key.into(), None, |key| {
                key.until_done(|kms, entry| kms.rotate_now(entry))
            })
    }

    /// Makes a version of a key that is not primary yet, and returns its number. It unwraps; it
    /// wraps nothing until it is [promoted](Self::promote_version).
    ///
    /// # Errors
    ///
    /// As [`rotate_now`](Self::rotate_now), and [`KmsError::PendingVersion`] when the key has such
    /// a version.
    pub fn create_pending_version<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
    ) -> Result<KeyVersion, KmsError> {
        self.gate()
            .perform(Operation::CreateKeyVersion, key.into(), None, |key| {
                key.until_done(|kms, entry| match entry.record.pending() {
                    Some(pending) => Err(KmsError::PendingVersion {
                        key: entry.id(),
                        version: pending.number,
                    }),
                    None => {
                        kms.add_version(entry, VersionCause::OnDemand, Promotion::ByHand, |_| {})
                    }
                })
            })
    }

    /// Makes a version that waits to be promoted primary. One that is primary already stays so.
    ///
    /// # Errors
    ///
    /// As [`enable_rotation`](Self::enable_rotation), [`KmsError::NoVersion`], and
    /// [`KmsError::InvalidVersionState`] for an older version.
    pub fn promote_version<'k>(
        &self,
        key: impl Into<KeySelector<'k>>,
        version: KeyVersion,
    ) -> Result<(), KmsError> {
        let now = self.kms.date();
        self.edit(Operation::PromoteKeyVersion, key.into(), |record| {
            if record.primary == version {
                return Ok(());
            }
            let key = record.key;
            match record.version(version).map(|version| version.state) {
                None => Err(KmsError::NoVersion { key, version }),
                Some(VersionState::Pending) => {
                    record.promote(version, now);
                    Ok(())
                }
                Some(state) => Err(KmsError::InvalidVersionState {
                    key,
                    version,
                    state,
                }),
            }
        })
    }
}

impl KeyEntry {
    fn rotation_status(&self) -> RotationStatus {
        let record = &self.record;
        let pending = record.pending();
        let rotation = record.rotation.as_ref();
        let enabled = rotation.is_some() && self.state != KeyState::PendingDeletion;
        RotationStatus {
            enabled,
            policy: rotation.map(|rotation| rotation.policy),
            next_rotation: rotation
                .and_then(|rotation| rotation.next)
                .filter(|_| enabled),
            pending_version: pending.map(|version| version.number),
            promotion_date: pending.and_then(|version| version.promotion),
        }
    }
}

impl Acting<'_> {
    fn rotate_now(&self, entry: &KeyEntry) -> Result<Option<KeyVersion>, KmsError> {
        let Some(pending) = entry.record.pending() else {
            return self.add_version(entry, VersionCause::OnDemand, Promotion::Now, |_| {});
        };
        self.promote(entry, pending.number, self.date())
    }

    /// Does a rotation that is due. Nothing when others were faster.
    pub(super) fn rotate(
        &self,
        entry: &KeyEntry,
        cause: VersionCause,
        now: Timestamp,
    ) -> Result<Option<Rotated>, KmsError> {
        let Some(rotation) = &entry.record.rotation else {
            return Ok(None);
        };
        let policy = rotation.policy;
        let next = match rotation.next {
            Some(due) if due <= now => policy.after(due, now),
            next => next,
        };
        let set_next = |record: &mut KeyRecord| {
            if let Some(rotation) = &mut record.rotation {
                rotation.next = next;
            }
        };
        let guard_from = entry
            .record
            .pending()
            .map_or(now, |pending| pending.created);
        let promotion = guard_from.saturating_add(policy.guard());
        let is_over = promotion <= now;
        let promoted = if let Some(pending) = entry.record.pending() {
            let number = pending.number;
            let mut record = entry.record.clone();
            set_next(&mut record);
            if is_over {
                record.promote(number, now);
            } else if let Some(pending) = record.version_mut(number) {
                pending.promotion = Some(promotion);
            }
            Unit::new(self)
                .update_key(entry, record)
                .commit()?
                .map(|_| number)
        } else {
            let promotion = if is_over {
                Promotion::Now
            } else {
                Promotion::On(promotion)
            };
            self.add_version(entry, cause, promotion, set_next)?
        };
        Ok(promoted.map(|number| {
            if is_over {
                Rotated::Promoted(number)
            } else {
                Rotated::Pending(number)
            }
        }))
    }

    /// Does a promotion that is due. Nothing when others were faster.
    pub(super) fn promote(
        &self,
        entry: &KeyEntry,
        version: KeyVersion,
        now: Timestamp,
    ) -> Result<Option<KeyVersion>, KmsError> {
        let mut record = entry.record.clone();
        record.promote(version, now);
        let committed = Unit::new(self).update_key(entry, record).commit()?;
        Ok(committed.map(|_| version))
    }

    /// Makes a version. Nothing when others were faster.
    fn add_version(
        &self,
        entry: &KeyEntry,
        cause: VersionCause,
        promotion: Promotion,
        edit: impl FnOnce(&mut KeyRecord),
    ) -> Result<Option<KeyVersion>, KmsError> {
        let mut record = entry.record.clone();
        let number = record.next_version().ok_or(KmsError::Limit {
            key: record.key,
            what: "versions",
            max: MAX_VERSIONS,
        })?;
        let provider = self.providers.get(&record.provider)?;
        let binding = record.binding(number);
        let request = CreateKeyRequest::new(record.spec).with_binding(&binding);
        let material = NewMaterial::create(provider.as_ref(), request)?;
        let now = self.date();
        let mut version = VersionRecord::new(number, cause, now, provider.name(), Some(&material));
        if let Promotion::On(date) = promotion {
            version.promotion = Some(date);
        }
        record.versions.push(version);
        if let Promotion::Now = promotion {
            record.promote(number, now);
        }
        edit(&mut record);
        let unit = Unit::new(self).update_key(entry, record);
        let committed = unit.commit_with(provider.as_ref(), &material.handle)?;
        Ok(committed.map(|_| number))
    }
}
