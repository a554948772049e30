//! Who did what: a trail of records that cannot be changed unnoticed.
//!
//! A [`Kms`](crate::Kms) that is given a trail records every operation in it, whatever came of it, and does
//! none that it cannot record. [`verify`] finds the first line of a trail that is not as it was
//! written; [`AuditQuery`] finds records.
//!
//! ```
//! use waxseal::audit::{AuditQuery, AuditTrail, FileSink, TrailReader, Verification};
//! use waxseal::{CreateKey, Kms, MemoryKeyStore, SoftwareKeyProvider};
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("audit");
//! let kms = Kms::builder(MemoryKeyStore::new())
//!     .provider(SoftwareKeyProvider::generate()?)
//!     .audit(AuditTrail::builder(FileSink::open_or_create(&path)?))
//!     .open()?;
//! let alice = kms.as_principal("ops:alice");
//! let key = alice.create_key(CreateKey::new())?;
//!
//! let of_key = AuditQuery::new().principal("ops:alice");
//! for record in of_key.over(TrailReader::directory(&path)?) {
//!     println!("{}", record?.action);
//! }
//! alice.verify_audit_trail(TrailReader::directory(&path)?, &Verification::new())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is recorded
//!
//! Each record is a line of JSON, whose members have the names of AWS CloudTrail where it has them
//! (`FORMAT.md`, "Audit trails"). As a value it is an [`AuditRecord`].
//!
//! | member | what it says |
//! | --- | --- |
//! | `eventVersion`, `sequence`, `prev`, `eventType` | the line's place in the chain |
//! | `eventTime` | when it was recorded, by the clock of the process |
//! | `eventID` | names the record, the same in each sink |
//! | `requestID` | names the call, the same in all its records |
//! | `userIdentity` | the principal, and what the application said of it |
//! | `eventName` | the operation, as policies name it: `kms:Decrypt` |
//! | `keyId`, `keyVersion` | the key, and which version was used |
//! | `requestParameters` | the alias that was given, the encryption context, and what else was asked for |
//! | `outcome` | `allowed`, `denied` or `failed` |
//! | `errorCode` | the [kind](crate::KmsError::kind) of error, or `Panicked` where a provider or a store panicked |
//! | `decidedBy` | the statement or grant that decided |
//! | `dryRun` | `true` where nothing was to be done |
//! | `source` | where the call came from, as the application said |
//!
//! Never a secret. Of an encryption context the keys are there, and the values as hashes under a key,
//! unless it is [said](AuditTrailBuilder::context_values) that they may be seen.
//!
//! A message that is sealed under a data key of a cache makes no record of its own, as with AWS: the
//! record of the data key covers it.
//!
//! # What is promised
//!
//! - **Nothing is done that is not recorded.** What gives something out gives it out when the record is
//!   durable. What changes a key is recorded in the same transaction
//!   ([`AuditTrail::in_key_store`]), or before it; if it then fails, a second record of the same
//!   request says so. So a record may say `allowed` of what a crash kept from being done, and never
//!   the other way round.
//! - **Each line has the hash of the one before**: a line that was changed, added, taken out or moved
//!   is found, at its place.
//! - **Checkpoints** sign all lines before them, so who can write the trail cannot make it anew: with
//!   a key pair ([`CheckpointSigner::key_pair`]) verified by anyone with the public key, otherwise
//!   by a MAC under the key of the KMS's store.
//! - **The head** is kept in the store of the KMS with each checkpoint. What was cut off of a trail
//!   that had one is found, back to there. A trail that has lost it, or has another line in its place, is
//!   not gone on with.
//!
//! # What is not
//!
//! - Lines after the last checkpoint are only chained: who can write the trail can change or cut
//!   them off. Checkpoints come after [a number of lines or some time](AuditTrailBuilder::checkpoint_every),
//!   and when the trail is closed. While no checkpoint can be signed, recording goes on.
//! - Who has the signing key and can write to the trail and to the key store can forge all of it. So
//!   can who can put an older copy of both in place. Give the last line to a third party now and
//!   then, if that matters.
//! - A directory that is gone as a whole is noticed by [`FileSink::open`], not by
//!   [`FileSink::open_or_create`]. Neither notices, when it is opened, that a first file was emptied, or
//!   that another trail is in its place: look whether [`AuditTrail::head`] has the trail that it had.
//! - Dates are those of the process's clock.
//! - What stands in a record is what the application says of who acts.
//!
//! # Sinks
//!
//! | sink | keeps the trail | several processes |
//! | --- | --- | --- |
//! | [`FileSink`] | in files, rotated by size; many callers share one write to the disk | make one chain |
//! | [`StoreSink`], [`AuditTrail::in_key_store`] | in the log of a key store | make one chain |
//! | [`MemorySink`] | until the process ends | |
//! | `TracingSink` (feature `tracing`) | not at all: it gives records to `tracing` | |
//! | [`FanOut`] | in several places, each with a chain of its own | |
//!
//! Others implement [`AuditSink`].
//!
//! # Async code
//!
//! [`AuditTrail::record`] blocks its thread. [`AuditTrail::submit`] gives a [`PendingRecord`] to await,
//! and a thread of the trail writes what was handed over, so one write serves as many records as there
//! are operations under way, not threads. `AsyncEnvelope` (feature `tokio`) has the KMS record
//! that way.
//!
//! # Full disks
//!
//! Where there is no room, operations fail with [`AuditError::Full`], nothing half-written stays,
//! and they go on when there is room. Move files of the trail that are not the newest to an archive, and
//! verify what is left with [`Verification::without_archived_files`]. Where the newest is empty, keep the
//! one before too: what comes next follows from its last line.

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
pub use trail::{AuditTrail, AuditTrailBuilder, PendingRecord, Recorded};
pub(crate) use trail::{KmsParts, PendingRecords};
pub use verify::{Finding, Tampering, Verification, Verified, VerifyTrailError, verify};
