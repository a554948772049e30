//! What became of each wrapped key of a message that did not open.

use std::fmt;

use serde::Serialize;
use smallvec::SmallVec;

use super::{DecryptionMaterials, Keyring, Unwrapped};
use crate::error::Error;
use crate::format::{KeyEntries, KeyEntriesBuf, KeyEntry, KeyReference};
use crate::provider::ProviderError;

/// What became of each wrapped key of a message that a keyring of several keys did not open, in the
/// order of the message.
///
/// It holds no secret and no context, and nothing that an attacker does not know: why a wrapped key
/// did not open is never told, and where cryptography alone refused there is no report but
/// [`Error::Decrypt`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenReport {
    entries: Vec<EntryReport>,
}

/// What became of one wrapped key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryReport {
    /// The key that the message names. Not authenticated.
    pub key: KeyReference,
    /// What became of it.
    pub outcome: EntryOutcome,
}

/// What became of a wrapped key when a message was to be opened.
///
/// Where several keyrings tried the same one, the last of these in this order is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EntryOutcome {
    /// No keyring holds the key. Nothing was tried.
    NotMine,
    /// It did not open, or gave no data key of this message: a wrong key or context, or changed
    /// bytes. There is no telling which.
    DidNotOpen,
    /// It is a share whose key is held, and too few other shares were to be had.
    TooFewShares,
    /// The key cannot be used: it is disabled or destroyed, for instance.
    Unusable,
    /// A policy forbids the use of the key.
    Denied,
    /// The provider of the key, or its store, could not be reached in time. Trying again may help.
    Unavailable,
}

impl OpenReport {
    /// The wrapped keys, in the order of the message.
    #[must_use]
    pub fn entries(&self) -> &[EntryReport] {
        &self.entries
    }

    /// Whether a wrapped key may open later, with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.outcome == EntryOutcome::Unavailable)
    }
}

/// What keyrings said to the wrapped keys of one message.
pub(crate) struct Trials<'a> {
    entries: KeyEntries<'a>,
    outcomes: SmallVec<[EntryOutcome; 16]>,
    /// Of what failed, what tells most.
    telling: Option<Error>,
}

impl<'a> Trials<'a> {
    pub(crate) fn new(entries: KeyEntries<'a>) -> Self {
        Self {
            entries,
            outcomes: SmallVec::from_elem(EntryOutcome::NotMine, entries.count()),
            telling: None,
        }
    }

    /// A keyring that was asked for all of the wrapped keys failed.
    pub(crate) fn failed(&mut self, keyring: &dyn Keyring, error: Error) {
        self.failed_with(|entry| keyring.holds(entry), error);
    }

    /// Who was asked for all of the wrapped keys, and tried those that `holds` names, failed.
    pub(crate) fn failed_with(&mut self, holds: impl Fn(&KeyEntry<'_>) -> bool, error: Error) {
        match &error {
            Error::NotOpened { report, .. } if report.entries.len() == self.outcomes.len() => {
                for (number, entry) in report.entries.iter().enumerate() {
                    self.note(number, entry.outcome);
                }
            }
            _ => {
                let outcome = EntryOutcome::of(&error);
                for (number, entry) in self.entries.iter().enumerate() {
                    if holds(&entry) {
                        self.note(number, outcome);
                    }
                }
            }
        }
        self.keep_telling(error);
    }

    /// What became of one of the wrapped keys.
    pub(crate) fn note(&mut self, number: usize, outcome: EntryOutcome) {
        if let Some(noted) = self.outcomes.get_mut(number) {
            *noted = outcome.max(*noted);
        }
    }

    /// Takes what was said to some of the wrapped keys, which have these numbers.
    pub(crate) fn take_over(&mut self, some: Trials<'_>, numbers: &[usize]) {
        for (outcome, number) in some.outcomes.iter().zip(numbers) {
            self.note(*number, *outcome);
        }
        if let Some(error) = some.telling {
            self.keep_telling(error);
        }
    }

    /// Keeps what tells most: a failure of cryptography gives way to anything else, and what is for
    /// good to what may pass.
    pub(crate) fn keep_telling(&mut self, error: Error) {
        let tells_more = match &self.telling {
            None | Some(Error::Decrypt) => true,
            Some(kept) => error.is_retryable() && !kept.is_retryable(),
        };
        if tells_more {
            self.telling = Some(error);
        }
    }

    /// What to say when no data key was found.
    pub(crate) fn end(self) -> Result<Unwrapped, Error> {
        match self.telling {
            None => Ok(Unwrapped::NotMine),
            Some(error @ (Error::Decrypt | Error::TooFewShares { .. })) => Err(error),
            Some(error) => Err(Error::NotOpened {
                report: report(self.entries, &self.outcomes),
                source: Box::new(innermost(error)),
            }),
        }
    }
}

/// Some of the wrapped keys of a message, with their numbers in it.
pub(crate) struct Subset {
    pub(crate) entries: KeyEntriesBuf,
    numbers: SmallVec<[usize; 16]>,
}

impl Subset {
    pub(crate) fn new() -> Self {
        Self {
            entries: KeyEntriesBuf::new(),
            numbers: SmallVec::new(),
        }
    }

    /// Adds the wrapped key of that number, as one under `key`.
    pub(crate) fn push(
        &mut self,
        number: usize,
        key: &KeyReference,
        wrapped: &[u8],
    ) -> Result<(), Error> {
        self.entries.push(key, wrapped)?;
        self.numbers.push(number);
        Ok(())
    }

    pub(crate) fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    /// What a keyring said to these, as said to all wrapped keys of the message.
    pub(crate) fn widen(
        &self,
        said: Result<Unwrapped, Error>,
        all: KeyEntries<'_>,
    ) -> Result<Unwrapped, Error> {
        match said {
            Ok(Unwrapped::Done(materials)) => {
                let number = self.numbers.get(materials.entry()).copied();
                let (data_key, entry) = materials.into_shared_parts();
                Ok(Unwrapped::Done(DecryptionMaterials::shared(
                    data_key,
                    number.unwrap_or(entry),
                )))
            }
            Err(Error::NotOpened {
                report: told,
                source,
            }) => {
                let mut outcomes: SmallVec<[_; 16]> =
                    SmallVec::from_elem(EntryOutcome::NotMine, all.count());
                for (entry, number) in told.entries.iter().zip(&self.numbers) {
                    if let Some(outcome) = outcomes.get_mut(*number) {
                        *outcome = entry.outcome;
                    }
                }
                let report = report(all, &outcomes);
                Err(Error::NotOpened { report, source })
            }
            other => other,
        }
    }
}

impl EntryOutcome {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Decrypt => Self::DidNotOpen,
            Error::TooFewShares { .. } => Self::TooFewShares,
            Error::Provider(ProviderError::Denied { .. }) => Self::Denied,
            Error::Kms(error) if error.is_denied() => Self::Denied,
            error if error.is_retryable() => Self::Unavailable,
            _ => Self::Unusable,
        }
    }
}

fn report(entries: KeyEntries<'_>, outcomes: &[EntryOutcome]) -> OpenReport {
    OpenReport {
        entries: entries
            .iter()
            .zip(outcomes)
            .map(|(entry, outcome)| EntryReport {
                key: entry.reference(),
                outcome: *outcome,
            })
            .collect(),
    }
}

/// The error that a report inside stands for: one report is enough.
fn innermost(error: Error) -> Error {
    match error {
        Error::NotOpened { source, .. } => *source,
        other => other,
    }
}

impl fmt::Display for OpenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, entry) in self.entries.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", entry.key, entry.outcome)?;
        }
        Ok(())
    }
}

impl fmt::Display for EntryOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotMine => "not mine",
            Self::DidNotOpen => "did not open",
            Self::TooFewShares => "too few shares",
            Self::Unusable => "not usable",
            Self::Denied => "denied by policy",
            Self::Unavailable => "unavailable",
        })
    }
}

impl Serialize for EntryReport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut entry = serializer.serialize_struct("EntryReport", 2)?;
        entry.serialize_field("key", &self.key.to_string())?;
        entry.serialize_field("outcome", &self.outcome)?;
        entry.end()
    }
}
