//! The work that time brings to a key.

use super::{KeyRecord, StoredState, VersionRecord};
use crate::clock::Timestamp;
use crate::format::KeyVersion;
use crate::kms::key::VersionCause;

/// Work to be done on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kms) enum Due {
    /// Its deletion is due: there is no way back from here.
    BeginDestroying,
    /// Its deletion has begun.
    GoOnDestroying,
    /// The material of a version has expired.
    Expire(KeyVersion),
    /// Material that is no longer to be used is still there.
    EraseMaterial(KeyVersion),
    /// A version has waited long enough.
    Promote(KeyVersion),
    /// Grants of it have ended.
    EndGrants,
    /// It needs a new version.
    Rotate(VersionCause),
}

impl KeyRecord {
    /// The work that is due first, and since when; it may be in the future.
    ///
    /// While a key is disabled or to be deleted, it is not rotated, as with AWS; what became due
    /// meanwhile is done when it is enabled again.
    pub(in crate::kms) fn first_due(&self) -> Option<(Timestamp, Due)> {
        let first = match self.state {
            StoredState::Deleted { .. } => return None,
            StoredState::Destroying { since } => return Some((since, Due::GoOnDestroying)),
            StoredState::PendingDeletion { on, .. } => Some((on, Due::BeginDestroying)),
            StoredState::Enabled => self.promotion_or_rotation(),
            StoredState::Disabled | StoredState::PendingImport => None,
        };
        let material = self.versions.iter().filter_map(VersionRecord::due);
        let grants = self.grants.as_ref().and_then(|grants| grants.expires);
        first
            .into_iter()
            .chain(material)
            .chain(grants.map(|on| (on, Due::EndGrants)))
            .min_by_key(|(since, _)| *since)
    }

    /// The work to be done now.
    pub(in crate::kms) fn due(&self, now: Timestamp) -> Option<Due> {
        self.first_due()
            .filter(|(since, _)| *since <= now)
            .map(|(_, due)| due)
    }

    fn promotion_or_rotation(&self) -> Option<(Timestamp, Due)> {
        let promotion = self
            .pending()
            .and_then(|version| Some((version.promotion?, Due::Promote(version.number))));
        // The version that waits to be promoted is the one that a rotation would make.
        promotion.or_else(|| self.rotation_due())
    }

    fn rotation_due(&self) -> Option<(Timestamp, Due)> {
        let rotation = self.rotation.as_ref()?;
        let wraps = self
            .version(self.primary)
            .map_or(0, |primary| primary.wraps);
        if wraps >= rotation.policy.budget() {
            return Some((Timestamp::UNIX_EPOCH, Due::Rotate(VersionCause::Budget)));
        }
        rotation
            .next
            .map(|next| (next, Due::Rotate(VersionCause::Period)))
    }
}

impl VersionRecord {
    fn due(&self) -> Option<(Timestamp, Due)> {
        if self.is_condemned() {
            return (self.handle.is_some() || self.erase)
                .then_some((Timestamp::UNIX_EPOCH, Due::EraseMaterial(self.number)));
        }
        self.expires.map(|on| (on, Due::Expire(self.number)))
    }
}
