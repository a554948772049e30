//! What is told of a record.

use super::{KeyRecord, StoredState};
use crate::kms::key::{KeyMetadata, KeyState, KeyVersionMetadata};

impl KeyRecord {
    pub(in crate::kms) fn metadata(&self, state: KeyState) -> KeyMetadata {
        KeyMetadata {
            id: self.key,
            state,
            spec: self.spec,
            usage: self.usage,
            origin: self.origin,
            provider: self.provider.clone(),
            description: self.description.clone(),
            tags: self.tags.clone(),
            aliases: self.aliases.clone(),
            created: self.created,
            deletion_date: match self.state {
                StoredState::PendingDeletion { on, .. } => Some(on),
                _ => None,
            },
            material_expires: self
                .version(self.primary)
                .and_then(|version| version.expires),
            primary: self.primary,
            versions: self.versions.len(),
            rotation: self.rotation.as_ref().map(|rotation| rotation.policy),
        }
    }

    pub(in crate::kms) fn version_metadata(&self) -> Vec<KeyVersionMetadata> {
        let versions = self.versions.iter();
        versions
            .map(|version| KeyVersionMetadata {
                version: version.number,
                state: version.state,
                primary: version.number == self.primary,
                cause: version.cause,
                created: version.created,
                promoted: version.promoted,
                promotion_date: version.promotion,
                provider: version.provider.clone(),
                wraps: version.wraps,
                expires: version.expires,
                destroyed: version.destroyed,
            })
            .collect()
    }
}
