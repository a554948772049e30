//! Headers are made durable by one thread while another prepares the next ones.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use super::error::{At, RewrapFileError};
use super::journal::{Journal, Pending};
use super::report::RewrapReport;

/// Headers that are overwritten together. Their files are open meanwhile, and so are as many more
/// whose headers are being prepared: half of the 1024 that a process is commonly allowed.
const BATCH: usize = 256;

/// Headers on their way to be overwritten: one batch is, the next is being prepared. Dropping it
/// lets its thread finish what it began.
pub(super) struct Pipeline<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    journal: &'env Journal,
    prepared: Vec<Pending>,
    /// Once there is more than one batch.
    overwriter: Option<Overwriter>,
    /// Whether the overwriter has a batch of which nothing was heard yet.
    is_overwriting: bool,
}

impl<'scope, 'env> Pipeline<'scope, 'env> {
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, journal: &'env Journal) -> Self {
        Self {
            scope,
            journal,
            prepared: Vec::new(),
            overwriter: None,
            is_overwriting: false,
        }
    }

    /// Takes a header that is prepared. If that completes a batch, waits until the one before is
    /// durable, since they share a journal, and begins with it.
    pub(super) fn push(
        &mut self,
        pending: Pending,
        report: &mut RewrapReport,
    ) -> Result<(), RewrapFileError> {
        self.prepared.push(pending);
        if self.prepared.len() < BATCH {
            return Ok(());
        }
        self.wait(report)?;
        if self.overwriter.is_none() {
            self.overwriter = Overwriter::start(self.scope, self.journal).ok();
        }
        match &self.overwriter {
            Some(overwriter) => {
                let batch = std::mem::replace(&mut self.prepared, Vec::with_capacity(BATCH));
                self.is_overwriting = true;
                overwriter.begin(batch).at("write", self.journal.path())
            }
            // There can be no more threads.
            None => self.overwrite_prepared(report),
        }
    }

    /// Reports what has become durable by now. Where that failed, it is known here.
    pub(super) fn collect(&mut self, report: &mut RewrapReport) -> Result<(), RewrapFileError> {
        let done = self.overwriter.as_ref().and_then(Overwriter::done);
        done.map_or(Ok(()), |done| self.add(done, report))
    }

    /// Whether files are open, and locked.
    pub(super) fn has_files(&self) -> bool {
        self.is_overwriting || !self.prepared.is_empty()
    }

    /// Makes all that is prepared durable.
    pub(super) fn finish(&mut self, report: &mut RewrapReport) -> Result<(), RewrapFileError> {
        self.wait(report)?;
        self.overwrite_prepared(report)
    }

    fn wait(&mut self, report: &mut RewrapReport) -> Result<(), RewrapFileError> {
        match &self.overwriter {
            Some(overwriter) if self.is_overwriting => {
                let done = overwriter.wait().at("write", self.journal.path())?;
                self.add(done, report)
            }
            _ => Ok(()),
        }
    }

    fn overwrite_prepared(&mut self, report: &mut RewrapReport) -> Result<(), RewrapFileError> {
        if self.prepared.is_empty() {
            return Ok(());
        }
        let done = overwrite(self.journal, std::mem::take(&mut self.prepared));
        self.add(done, report)
    }

    fn add(&mut self, done: Done, report: &mut RewrapReport) -> Result<(), RewrapFileError> {
        self.is_overwriting = false;
        let Overwritten { batch, bytes } = done?;
        report.bytes_written += bytes;
        report.rewrapped += batch.len() as u64;
        report.in_place += batch.len() as u64;
        Ok(())
    }
}

type Done = Result<Overwritten, RewrapFileError>;

struct Overwritten {
    /// Its files are closed by who prepares, since making durable takes longer.
    batch: Vec<Pending>,
    bytes: u64,
}

/// A thread that overwrites one batch after the other.
struct Overwriter {
    batches: SyncSender<Vec<Pending>>,
    done: Receiver<Done>,
}

impl Overwriter {
    fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        journal: &'env Journal,
    ) -> io::Result<Self> {
        let (batches, to_overwrite) = sync_channel(1);
        let (tell, done) = sync_channel(1);
        thread::Builder::new().spawn_scoped(scope, move || {
            let mut overwritten = to_overwrite
                .into_iter()
                .map(|batch| overwrite(journal, batch));
            // Nobody listens when the job has ended.
            let _ = overwritten.try_for_each(|done| tell.send(done));
        })?;
        Ok(Self { batches, done })
    }

    fn begin(&self, batch: Vec<Pending>) -> io::Result<()> {
        self.batches.send(batch).map_err(io::Error::other)
    }

    fn done(&self) -> Option<Done> {
        self.done.try_recv().ok()
    }

    /// Fails if the thread panicked, which its scope then passes on.
    fn wait(&self) -> io::Result<Done> {
        self.done.recv().map_err(io::Error::other)
    }
}

fn overwrite(journal: &Journal, batch: Vec<Pending>) -> Done {
    let bytes = journal.overwrite(&batch)?;
    Ok(Overwritten { batch, bytes })
}
