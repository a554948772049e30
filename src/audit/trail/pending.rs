//! Records that are waited for without blocking.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use smallvec::SmallVec;

use super::Recorded;
use super::round::Round;
use crate::audit::error::AuditError;
use crate::audit::event::EventId;

/// A record that was [submitted](super::AuditTrail::submit): ready when it is durable, or failed.
///
/// It asks for no runtime. Dropped, the record is written all the same, and nobody is told.
#[must_use = "until it is ready, the record may still fail"]
pub struct PendingRecord {
    id: EventId,
    /// The record's place in what is written together.
    index: u64,
    round: Arc<Round>,
    /// Where the round has the waker.
    place: Option<usize>,
}

impl PendingRecord {
    pub(super) fn new(id: EventId, index: u64, round: Arc<Round>) -> Self {
        Self {
            id,
            index,
            round,
            place: None,
        }
    }
}

impl Future for PendingRecord {
    type Output = Result<Recorded, AuditError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.round
            .poll(cx, &mut this.place)
            .map_ok(|appended| Recorded::new(this.id, this.index, appended))
    }
}

impl fmt::Debug for PendingRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PendingRecord({})", self.id)
    }
}

/// The records of a call, where its caller waits for them: until they are durable, nothing that the
/// call gave, or failed with, may be given out.
#[derive(Debug, Default)]
pub(crate) struct PendingRecords(Mutex<SmallVec<[PendingRecord; 1]>>);

impl PendingRecords {
    pub(crate) fn add(&self, record: PendingRecord) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.push(record);
    }

    /// Waits until all are durable.
    #[cfg(feature = "tokio")]
    pub(crate) async fn durable(self) -> Result<(), AuditError> {
        let records = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            record.await?;
        }
        Ok(())
    }
}
