//! What the audit trail has of the KMS: its key, and a place for its head in the key store, so that
//! who can change the trail alone cannot cut off its end unnoticed.

use std::fmt;
use std::sync::Arc;

use super::record::{Codec, Unreadable};
use super::store_key::OpenStore;
use crate::audit::{
    AuditError, AuditKey, AuditTrail, AuditTrailBuilder, HeadStore, KmsParts, TrailHead, TrailId,
};
use crate::clock::Clock;
use crate::format::label;
use crate::rng::RandomSource;
use crate::store::{Collection, CommitError, Expected, KeyStore, RecordKey, Revision, Transaction};

/// Opens the trail of a KMS.
pub(super) fn open_trail(
    trail: AuditTrailBuilder,
    store: &Arc<dyn KeyStore>,
    store_key: &OpenStore,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn RandomSource>,
) -> Result<AuditTrail, AuditError> {
    let key = store_key.codec.derive(&[label!("kms-audit")]);
    let heads = TrailHeads {
        store: Arc::clone(store),
        codec: store_key.codec.clone(),
    };
    let parts = KmsParts {
        store: Arc::clone(store),
        key: AuditKey::from_bytes(&key),
        heads: Arc::new(heads),
        clock: Arc::clone(clock),
        random: Arc::clone(random),
    };
    trail.for_kms(parts)?.open()
}

/// One record for each trail, tagged under the store's key.
struct TrailHeads {
    store: Arc<dyn KeyStore>,
    codec: Codec,
}

impl TrailHeads {
    fn read(&self, trail: TrailId) -> Result<Option<(Revision, TrailHead)>, AuditError> {
        let address = address(trail);
        let Some(stored) = self.store.get(&address)? else {
            return Ok(None);
        };
        match self.codec.decode::<TrailHead>(&address, &stored.bytes) {
            Ok(head) if head.trail == trail => Ok(Some((stored.revision, head))),
            Err(Unreadable::Newer) => Err(AuditError::Newer {
                sink: self.store.name(),
            }),
            _ => Err(AuditError::Damaged {
                sink: self.store.name(),
                found: format!("the head of the trail {trail} is not the one that was sealed"),
            }),
        }
    }
}

impl HeadStore for TrailHeads {
    fn load(&self, trail: TrailId) -> Result<Option<TrailHead>, AuditError> {
        Ok(self.read(trail)?.map(|(_, head)| head))
    }

    fn save(&self, head: &TrailHead) -> Result<(), AuditError> {
        let address = address(head.trail);
        let bytes = self.codec.encode(&address, head);
        for _ in 0..super::commit::MAX_ATTEMPTS {
            let expected = match self.read(head.trail)? {
                Some((_, saved)) if saved.sequence >= head.sequence => return Ok(()),
                Some((revision, _)) => Expected::Revision(revision),
                None => Expected::Absent,
            };
            let put = Transaction::new().put(address.clone(), expected, bytes.clone());
            match self.store.commit(&put) {
                Ok(_) => return Ok(()),
                // Another process saved one.
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
        }
        Err(AuditError::Busy {
            sink: self.store.name(),
        })
    }
}

fn address(trail: TrailId) -> RecordKey {
    RecordKey::new(Collection::AUDIT, (*trail.as_bytes()).into())
}

impl fmt::Debug for TrailHeads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrailHeads({})", self.store.name())
    }
}
