//! The modules that this process has loaded, each once.

mod backoff;
mod load;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{
    Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::Instant;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};

use self::backoff::Backoff;
use super::config::Reinitialise;
use super::error::Pkcs11Error;
use super::failure::Failure;
use super::pin::{Credential, PinFailure};
use crate::fork::{ForkableState, PerProcess};

/// A loaded module. There is one for each file, whoever in this crate uses it: initialising it anew
/// concerns them all.
pub(super) struct Module {
    path: PathBuf,
    running: PerProcess<Running>,
}

/// A module as this process has it; a forked child initialises it for itself.
struct Running {
    context: Pkcs11,
    /// Read by whoever calls a function, written by whoever initialises the module.
    state: RwLock<State>,
    backoff: Mutex<Backoff>,
    /// Whether it has worked since it was last initialised anew. No lock, since it is set by those
    /// who have entered.
    has_worked: AtomicBool,
    refused_logins: Mutex<Vec<RefusedLogin>>,
    /// Connections of this process that use it.
    users: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// Another number each time the module is initialised: handles do not outlive it.
    epoch: u64,
    initialised: Option<By>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Us,
    Others,
}

#[derive(Clone)]
struct RefusedLogin {
    serial: String,
    credential: Credential,
    failure: PinFailure,
}

/// A module that is initialised and stays so until this is dropped.
pub(super) struct Entered<'a> {
    running: &'a Running,
    state: RwLockReadGuard<'a, State>,
}

impl Module {
    /// Loads a module, or finds it among those loaded.
    pub(super) fn load(path: &Path) -> Result<Arc<Self>, Pkcs11Error> {
        let path = path.canonicalize().map_err(|_| Pkcs11Error::NoSuchModule {
            path: path.to_owned(),
        })?;
        let mut modules = lock(&MODULES.get().0);
        if let Some(module) = modules.get(&path) {
            return Ok(Arc::clone(module));
        }
        let module = Arc::new(Self {
            running: PerProcess::new(Running::new(load::load(&path)?)),
            path: path.clone(),
        });
        modules.insert(path, Arc::clone(&module));
        Ok(module)
    }

    /// Initialises the module if that was not done, and keeps it so.
    ///
    /// A thread that has entered must not enter again.
    pub(super) fn enter(&self) -> Result<Entered<'_>, Failure> {
        let running = self.running.get();
        loop {
            let state = running.read();
            if state.initialised.is_some() {
                return Ok(Entered { running, state });
            }
            drop(state);
            let mut backoff = lock(&running.backoff);
            let mut state = running.write();
            if state.initialised.is_none() {
                backoff
                    .begin(Instant::now())
                    .map_err(|after| Pkcs11Error::Waiting {
                        after,
                        reason: "C_Initialize failed".to_owned(),
                    })?;
                state.initialised = Some(initialise(&running.context)?);
                state.epoch = next_epoch();
            }
        }
    }

    /// Enters, if the module was not initialised anew since an epoch.
    pub(super) fn enter_epoch(&self, epoch: u64) -> Option<Entered<'_>> {
        let running = self.running.get();
        let state = running.read();
        (state.epoch == epoch && state.initialised.is_some()).then_some(Entered { running, state })
    }

    /// Initialises the module anew, unless somebody has since the epoch `failed`. Others wait.
    pub(super) fn reinitialise(
        &self,
        failed: u64,
        permission: Reinitialise,
        failure: &Failure,
    ) -> Result<(), Failure> {
        let running = self.running.get();
        let mut backoff = lock(&running.backoff);
        let state = *running.read();
        if state.epoch != failed {
            return Ok(());
        }
        let is_finalised = failure.says_not_initialised();
        let is_allowed = match permission {
            Reinitialise::Always => true,
            Reinitialise::IfOurs => state.initialised == Some(By::Us),
            Reinitialise::Never => false,
        };
        if !is_allowed && !is_finalised {
            return Err(Failure::Runtime(Pkcs11Error::NotOurs {
                reason: failure.reason(),
            }));
        }
        if running.has_worked.swap(false, Ordering::Relaxed) {
            backoff.reset();
        }
        backoff
            .begin(Instant::now())
            .map_err(|after| Pkcs11Error::Waiting {
                after,
                reason: failure.reason(),
            })?;
        let mut state = running.write();
        if !is_finalised {
            finalise(&running.context);
        }
        state.epoch = next_epoch();
        state.initialised = None;
        state.initialised = Some(initialise(&running.context)?);
        Ok(())
    }

    pub(super) fn add_user(&self) {
        self.running.get().users.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_user(&self) {
        self.running.get().users.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn has_several_users(&self) -> bool {
        self.running.get().users.load(Ordering::Relaxed) > 1
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How the token refused a login like this before, if it did.
    pub(super) fn refusal(&self, serial: &str, credential: &Credential) -> Option<PinFailure> {
        let refused = lock(&self.running.get().refused_logins);
        let mut refused = refused.iter();
        let like =
            refused.find(|login| login.serial == serial && login.credential.is_same_as(credential));
        like.map(|login| login.failure)
    }

    pub(super) fn remember_refusal(
        &self,
        serial: &str,
        credential: &Credential,
        failure: PinFailure,
    ) {
        lock(&self.running.get().refused_logins).push(RefusedLogin {
            serial: serial.to_owned(),
            credential: credential.clone(),
            failure,
        });
    }

    pub(super) fn forget_refusals(&self, serial: &str) {
        lock(&self.running.get().refused_logins).retain(|login| login.serial != serial);
    }
}

impl Running {
    fn new(context: Pkcs11) -> Self {
        Self {
            context,
            state: RwLock::new(State {
                epoch: 0,
                initialised: None,
            }),
            backoff: Mutex::default(),
            has_worked: AtomicBool::new(false),
            refused_logins: Mutex::default(),
            users: AtomicUsize::new(0),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entered<'_> {
    pub(super) fn context(&self) -> &Pkcs11 {
        &self.running.context
    }

    pub(super) fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// The module works: should it fail again, it is initialised anew at once.
    pub(super) fn works(&self) {
        self.running.has_worked.store(true, Ordering::Relaxed);
    }
}

static MODULES: LazyLock<PerProcess<Modules>> =
    LazyLock::new(|| PerProcess::new(Modules::default()));

#[derive(Default)]
struct Modules(Mutex<HashMap<PathBuf, Arc<Module>>>);

impl ForkableState for Modules {
    fn for_child(&self) -> Self {
        let modules = self.0.try_lock().map(|modules| modules.clone());
        Self(Mutex::new(modules.unwrap_or_default()))
    }

    fn try_clear(&self) -> bool {
        false
    }
}

impl ForkableState for Running {
    fn for_child(&self) -> Self {
        let refused = self.refused_logins.try_lock().map(|logins| logins.clone());
        Self {
            refused_logins: Mutex::new(refused.unwrap_or_default()),
            ..Self::new(self.context.clone())
        }
    }

    fn try_clear(&self) -> bool {
        false
    }
}

/// Epochs of all modules have different numbers, in a process and its children.
fn next_epoch() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

fn initialise(context: &Pkcs11) -> Result<By, Failure> {
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) => Ok(By::Us),
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, Function::Initialize)) => {
            Ok(By::Others)
        }
        Err(error) => Err(error.into()),
    }
}

/// A module that cannot even be finalised is initialised all the same: that tells what is wrong.
fn finalise(context: &Pkcs11) {
    let _ = context.clone().finalize();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
