//! What became of a line that does not follow from the one before: told by what comes after it.

use super::super::line::LineHash;
use super::super::parse::Line;
use super::super::read::TrailReader;
use super::{Finding, SeenLine, Tampering, Walk, Wrong};

/// What the lines after a wrong one tell.
#[derive(Default)]
struct Rest {
    /// The next line, if it can be read.
    next: Option<SeenLine>,
    has_expected: bool,
    has_found_again: bool,
}

impl Walk<'_> {
    pub(super) fn classify(&self, wrong: Wrong, lines: &mut TrailReader<'_>) -> Finding {
        let here = |what| Finding {
            place: wrong.place.clone(),
            sequence: self.sequence,
            what,
        };
        if let Some(what) = wrong.what {
            return here(what);
        }
        let found = wrong.line.map(|line| line.sequence);
        let rest = Rest::read(lines, self.sequence, found);
        let goes_on_here = rest
            .next
            .is_some_and(|next| (next.sequence, next.prev) == (self.sequence, self.prev));
        let Some(line) = wrong.line else {
            return here(if goes_on_here {
                Tampering::Added
            } else {
                Tampering::Altered
            });
        };
        let is_last_line_added =
            self.sequence.checked_sub(1) == Some(line.sequence) && line.prev == self.before;
        if is_last_line_added {
            // Two lines for one place.
            return if self.is_confirmed(&line, &rest) && line.hash != self.prev {
                self.at_last_line(Tampering::Added)
            } else {
                here(Tampering::Added)
            };
        }
        if self.last.is_none() && line.sequence == self.sequence {
            return here(Tampering::Altered);
        }
        match (line.sequence == self.sequence, line.prev == self.prev) {
            (_, true) => here(Tampering::Altered),
            (true, false) if self.is_confirmed(&line, &rest) => {
                self.at_last_line(Tampering::Altered)
            }
            (true, false) => here(Tampering::Altered),
            (false, false) => here(self.misplaced(&line, &rest)),
        }
    }

    fn misplaced(&self, line: &SeenLine, rest: &Rest) -> Tampering {
        if line.sequence < self.sequence || (rest.has_expected && rest.has_found_again) {
            return Tampering::Added;
        }
        if rest.has_expected {
            return Tampering::Reordered {
                belongs: line.sequence,
            };
        }
        let stands_for_expected = rest
            .next
            .is_some_and(|next| next.sequence.checked_sub(1) == Some(self.sequence));
        if stands_for_expected {
            Tampering::Altered
        } else {
            Tampering::Missing {
                until: line.sequence.saturating_sub(1),
            }
        }
    }

    /// Whether what comes later says that the line is as it was written.
    fn is_confirmed(&self, line: &SeenLine, rest: &Rest) -> bool {
        let by_head = self
            .against
            .head
            .filter(|head| head.sequence == line.sequence)
            .map(|head| head.hash == line.hash);
        let by_next = rest.next.map(|next| next.prev == line.hash);
        // Of the last two lines, if nothing else is known, the one before has more that can be changed.
        line.is_signed || by_head.or(by_next).unwrap_or(true)
    }

    fn at_last_line(&self, what: Tampering) -> Finding {
        Finding {
            place: self.last.clone().unwrap_or(super::Place {
                file: None,
                line: 0,
            }),
            sequence: self.sequence.saturating_sub(1),
            what,
        }
    }
}

impl Rest {
    fn read(lines: &mut TrailReader<'_>, expected: u64, found: Option<u64>) -> Self {
        let mut rest = Self::default();
        let mut is_first = true;
        // What cannot be read any more tells nothing.
        while let Ok(Some(raw)) = lines.next() {
            let line = Line::parse(raw.bytes).ok().filter(|_| raw.is_whole);
            if let Some(line) = &line {
                rest.has_expected |= line.sequence == expected;
                rest.has_found_again |= Some(line.sequence) == found;
            }
            if is_first {
                rest.next = line.map(|line| SeenLine {
                    sequence: line.sequence,
                    prev: line.prev,
                    hash: LineHash::of(raw.bytes),
                    is_signed: false,
                });
                is_first = false;
            }
        }
        rest
    }
}
