//! Many messages, in files or anywhere else.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;

use super::error::{At, RewrapFileError};
use super::journal::{Journal, Keys, Pending};
use super::pace::Pace;
use super::pipeline::Pipeline;
use super::report::RewrapReport;
use super::sealed_file::{JOURNAL_SUFFIX, SealedFile};
use super::{Rewrap, Rewrapped};
use crate::context::EncryptionContext;
use crate::envelope::EnvelopeEncryptor;
use crate::error::Error;
use crate::format::{FormatError, check_newer};
use crate::front::Front;
use crate::inventory::files_in;

/// Rewraps many messages: those in a directory, or any that an iterator gives.
///
/// What is as it should be is left alone, so a run that was stopped, killed or cut off from power is
/// gone on with by running it again. See [`Rewrap`] for what it does to each.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// use waxseal::{
///     EncryptionContext, Envelope, EnvelopeEncryptor, Rewrap, RewrapJob, RootKey, SingleKeyring,
/// };
///
/// let (old, new) = (RootKey::generate()?, RootKey::generate()?);
/// let envelope = Envelope::new(SingleKeyring::software(&old));
/// let context = EncryptionContext::new([("tenant", "acme")])?;
/// let sealed = envelope.encrypt(b"the payload", &context)?;
/// std::fs::write(directory.path().join("sealed"), sealed)?;
///
/// let report = RewrapJob::new(&envelope, Rewrap::to(SingleKeyring::software(&new)))
///     .run_directory(directory.path(), |_path| Some(context.clone()))?;
/// assert_eq!(report.rewrapped, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Files
///
/// A header that keeps its length, or that [room](crate::Envelope::with_room) was reserved for, is
/// overwritten in place: 256 at a time, after the old and the new ones were made durable in a journal
/// in the directory, `.waxseal-rewrap`. A thread does so while the next ones are prepared, so that up
/// to 512 files are open. Otherwise the file is copied behind its new header; if somebody has replaced
/// or removed it meanwhile, that is left so, and the file has failed. A power cut can leave a header
/// half overwritten; the next run, with the same keys, makes it whole first.
///
/// While it runs, nobody else should write the files in place; to replace them by new ones is safe,
/// and so is to read them. Locks (`flock`) keep two rewraps apart. The date of a file is that of its
/// last rewrap, so that backups take it in.
pub struct RewrapJob<'a> {
    envelope: &'a dyn EnvelopeEncryptor,
    change: Rewrap,
    dry_run: bool,
    per_second: Option<NonZeroU32>,
    progress: Option<Progress<'a>>,
}

type Progress<'a> = Box<dyn FnMut(&RewrapReport) -> ControlFlow<()> + 'a>;

/// Files that are busy are looked at again, so many at a time.
const MAX_ASIDE: usize = 256;

impl<'a> RewrapJob<'a> {
    /// Rewraps what `envelope` can open, as `change` says.
    #[must_use]
    pub fn new(envelope: &'a dyn EnvelopeEncryptor, change: Rewrap) -> Self {
        Self {
            envelope,
            change,
            dry_run: false,
            per_second: None,
            progress: None,
        }
    }

    /// Writes nothing, and counts what would be rewrapped. Everything is opened and wrapped as it
    /// would be, so what would fail does.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Looks at no more than so many a second.
    #[must_use]
    pub fn with_rate_limit(mut self, per_second: NonZeroU32) -> Self {
        self.per_second = Some(per_second);
        self
    }

    /// Calls `progress` before each that is looked at, with what is done so far. It stops the job by
    /// [`ControlFlow::Break`]; what was begun is finished first.
    #[must_use]
    pub fn with_progress(
        mut self,
        progress: impl FnMut(&RewrapReport) -> ControlFlow<()> + 'a,
    ) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Rewraps the files in a directory and in all directories in it. `context` gives the context of
    /// each; a file for which it gives none is skipped. Links are not followed, and files that are no
    /// messages are left alone.
    ///
    /// # Errors
    ///
    /// [`RewrapFileError`] when the journal cannot be written or gone on with, or headers not be made
    /// durable: the next run goes on. What fails with one file is in the
    /// [report](RewrapReport::failures).
    pub fn run_directory(
        mut self,
        path: impl AsRef<Path>,
        context: impl Fn(&Path) -> Option<EncryptionContext>,
    ) -> Result<RewrapReport, RewrapFileError> {
        let path = path.as_ref();
        let mut report = self.report();
        let mut journal = None;
        if !self.dry_run {
            let keys = Keys {
                envelope: self.envelope,
                context: &context,
            };
            let (opened, recovered) = Journal::open(path.join(JOURNAL_SUFFIX), &keys)?;
            report.recovered = recovered;
            journal = Some(opened);
        } else {
            std::fs::read_dir(path).at("read", path)?;
        }
        thread::scope(|scope| {
            let pipeline = |journal| Pipeline::new(scope, journal);
            let pipeline = journal.as_ref().map(pipeline);
            self.run_files(path, &context, pipeline, &mut report)
        })?;
        journal.map_or(Ok(()), Journal::close)?;
        Ok(report)
    }

    fn run_files(
        &mut self,
        directory: &Path,
        context: &impl Fn(&Path) -> Option<EncryptionContext>,
        mut pipeline: Option<Pipeline<'_, '_>>,
        report: &mut RewrapReport,
    ) -> Result<(), RewrapFileError> {
        let mut pace = Pace::new(self.per_second);
        let mut front = Front::default();
        let mut aside = Vec::new();
        for file in files_in(directory) {
            if let Some(pipeline) = &mut pipeline {
                pipeline.collect(report)?;
            }
            if self.is_stopped(report) {
                break;
            }
            pace.wait();
            report.looked_at += 1;
            let file = match file {
                Ok(file) => file.into_path(),
                Err(error) => {
                    let path = error.path().unwrap_or(directory);
                    report.fail(path.display(), &error);
                    continue;
                }
            };
            let looked = self.look_at(&file, &mut front, context, report);
            match (looked, &mut pipeline) {
                (Ok(Some(pending)), Some(pipeline)) => pipeline.push(pending, report)?,
                (Ok(_), _) => {}
                // By ourselves, if it has two names.
                (Err(RewrapFileError::Busy { .. }), Some(pipeline)) if pipeline.has_files() => {
                    aside.push(file);
                    if aside.len() == MAX_ASIDE {
                        self.look_again(&mut aside, context, pipeline, report)?;
                    }
                }
                (Err(error), _) => report.fail(file.display(), &error),
            }
        }
        match &mut pipeline {
            Some(pipeline) => self.look_again(&mut aside, context, pipeline, report),
            None => Ok(()),
        }
    }

    /// Makes durable what is on its way, then looks again at what was busy, and makes that durable.
    fn look_again(
        &self,
        aside: &mut Vec<PathBuf>,
        context: &impl Fn(&Path) -> Option<EncryptionContext>,
        pipeline: &mut Pipeline<'_, '_>,
        report: &mut RewrapReport,
    ) -> Result<(), RewrapFileError> {
        pipeline.finish(report)?;
        let mut front = Front::default();
        for file in aside.drain(..) {
            match self.look_at(&file, &mut front, context, report) {
                Ok(Some(pending)) => pipeline.push(pending, report)?,
                Ok(None) => {}
                Err(error) => report.fail(file.display(), &error),
            }
        }
        pipeline.finish(report)
    }

    /// Rewraps what an iterator gives: for each a name, its header or message or its front, and its
    /// context. `store` is called with what is to be put in the place of the old header, if it is
    /// another one, and makes it durable: a row is updated, for instance, if it is still as it was.
    ///
    /// Errors of the iterator and of `store` are in the report, as failures, and end nothing.
    pub fn run<I, B, E>(
        mut self,
        items: impl IntoIterator<Item = Result<(I, B, EncryptionContext), E>>,
        mut store: impl FnMut(&I, Rewrapped) -> Result<(), E>,
    ) -> RewrapReport
    where
        I: fmt::Display,
        B: AsRef<[u8]>,
        E: std::error::Error,
    {
        let mut report = self.report();
        let mut pace = Pace::new(self.per_second);
        for item in items {
            if self.is_stopped(&mut report) {
                break;
            }
            pace.wait();
            report.looked_at += 1;
            let (name, header, context) = match item {
                Ok(item) => item,
                Err(error) => {
                    report.fail("an item", &error);
                    continue;
                }
            };
            let rewrapped = self
                .envelope
                .rewrap_with(header.as_ref(), &context, &self.change);
            match rewrapped {
                Ok(rewrapped) if !rewrapped.is_changed => report.current += 1,
                Ok(rewrapped) => {
                    let in_place = rewrapped.fits_in_place();
                    let len = rewrapped.header.len();
                    if !self.dry_run {
                        if let Err(error) = store(&name, rewrapped) {
                            report.fail(&name, &error);
                            continue;
                        }
                        report.bytes_written += len as u64;
                    }
                    report.rewrapped += 1;
                    report.in_place += u64::from(in_place);
                }
                Err(error) if is_other(&error) && check_newer(header.as_ref()).is_err() => {
                    report.other += 1;
                }
                Err(error) => report.fail(&name, &error),
            }
        }
        report
    }

    fn report(&self) -> RewrapReport {
        RewrapReport {
            dry_run: self.dry_run,
            ..RewrapReport::default()
        }
    }

    fn is_stopped(&mut self, report: &mut RewrapReport) -> bool {
        let progress = self.progress.as_mut();
        report.stopped = progress.is_some_and(|progress| progress(report).is_break());
        report.stopped
    }

    /// Rewraps a file, or gives it back to be overwritten together with others.
    fn look_at(
        &self,
        path: &Path,
        front: &mut Front,
        context: &impl Fn(&Path) -> Option<EncryptionContext>,
        report: &mut RewrapReport,
    ) -> Result<Option<Pending>, RewrapFileError> {
        let Some(context) = context(path) else {
            report.skipped += 1;
            return Ok(None);
        };
        let file = SealedFile::open(path)?;
        file.read(front)?;
        let is_other = front.header().is_err_and(|error| is_other_format(&error));
        if is_other && !front.is_newer() {
            report.other += 1;
            return Ok(None);
        }
        let rewrapped = file.rewrapped(self.envelope, front, &context, &self.change)?;
        if !rewrapped.is_changed {
            report.current += 1;
            return Ok(None);
        }
        let in_place = rewrapped.fits_in_place();
        if in_place && !self.dry_run {
            return Ok(Some(Pending::new(file, front, rewrapped)));
        }
        if !self.dry_run {
            report.bytes_written += file.splice(&rewrapped)?;
        }
        report.rewrapped += 1;
        report.in_place += u64::from(in_place);
        Ok(None)
    }
}

impl fmt::Debug for RewrapJob<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RewrapJob")
            .field("envelope", &self.envelope)
            .field("change", &self.change)
            .field("dry_run", &self.dry_run)
            .field("per_second", &self.per_second)
            .finish_non_exhaustive()
    }
}

fn is_other(error: &Error) -> bool {
    matches!(error, Error::Format(error) if is_other_format(error))
}

/// Whether it is no message that is known here. What was cut or damaged is one that fails.
fn is_other_format(error: &FormatError) -> bool {
    matches!(
        error,
        FormatError::NotAMessage
            | FormatError::UnsupportedVersion { .. }
            | FormatError::UnsupportedSuite { .. }
            | FormatError::Truncated { field: "version" }
    )
}
