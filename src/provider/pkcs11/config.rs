//! Which token, and how to use it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cryptoki::context::Pkcs11;

use super::error::Pkcs11Error;
use super::failure::Failure;
use super::pin::PinSource;
use super::slot::TokenSelector;
use super::uri::Pkcs11Uri;

/// Which token a [`Pkcs11KeyProvider`](super::Pkcs11KeyProvider) uses, and how.
///
/// ```no_run
/// use waxseal::pkcs11::{Pkcs11Config, PinSource};
///
/// let config = Pkcs11Config::new("/usr/lib/softhsm/libsofthsm2.so")
///     .with_token_label("production")
///     .with_pin(PinSource::file("/etc/app/pin"));
/// // or, the same in one text:
/// let config = Pkcs11Config::from_uri(
///     "pkcs11:token=production?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/etc/app/pin",
/// )?;
/// # Ok::<(), waxseal::pkcs11::Pkcs11Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pkcs11Config {
    pub(super) module: PathBuf,
    pub(super) library: LibrarySelector,
    pub(super) token: TokenSelector,
    pub(super) pin: Option<PinSource>,
    pub(super) max_sessions: usize,
    pub(super) session_wait: Duration,
    pub(super) reinitialise: Reinitialise,
}

/// What the module must say of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LibrarySelector {
    pub(super) manufacturer: Option<String>,
    pub(super) description: Option<String>,
    pub(super) version: Option<String>,
}

impl LibrarySelector {
    pub(super) fn check(&self, context: &Pkcs11) -> Result<(), Failure> {
        if *self == Self::default() {
            return Ok(());
        }
        let info = context.get_library_info()?;
        let version = info.library_version().to_string();
        for (name, wanted, is) in [
            (
                "library-manufacturer",
                &self.manufacturer,
                info.manufacturer_id(),
            ),
            (
                "library-description",
                &self.description,
                info.library_description(),
            ),
            ("library-version", &self.version, &version),
        ] {
            if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != is) {
                return Err(Failure::Runtime(Pkcs11Error::OtherLibrary {
                    name,
                    wanted: wanted.clone(),
                    is: is.to_owned(),
                }));
            }
        }
        Ok(())
    }
}

/// Whether a module that fails altogether is finalised and initialised anew (`C_Finalize`,
/// `C_Initialize`), as some need after their server or token was away.
///
/// That ends whatever else in this process is doing with the module: with some modules in an error,
/// with some in a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Reinitialise {
    /// If this crate initialised it, and so was the first in this process to use it.
    #[default]
    IfOurs,
    /// Always: nothing else in this process uses the module.
    Always,
    /// Never: a module that fails altogether works again when the process is restarted.
    Never,
}

impl Pkcs11Config {
    /// Sessions that are open at a time, unless [`with_max_sessions`](Self::with_max_sessions) says
    /// otherwise.
    pub const DEFAULT_MAX_SESSIONS: usize = 8;
    /// How long a free session is waited for, unless
    /// [`with_session_wait`](Self::with_session_wait) says otherwise.
    pub const DEFAULT_SESSION_WAIT: Duration = Duration::from_secs(10);

    /// Names the module, a shared library, by its path.
    ///
    /// Whoever chooses the path chooses what code this process runs.
    #[must_use]
    pub fn new(module: impl Into<PathBuf>) -> Self {
        Self {
            module: module.into(),
            library: LibrarySelector::default(),
            token: TokenSelector::default(),
            pin: None,
            max_sessions: Self::DEFAULT_MAX_SESSIONS,
            session_wait: Self::DEFAULT_SESSION_WAIT,
            reinitialise: Reinitialise::default(),
        }
    }

    /// Reads a `pkcs11:` URI (RFC 7512): module, token and PIN.
    ///
    /// See [`Pkcs11Uri`] for the attributes that are understood.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error::Uri`], [`Pkcs11Error::NoModule`] when it names none,
    /// [`Pkcs11Error::NoModuleOfName`] and [`Pkcs11Error::NotAPin`].
    pub fn from_uri(uri: &str) -> Result<Self, Pkcs11Error> {
        let uri = Pkcs11Uri::parse(uri)?;
        let module = uri.module()?.ok_or(Pkcs11Error::NoModule)?;
        Self::new(module).with_uri(&uri)
    }

    /// Takes token and PIN from a URI, in place of those stated so far. Its module, if it names one,
    /// is not looked at.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error::NotAPin`].
    pub fn with_uri(mut self, uri: &Pkcs11Uri) -> Result<Self, Pkcs11Error> {
        self.token = uri.token_selector();
        self.library = uri.library_selector();
        if let Some(pin) = uri.pin()? {
            self.pin = Some(pin);
        }
        Ok(self)
    }

    /// The token is the one with this label.
    #[must_use]
    pub fn with_token_label(mut self, label: impl Into<String>) -> Self {
        self.token.label = Some(label.into());
        self
    }

    /// The token is the one with this serial number.
    #[must_use]
    pub fn with_token_serial(mut self, serial: impl Into<String>) -> Self {
        self.token.serial = Some(serial.into());
        self
    }

    /// The token is the one in this slot. Slots may be numbered differently after a restart: a label
    /// or a serial number is safer.
    #[must_use]
    pub fn with_slot(mut self, slot: u64) -> Self {
        self.token.slot = Some(slot);
        self
    }

    /// Where the PIN is taken from. Without one, a token that wants a login is an error.
    #[must_use]
    pub fn with_pin(mut self, pin: PinSource) -> Self {
        self.pin = Some(pin);
        self
    }

    /// How many sessions are open at a time, at the most, and so how many threads use the token at
    /// once; at least 1. One more is kept idle, since a token logs out when its last session is
    /// closed.
    ///
    /// More is not always faster: some tokens get slower with every thread.
    #[must_use]
    pub fn with_max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions.max(1);
        self
    }

    /// How long a thread waits for a session when all are in use, before the token is unavailable to
    /// it.
    #[must_use]
    pub fn with_session_wait(mut self, wait: Duration) -> Self {
        self.session_wait = wait;
        self
    }

    /// Whether a module that fails altogether is initialised anew.
    #[must_use]
    pub fn with_reinitialise(mut self, reinitialise: Reinitialise) -> Self {
        self.reinitialise = reinitialise;
        self
    }

    /// The path of the module.
    #[must_use]
    pub fn module(&self) -> &Path {
        &self.module
    }
}
