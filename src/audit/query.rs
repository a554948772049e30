//! Looking for records.

use super::error::AuditError;
use super::event::Outcome;
use super::parse::{Line, LineKind, Unreadable};
use super::read::TrailReader;
use super::record::AuditRecord;
use crate::clock::Timestamp;
use crate::format::KeyId;
use crate::kms::Operation;

/// Says which records are wanted: those that are as everything says that was said.
///
/// A query reads the trail from its first line to its last, with memory for one. It believes what
/// it reads: [`verify`](super::verify) the trail first.
///
/// ```
/// use waxseal::audit::{AuditQuery, MemorySink, Outcome, TrailReader};
/// use waxseal::kms::Operation;
///
/// # let lines = MemorySink::new().to_bytes();
/// let denied = AuditQuery::new().action(Operation::Decrypt).outcome(Outcome::Denied);
/// for record in denied.over(TrailReader::bytes(&lines)) {
///     println!("{}", record?.identity.principal);
/// }
/// # Ok::<(), waxseal::audit::AuditError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct AuditQuery {
    key: Option<KeyId>,
    principal: Option<String>,
    request_id: Option<String>,
    action: Option<Operation>,
    outcome: Option<Outcome>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// The records that a query finds, in the order of the trail.
#[derive(Debug)]
pub struct AuditRecords<'a> {
    query: AuditQuery,
    lines: TrailReader<'a>,
    is_over: bool,
}

impl AuditQuery {
    /// All records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this key.
    pub fn key(mut self, key: KeyId) -> Self {
        self.key = Some(key);
        self
    }

    /// Of what this principal did or tried.
    pub fn principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// Of this call.
    pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
        self.request_id = Some(request_id.into());
        self
    }

    /// Of this action.
    pub fn action(mut self, action: Operation) -> Self {
        self.action = Some(action);
        self
    }

    /// With this outcome.
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Recorded at this time or later.
    pub fn from(mut self, time: Timestamp) -> Self {
        self.from = Some(time);
        self
    }

    /// Recorded before this time.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time);
        self
    }

    /// Whether a record is wanted.
    #[must_use]
    pub fn matches(&self, record: &AuditRecord) -> bool {
        let is_of_action = |action: Operation| {
            record
                .action
                .strip_prefix("kms:")
                .is_some_and(|name| name == action.name())
        };
        self.key.is_none_or(|key| record.key == Some(key))
            && (self.principal.as_ref()).is_none_or(|name| record.identity.principal == *name)
            && (self.request_id.as_ref()).is_none_or(|id| record.request_id == *id)
            && self.action.is_none_or(is_of_action)
            && self.outcome.is_none_or(|outcome| record.outcome == outcome)
            && self.from.is_none_or(|from| record.time >= from)
            && self.until.is_none_or(|until| record.time < until)
    }

    /// Finds them in a trail.
    #[must_use]
    pub fn over<'a>(&self, lines: TrailReader<'a>) -> AuditRecords<'a> {
        AuditRecords {
            query: self.clone(),
            lines,
            is_over: false,
        }
    }
}

impl AuditRecords<'_> {
    fn next_record(&mut self) -> Result<Option<AuditRecord>, AuditError> {
        while let Some(raw) = self.lines.next()? {
            if raw.is_last {
                break;
            }
            let line = Line::parse(raw.bytes).map_err(|why| {
                let sink = "the audit trail".to_owned();
                match why {
                    Unreadable::Newer => AuditError::Newer { sink },
                    Unreadable::NoLine => AuditError::Damaged {
                        sink,
                        found: format!("{} is no line of one", raw.place),
                    },
                }
            })?;
            if let LineKind::Record(record) = line.kind
                && self.query.matches(&record)
            {
                return Ok(Some(*record));
            }
        }
        Ok(None)
    }
}

/// Ends after the first error.
impl Iterator for AuditRecords<'_> {
    type Item = Result<AuditRecord, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.next_record().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}
