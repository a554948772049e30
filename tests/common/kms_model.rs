//! What a KMS must do, said again as simply as possible: no store, no records, no cache.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use waxseal::kms::{KeyUsage, VersionState};
use waxseal::{KeyId, KmsError, RotationPolicy, Timestamp};

use super::kms::DAY;

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NoAlias,
    AliasExists,
    Deleted,
    State,
    Usage,
    Origin,
    NoVersion,
    VersionState,
    PendingVersion,
    Other,
}

impl From<&KmsError> for Refusal {
    fn from(error: &KmsError) -> Self {
        match error {
            KmsError::NoAlias { .. } => Self::NoAlias,
            KmsError::AliasExists { .. } => Self::AliasExists,
            KmsError::Deleted { .. } => Self::Deleted,
            KmsError::InvalidState { .. } => Self::State,
            KmsError::InvalidUsage { .. } => Self::Usage,
            KmsError::InvalidOrigin { .. } => Self::Origin,
            KmsError::NoVersion { .. } => Self::NoVersion,
            KmsError::InvalidVersionState { .. } => Self::VersionState,
            KmsError::PendingVersion { .. } => Self::PendingVersion,
            _ => Self::Other,
        }
    }
}

#[derive(Debug, Default)]
pub struct Model {
    pub keys: BTreeMap<KeyId, ModelKey>,
    pub aliases: BTreeMap<String, KeyId>,
}

#[derive(Debug, Clone)]
pub struct ModelKey {
    pub state: State,
    pub usage: KeyUsage,
    pub imported: bool,
    pub description: String,
    pub tags: BTreeMap<String, String>,
    pub rotation: Option<(RotationPolicy, Option<Timestamp>)>,
    pub versions: Vec<ModelVersion>,
    /// From 1.
    pub primary: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Enabled,
    Disabled,
    PendingImport,
    PendingDeletion(Timestamp),
    Deleted(Timestamp),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelVersion {
    pub state: VersionState,
    pub created: Timestamp,
    pub promotion: Option<Timestamp>,
}

/// What a tick must report.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    pub pending: BTreeSet<(KeyId, u32)>,
    pub promoted: BTreeSet<(KeyId, u32)>,
    pub deleted: BTreeSet<KeyId>,
}

impl Model {
    /// The key of an alias.
    pub fn named(&self, alias: &str) -> Result<KeyId, Refusal> {
        self.aliases.get(alias).copied().ok_or(Refusal::NoAlias)
    }

    /// A key that is not deleted.
    pub fn key(&mut self, id: KeyId) -> Result<&mut ModelKey, Refusal> {
        let key = self.keys.get_mut(&id).unwrap();
        match key.state {
            State::Deleted(_) => Err(Refusal::Deleted),
            _ => Ok(key),
        }
    }

    pub fn aliases_of(&self, id: KeyId) -> BTreeSet<String> {
        let of_key = self.aliases.iter().filter(|(_, key)| **key == id);
        of_key.map(|(alias, _)| alias.clone()).collect()
    }

    pub fn create_alias(&mut self, alias: &str, id: KeyId) -> Result<(), Refusal> {
        self.key(id)?.changeable()?;
        if self.aliases.contains_key(alias) {
            return Err(Refusal::AliasExists);
        }
        self.aliases.insert(alias.to_owned(), id);
        Ok(())
    }

    pub fn update_alias(&mut self, alias: &str, id: KeyId) -> Result<(), Refusal> {
        self.key(id)?.changeable()?;
        self.named(alias)?;
        self.aliases.insert(alias.to_owned(), id);
        Ok(())
    }

    pub fn delete_alias(&mut self, alias: &str) -> Result<(), Refusal> {
        self.aliases.remove(alias).map(drop).ok_or(Refusal::NoAlias)
    }

    pub fn tick(&mut self, now: Timestamp) -> Ticked {
        let mut ticked = Ticked::default();
        for (&id, key) in &mut self.keys {
            if let State::PendingDeletion(on) = key.state
                && on <= now
            {
                key.state = State::Deleted(now);
                ticked.deleted.insert(id);
                self.aliases.retain(|_, key| *key != id);
            }
            while key.state == State::Enabled && key.work(id, now, &mut ticked) {}
        }
        ticked
    }
}

impl ModelKey {
    /// It can be written on: its deletion is not scheduled.
    pub fn changeable(&mut self) -> Result<&mut Self, Refusal> {
        match self.state {
            State::PendingDeletion(_) => Err(Refusal::State),
            _ => Ok(self),
        }
    }

    /// It is enabled or disabled.
    pub fn switchable(&mut self) -> Result<&mut Self, Refusal> {
        match self.state {
            State::Enabled | State::Disabled => Ok(self),
            _ => Err(Refusal::State),
        }
    }

    /// It can be rotated.
    pub fn rotatable(&mut self) -> Result<&mut Self, Refusal> {
        if self.usage != KeyUsage::EncryptDecrypt {
            return Err(Refusal::Usage);
        }
        match self.state {
            State::Enabled | State::PendingImport if self.imported => Err(Refusal::Origin),
            State::Enabled => Ok(self),
            _ => Err(Refusal::State),
        }
    }

    /// It can be told how it is rotated.
    pub fn has_rotation_status(&self) -> Result<(), Refusal> {
        if self.imported {
            return Err(Refusal::Origin);
        }
        Ok(())
    }

    pub fn schedule(&mut self, now: Timestamp, days: u32) -> Result<Timestamp, Refusal> {
        self.changeable()?;
        let on = now.saturating_add(days * DAY);
        self.state = State::PendingDeletion(on);
        Ok(on)
    }

    pub fn cancel(&mut self) -> Result<(), Refusal> {
        match self.state {
            State::PendingDeletion(_) => {
                self.state = if self.imported {
                    State::PendingImport
                } else {
                    State::Disabled
                };
                Ok(())
            }
            _ => Err(Refusal::State),
        }
    }

    pub fn enable_rotation(&mut self, policy: RotationPolicy, now: Timestamp) {
        if self.rotation.is_none_or(|(before, _)| before != policy) {
            self.rotation = Some((policy, first(policy, now)));
        }
    }

    pub fn pending(&self) -> Option<usize> {
        let mut versions = self.versions.iter();
        let index = versions.position(|version| version.state == VersionState::Pending)?;
        Some(index + 1)
    }

    pub fn add_version(&mut self, now: Timestamp, promotion: Option<Timestamp>) -> usize {
        self.versions.push(ModelVersion {
            state: VersionState::Pending,
            created: now,
            promotion,
        });
        self.versions.len()
    }

    pub fn promote(&mut self, version: usize) {
        self.versions[version - 1].state = VersionState::Enabled;
        self.versions[version - 1].promotion = None;
        self.primary = version;
    }

    pub fn promote_by_hand(&mut self, version: usize) -> Result<(), Refusal> {
        if version == self.primary {
            return Ok(());
        }
        match self.versions.get(version - 1) {
            None => Err(Refusal::NoVersion),
            Some(found) if found.state == VersionState::Pending => {
                self.promote(version);
                Ok(())
            }
            Some(_) => Err(Refusal::VersionState),
        }
    }

    pub fn rotate_now(&mut self, now: Timestamp) -> usize {
        let version = match self.pending() {
            Some(version) => version,
            None => self.add_version(now, None),
        };
        self.promote(version);
        version
    }

    /// Does one piece of work of an enabled key; false if there is none.
    fn work(&mut self, id: KeyId, now: Timestamp, ticked: &mut Ticked) -> bool {
        let pending = self.pending();
        let promotion = pending.and_then(|version| self.versions[version - 1].promotion);
        if let (Some(version), Some(promotion)) = (pending, promotion) {
            if promotion > now {
                return false;
            }
            self.promote(version);
            ticked.promoted.insert((id, number(version)));
            return true;
        }
        let Some((policy, Some(mut next))) = self.rotation else {
            return false;
        };
        if next > now {
            return false;
        }
        while next <= now {
            next = first(policy, next).unwrap();
        }
        self.rotation = Some((policy, Some(next)));
        let version = match pending {
            Some(version) => version,
            None => self.add_version(now, None),
        };
        let promotion = self.versions[version - 1]
            .created
            .saturating_add(policy.guard());
        if promotion <= now {
            self.promote(version);
            ticked.promoted.insert((id, number(version)));
        } else {
            self.versions[version - 1].promotion = Some(promotion);
            ticked.pending.insert((id, number(version)));
        }
        true
    }
}

fn number(version: usize) -> u32 {
    u32::try_from(version).unwrap()
}

pub fn first(policy: RotationPolicy, now: Timestamp) -> Option<Timestamp> {
    let days = policy.period_days()?;
    Some(now.saturating_add(Duration::from_secs(u64::from(days) * 86_400)))
}
