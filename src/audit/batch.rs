//! Records that are to be written together.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::checkpoint::CheckpointSigner;
use super::head::{Tail, TrailId};
use super::line::{Entry, LineHash, LineWriter};
use super::{AuditError, AuditKey};
use crate::clock::Timestamp;

/// Records that a sink is to write, all of them or none.
#[derive(Debug)]
pub struct Batch<'a> {
    pub(super) entries: &'a [Entry],
    pub(super) rules: &'a ChainRules,
    pub(super) time: Timestamp,
    /// Whether a checkpoint is to be written whatever the number of lines.
    pub(super) checkpoint: bool,
}

/// What all chains of a trail have in common.
#[derive(Debug)]
pub(super) struct ChainRules {
    pub(super) key: AuditKey,
    pub(super) signer: CheckpointSigner,
    pub(super) checkpoint_every: u64,
    /// Ids of new trails are made from this.
    pub(super) seed: [u8; 16],
    pub(super) begun: AtomicU64,
    /// Whether a checkpoint could not be signed and is still to be made.
    pub(super) overdue: AtomicBool,
}

/// A batch as lines of one chain.
#[derive(Debug)]
pub struct Lines {
    writer: LineWriter,
    trail: TrailId,
    first_record: u64,
    checkpoint: bool,
}

/// What a sink says of a batch that it has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// The sequence of the batch's first record, in a sink that has a chain.
    pub first_record: Option<u64>,
    /// The end of the chain after the batch.
    pub tail: Option<Tail>,
    /// Whether the last line is a checkpoint.
    pub checkpoint: bool,
    /// Whether the first line begins a trail.
    pub(super) begins: bool,
}

impl Appended {
    /// What a sink says that has no chain.
    #[must_use]
    pub fn unchained() -> Self {
        Self {
            first_record: None,
            tail: None,
            checkpoint: false,
            begins: false,
        }
    }
}

impl Batch<'_> {
    /// The records, each a JSON object without its place in a chain.
    pub fn records(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(Entry::as_json)
    }

    /// How many records there are. There may be none, where a checkpoint is to be written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Makes the lines that are to follow `tail`; without one, those of a new trail.
    #[must_use]
    pub fn lines_after(&self, tail: Option<&Tail>) -> Lines {
        let mut lines = match tail {
            Some(tail) => Lines::after(tail),
            None => self.new_trail(),
        };
        self.write(&mut lines);
        lines
    }

    /// The first line of a trail.
    pub(super) fn new_trail(&self) -> Lines {
        Lines::of_new_trail(self.rules.next_trail(), self.time)
    }

    /// The same, with lines before that a sink has to say.
    pub(super) fn write(&self, lines: &mut Lines) {
        lines.first_record = lines.writer.next;
        lines.writer.reserve(self.entries);
        for entry in self.entries {
            lines.writer.record(entry);
        }
        let rules = self.rules;
        let every = rules.checkpoint_every.max(1);
        let crosses = lines.first_record / every != lines.writer.next / every;
        if self.checkpoint || crosses || rules.overdue.load(Ordering::Relaxed) {
            let signed = lines.checkpoint(rules, self.time);
            rules.overdue.store(signed.is_err(), Ordering::Relaxed);
        }
    }
}

impl ChainRules {
    fn next_trail(&self) -> TrailId {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        TrailId::from_bytes((u128::from_be_bytes(self.seed) ^ u128::from(number)).to_be_bytes())
    }
}

impl Lines {
    pub(super) fn after(tail: &Tail) -> Self {
        Self {
            writer: LineWriter::new(tail.sequence.saturating_add(1), tail.hash),
            trail: tail.trail,
            first_record: 0,
            checkpoint: false,
        }
    }

    fn of_new_trail(trail: TrailId, time: Timestamp) -> Self {
        let mut writer = LineWriter::new(0, LineHash::NONE);
        writer.begin(trail, time);
        Self {
            writer,
            trail,
            first_record: 0,
            checkpoint: false,
        }
    }

    /// The sequence of the first line.
    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        let count = self.writer.ends.len() as u64;
        self.writer.next.saturating_sub(count)
    }

    /// All lines, each with its line feed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.writer.bytes
    }

    /// The lines one by one, each with its line feed.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.writer.ends.iter().copied());
        starts
            .zip(&self.writer.ends)
            .filter_map(|(start, &end)| self.writer.bytes.get(start..end))
    }

    /// The end of the chain after them.
    #[must_use]
    pub fn tail(&self) -> Tail {
        let last = self.writer.next.saturating_sub(1);
        Tail::new(self.trail, last, self.writer.prev)
    }

    /// What a sink says when it has written them.
    #[must_use]
    pub fn appended(&self) -> Appended {
        Appended {
            first_record: Some(self.first_record),
            tail: Some(self.tail()),
            checkpoint: self.checkpoint,
            begins: self.first_sequence() == 0,
        }
    }

    pub(super) fn writer(&mut self) -> &mut LineWriter {
        &mut self.writer
    }

    pub(super) fn trail(&self) -> TrailId {
        self.trail
    }

    fn checkpoint(&mut self, rules: &ChainRules, time: Timestamp) -> Result<(), AuditError> {
        let names = rules.signer.names();
        self.writer.checkpoint(self.trail, time, names, |line| {
            rules.signer.sign(line, &rules.key)
        })?;
        self.checkpoint = true;
        Ok(())
    }
}
