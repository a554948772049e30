//! Who did what: a trail of records that cannot be changed unnoticed.

mod batch;
mod checkpoint;
mod error;
mod event;
mod head;
mod key;
mod line;
mod parse;
mod query;
mod read;
mod record;
mod sink;
mod trail;
mod verify;

pub use batch::{Appended, Batch, Lines};
pub use checkpoint::CheckpointSigner;
pub use error::{AuditError, ChangeError};
pub use event::{AuditEvent, DecidedBy, EventId, Outcome, ParameterValue, Parameters};
pub use head::{HeadStore, Tail, TrailHead, TrailId};
pub use key::AuditKey;
pub use line::{ContextValues, LineHash, MAX_LINE_LEN};
pub use query::{AuditQuery, AuditRecords};
pub use read::{Place, TrailReader};
pub use record::{AuditRecord, Identity, RequestParameters};
#[cfg(feature = "tracing")]
pub use sink::TracingSink;
pub use sink::{AuditSink, Durability, FanOut, FileSink, MemorySink, StoreSink};
pub(crate) use trail::KmsParts;
pub use trail::{AuditTrail, AuditTrailBuilder, Recorded};
pub use verify::{Finding, Tampering, Verification, Verified, VerifyTrailError, verify};
