//! Who did what: a trail of records that cannot be changed unnoticed.

mod batch;
mod checkpoint;
mod error;
mod event;
mod head;
mod key;
mod line;
mod sink;
mod trail;

pub use batch::{Appended, Batch, Lines};
pub use checkpoint::CheckpointSigner;
pub use error::{AuditError, ChangeError};
pub use event::{AuditEvent, DecidedBy, Outcome, ParameterValue, Parameters, RequestId};
pub use head::{HeadStore, Tail, TrailHead, TrailId};
pub use key::AuditKey;
pub use line::{ContextValues, LineHash, MAX_LINE_LEN};
pub use sink::{AuditSink, MemorySink};
pub use trail::{AuditTrail, AuditTrailBuilder, Recorded};
