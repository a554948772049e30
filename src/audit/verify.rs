//! Verifying a trail, from its lines alone.

mod classify;
mod finding;
mod trust;

use std::mem;

pub use self::finding::{Finding, Tampering, VerifyTrailError};
use self::trust::{Signature, Trust};
use super::AuditKey;
use super::error::AuditError;
use super::head::{Tail, TrailHead, TrailId};
use super::line::LineHash;
use super::parse::{Checkpoint, Line, LineKind, Unreadable};
use super::read::{Place, TrailReader};
use crate::provider::PublicKey;

/// What a trail is verified against.
///
/// Without a key, only that each line follows from the one before: who can write the trail can forge
/// that. With a key, checkpoints are verified, and with a head, that nothing was cut off since that
/// was sealed.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Verification<'a> {
    trust: Trust<'a>,
    head: Option<TrailHead>,
    needs_head: bool,
    is_archived: bool,
}

/// What a trail was found to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Verified {
    /// The sequence of the first line: more than 0 where older files were not given.
    pub first: u64,
    /// The end of the trail; none if it is empty.
    pub tail: Option<Tail>,
    /// How many records there are.
    pub records: u64,
    /// How many checkpoints were verified.
    pub checkpoints: u64,
    /// The sequence of the last checkpoint that was verified: what comes after it, whoever can
    /// write the trail could have written.
    pub signed_through: Option<u64>,
    /// Bytes after the last line: being written just now, or left by a process that died.
    pub torn: usize,
}

/// Verifies a trail: shorthand for [`Verification::verify`].
///
/// # Errors
///
/// [`VerifyTrailError::Tampered`] with the first line that is not as it was written, and
/// [`VerifyTrailError::Read`] when the trail could not be read.
pub fn verify(
    lines: TrailReader<'_>,
    against: &Verification<'_>,
) -> Result<Verified, VerifyTrailError> {
    against.verify(lines)
}

impl<'a> Verification<'a> {
    /// Against nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts checkpoints that this key verifies.
    pub fn trusting(mut self, key: PublicKey) -> Self {
        self.trust.add(key);
        self
    }

    /// Trusts checkpoints with MACs under the trail's key.
    pub fn trusting_macs(mut self, key: &'a AuditKey) -> Self {
        self.trust.mac = Some(key);
        self
    }

    /// Demands that the trail has had this head.
    pub fn with_head(mut self, head: TrailHead) -> Self {
        self.head = Some(head);
        self
    }

    /// Refuses a trail of which no head was given: a KMS keeps one of each trail that it has written.
    pub fn needing_head(mut self) -> Self {
        self.needs_head = true;
        self
    }

    /// Lets the trail begin with any of its files, where older ones are in an archive. The line of the
    /// head must still be there.
    pub fn without_archived_files(mut self) -> Self {
        self.is_archived = true;
        self
    }

    /// Verifies a trail.
    ///
    /// # Errors
    ///
    /// As [`verify`].
    pub fn verify(&self, mut lines: TrailReader<'_>) -> Result<Verified, VerifyTrailError> {
        let mut walk = Walk::new(self);
        loop {
            match walk.step(&mut lines)? {
                Step::Next => {}
                Step::End => return walk.finish(),
                Step::Wrong(wrong) => {
                    let finding = walk.classify(*wrong, &mut lines);
                    return Err(VerifyTrailError::Tampered(finding));
                }
            }
        }
    }
}

/// How far verification has come.
struct Walk<'v> {
    against: &'v Verification<'v>,
    found: Verified,
    trail: Option<TrailId>,
    /// What the next line must have.
    sequence: u64,
    prev: LineHash,
    /// What the last line had for `prev`.
    before: LineHash,
    last: Option<Place>,
    /// The hash of the line that the head names.
    at_head: Option<(Place, LineHash)>,
}

enum Step {
    Next,
    End,
    Wrong(Box<Wrong>),
}

/// A line that does not follow.
struct Wrong {
    place: Place,
    line: Option<SeenLine>,
    what: Option<Tampering>,
}

/// What matters of a line for its place in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SeenLine {
    sequence: u64,
    prev: LineHash,
    hash: LineHash,
    /// Whether it is a checkpoint with a good signature, which so says that `prev` is right.
    is_signed: bool,
}

impl<'v> Walk<'v> {
    fn new(against: &'v Verification<'v>) -> Self {
        Self {
            against,
            found: Verified::default(),
            trail: None,
            sequence: 0,
            prev: LineHash::NONE,
            before: LineHash::NONE,
            last: None,
            at_head: None,
        }
    }

    fn step(&mut self, lines: &mut TrailReader<'_>) -> Result<Step, AuditError> {
        let Some(raw) = lines.next()? else {
            return Ok(Step::End);
        };
        if !raw.is_whole {
            if raw.is_last {
                self.found.torn = raw.bytes.len();
                return Ok(Step::End);
            }
            return Ok(Step::wrong(raw.place, None, None));
        }
        let line = match Line::parse(raw.bytes) {
            Ok(line) => line,
            Err(Unreadable::NoLine) => return Ok(Step::wrong(raw.place, None, None)),
            Err(Unreadable::Newer) => {
                return Ok(Step::wrong(raw.place, None, Some(Tampering::Newer)));
            }
        };
        let hash = LineHash::of(raw.bytes);
        if self.last.is_none()
            && self.against.is_archived
            && matches!(line.kind, LineKind::Begin { .. })
        {
            self.sequence = line.sequence;
            self.prev = line.prev;
            self.found.first = line.sequence;
        }
        let follows = line.sequence == self.sequence && line.prev == self.prev;
        let signature = match &line.kind {
            LineKind::Checkpoint(checkpoint) => self.against.trust.verify(raw.bytes, checkpoint),
            _ => Signature::None,
        };
        let what = if follows {
            match self.accept(&line, hash, &raw.place, &signature) {
                None => return Ok(Step::Next),
                what => what,
            }
        } else {
            None
        };
        let seen = SeenLine {
            sequence: line.sequence,
            prev: line.prev,
            hash,
            is_signed: signature == Signature::Good,
        };
        Ok(Step::wrong(raw.place, Some(seen), what))
    }

    /// Takes in a line that follows from the one before; says what else is wrong with it.
    fn accept(
        &mut self,
        line: &Line,
        hash: LineHash,
        place: &Place,
        signature: &Signature,
    ) -> Option<Tampering> {
        match &line.kind {
            LineKind::Begin { trail } => {
                if self.trail.is_some_and(|known| known != *trail) {
                    return Some(Tampering::Altered);
                }
                self.trail = Some(*trail);
                let head = self.against.head;
                if head.is_some_and(|head| head.trail != *trail) {
                    return Some(Tampering::OtherTrail);
                }
            }
            LineKind::Record(_) => self.found.records += 1,
            LineKind::Checkpoint(checkpoint) => {
                if let Some(wrong) = self.check_signature(checkpoint, signature, line.sequence) {
                    return Some(wrong);
                }
            }
            LineKind::End | LineKind::Recovered => {}
        }
        let trail = match self.trail {
            Some(trail) => trail,
            // The first line begins a trail, or what does is missing.
            None => return Some(Tampering::Altered),
        };
        self.before = mem::replace(&mut self.prev, hash);
        self.sequence = line.sequence.saturating_add(1);
        self.last = Some(place.clone());
        self.found.tail = Some(Tail::new(trail, line.sequence, hash));
        let head = self.against.head;
        if head.is_some_and(|head| head.sequence == line.sequence) {
            self.at_head = Some((place.clone(), hash));
        }
        None
    }

    fn check_signature(
        &mut self,
        checkpoint: &Checkpoint,
        signature: &Signature,
        sequence: u64,
    ) -> Option<Tampering> {
        if self.trail != Some(checkpoint.trail) {
            return Some(Tampering::Altered);
        }
        match signature {
            Signature::Good => {
                self.found.checkpoints += 1;
                self.found.signed_through = Some(sequence);
                None
            }
            Signature::Bad => Some(Tampering::Forged {
                signed_through: self.found.signed_through,
            }),
            Signature::Unknown => Some(Tampering::UnknownSigner {
                signer: checkpoint.signer.clone(),
            }),
            // No key was given.
            Signature::None => None,
        }
    }

    fn finish(self) -> Result<Verified, VerifyTrailError> {
        let finding = |place: Option<Place>, sequence, what| {
            let place = place.unwrap_or(Place {
                file: None,
                line: 0,
            });
            Err(VerifyTrailError::Tampered(Finding {
                place,
                sequence,
                what,
            }))
        };
        let Some(head) = self.against.head else {
            return match self.last {
                Some(last) if self.against.needs_head => {
                    finding(Some(last), self.sequence, Tampering::NoHead)
                }
                _ => Ok(self.found),
            };
        };
        match self.at_head {
            Some((_, hash)) if hash == head.hash => Ok(self.found),
            Some((place, _)) => finding(Some(place), head.sequence, Tampering::NotTheHead),
            None => finding(
                self.last,
                self.sequence,
                Tampering::Truncated {
                    head: head.sequence,
                },
            ),
        }
    }
}

impl Step {
    fn wrong(place: Place, line: Option<SeenLine>, what: Option<Tampering>) -> Self {
        Self::Wrong(Box::new(Wrong { place, line, what }))
    }
}
