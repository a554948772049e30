//! This process's sessions with a token: opened, logged in, and noticed when they are lost.

mod anchor;

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::context::{Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;

use self::anchor::Anchor;
use super::config::Pkcs11Config;
use super::error::Pkcs11Error;
use super::failure::{AfterFailure, Failure, Verdict};
use super::module::{Entered, Module};
use super::objects::KnownKeys;
use super::pin::Credential;
use super::pool::{Access, Pool, Turn, Want};
use super::slot::{FoundToken, TokenDescription};
use crate::fork::ForkableState;

/// The sessions of one process with one token.
pub(super) struct Connection {
    config: Arc<Pkcs11Config>,
    module: Arc<Module>,
    pool: Pool<Session>,
    pub(super) keys: KnownKeys,
    link: Mutex<Link>,
    /// One login at a time.
    credential: Mutex<Option<Credential>>,
}

/// What is so until the module is initialised anew or all sessions are lost.
#[derive(Default)]
struct Link {
    epoch: u64,
    /// Sessions of another generation are not touched any more, not even to close them.
    generation: u64,
    token: Option<Arc<FoundToken>>,
    anchor: Option<Anchor>,
    /// When the anchor was last seen to hold.
    seen: Option<Instant>,
}

/// How long it is believed, while nothing fails, that the sessions are still ours.
const BELIEVED: Duration = Duration::from_secs(1);

/// A session with somebody. While it lives, the module is not initialised anew.
pub(super) struct Lease<'a> {
    connection: &'a Connection,
    entered: Entered<'a>,
    session: Option<Session>,
    access: Access,
    generation: u64,
    token: Arc<FoundToken>,
}

impl Connection {
    pub(super) fn new(config: Arc<Pkcs11Config>, module: Arc<Module>) -> Self {
        Self::with_credential(config, module, None)
    }

    fn with_credential(
        config: Arc<Pkcs11Config>,
        module: Arc<Module>,
        credential: Option<Credential>,
    ) -> Self {
        module.add_user();
        Self {
            pool: Pool::new(config.max_sessions, config.session_wait),
            config,
            module,
            keys: KnownKeys::default(),
            link: Mutex::default(),
            credential: Mutex::new(credential),
        }
    }

    /// Gives a session that is logged in.
    pub(super) fn lease(&self, access: Access, want: Want) -> Result<Lease<'_>, Failure> {
        loop {
            let entered = self.module.enter()?;
            let (generation, token) = self.find_token(&entered)?;
            let turn = self.pool.take(access, want, generation, drop);
            let turn = turn.map_err(|busy| Pkcs11Error::Busy {
                sessions: busy.sessions,
                waited: busy.waited,
            })?;
            let mut lease = Lease {
                connection: self,
                entered,
                session: None,
                access,
                generation,
                token,
            };
            match turn {
                Turn::Use(session, access) => {
                    lease.session = Some(session);
                    lease.access = access;
                }
                Turn::Open => match lease.open() {
                    Err(failure) if failure.says_no_more_sessions() => {
                        if self.pool.end_without_room() {
                            continue;
                        }
                        return Err(failure);
                    }
                    Err(failure) => {
                        self.pool.end();
                        return Err(failure);
                    }
                    Ok(()) => {}
                },
            }
            return Ok(lease);
        }
    }

    /// The same, where the token or the module may have to be found or initialised anew.
    pub(super) fn lease_or_recover(
        &self,
        access: Access,
        want: Want,
    ) -> Result<Lease<'_>, Failure> {
        let failed = match self.lease(access, want) {
            Ok(lease) => return Ok(lease),
            Err(failure) => failure,
        };
        if failed.class().verdict != Verdict::Unavailable || failed.is_about_this_process() {
            return Err(failed);
        }
        let failed = if failed.says_no_more_sessions() {
            failed
        } else {
            self.lose_all();
            match self.lease(access, want) {
                Ok(lease) => return Ok(lease),
                Err(failure) => failure,
            }
        };
        match self.reinitialise(&failed) {
            Ok(()) => self.lease(access, want),
            Err(_) if failed.is_about_one_token() => Err(failed),
            Err(other) => Err(other),
        }
    }

    /// Initialises the module anew, if that is allowed and may help.
    pub(super) fn reinitialise(&self, failed: &Failure) -> Result<(), Failure> {
        if self.module.has_several_users() && failed.is_about_one_token() {
            return Err(Failure::Answer("others use the module"));
        }
        let epoch = self.lock_link().epoch;
        let permission = self.config.reinitialise;
        self.module.reinitialise(epoch, permission, failed)
    }

    /// Reads the PIN anew, and tries it even if one like it was refused before.
    pub(super) fn log_in_anew(&self) -> Result<(), Failure> {
        {
            let entered = self.module.enter()?;
            let (_, token) = self.find_token(&entered)?;
            self.module.forget_refusals(&token.description.serial);
            *lock(&self.credential) = None;
        }
        self.lease_or_recover(Access::ReadOnly, Want::New)?
            .give_back();
        Ok(())
    }

    /// The token as it was last found.
    pub(super) fn description(&self) -> Option<TokenDescription> {
        let link = self.lock_link();
        link.token.as_ref().map(|token| token.description.clone())
    }

    fn find_token(&self, entered: &Entered<'_>) -> Result<(u64, Arc<FoundToken>), Failure> {
        let mut link = self.lock_link();
        if link.epoch != entered.epoch() {
            link.begin_generation(&self.keys);
            link.epoch = entered.epoch();
        }
        link.look_at_anchor(&self.keys);
        if let Some(token) = &link.token {
            return Ok((link.generation, Arc::clone(token)));
        }
        self.config.library.check(entered.context())?;
        let token = self.config.token.find(entered.context())?;
        let token = Arc::clone(link.token.insert(Arc::new(token)));
        Ok((link.generation, token))
    }

    /// Logs in, unless somebody is logged in already. Whoever it is in this process, it is so for all
    /// its sessions.
    fn log_in(
        &self,
        entered: &Entered<'_>,
        session: &Session,
        token: &FoundToken,
    ) -> Result<(), Failure> {
        if !self.wants_login(token) || is_logged_in(session, token)? {
            return Ok(());
        }
        let mut kept = lock(&self.credential);
        if is_logged_in(session, token)? {
            return Ok(());
        }
        let credential = self.credential(&mut kept, token)?;
        let serial = &token.description.serial;
        if let Some(failure) = self.module.refusal(serial, &credential) {
            return Err(token.login_failed(failure));
        }
        if matches!(credential, Credential::Pin(_)) {
            token.check_tries_left(entered.context())?;
        }
        let answer = match &credential {
            Credential::None => return Ok(()),
            Credential::Keypad => session.login(UserType::User, None),
            Credential::Pin(pin) => session.login_with_raw(UserType::User, &pin.expose()),
        };
        match answer {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, Function::Login)) => {
                self.keys.begin_era();
                Ok(())
            }
            Err(Error::Pkcs11(RvError::UserAnotherAlreadyLoggedIn, Function::Login)) => {
                Err(token.security_officer())
            }
            Err(error) => {
                let failure = Failure::from(error);
                match failure.class().verdict {
                    Verdict::Pin(refused) => {
                        self.module.remember_refusal(serial, &credential, refused);
                        Err(token.login_failed(refused))
                    }
                    _ => Err(failure),
                }
            }
        }
    }

    fn wants_login(&self, token: &FoundToken) -> bool {
        match &self.config.pin {
            Some(source) => !source.is_none(),
            None => token.wants_login,
        }
    }

    fn credential(
        &self,
        kept: &mut Option<Credential>,
        token: &FoundToken,
    ) -> Result<Credential, Failure> {
        if let Some(credential) = kept {
            return Ok(credential.clone());
        }
        let source = self.config.pin.as_ref().ok_or_else(|| Pkcs11Error::NoPin {
            token: token.description.label.clone(),
        })?;
        let credential = source.read(&token.description)?;
        Ok(kept.insert(credential).clone())
    }

    /// Keeps one session idle, so that others can be closed without ending the login.
    fn drop_anchor(&self, entered: &Entered<'_>, generation: u64, slot: Slot) {
        let mut link = self.lock_link();
        if link.generation == generation && link.anchor.is_none() {
            link.anchor = Anchor::new(entered.context(), slot);
            link.seen = Some(Instant::now());
        }
    }

    /// Ends a session that failed. If the idle one is gone too, then all are, and their numbers may
    /// be others' by now.
    fn end(&self, session: Session, generation: u64, how: AfterFailure) {
        let mut link = self.lock_link();
        if link.generation != generation {
            return mem::forget(session);
        }
        let (all_lost, lost) = match &link.anchor {
            Some(anchor) if anchor.holds() => (false, how == AfterFailure::Forget),
            Some(_) => (true, true),
            None => (how == AfterFailure::Forget, how == AfterFailure::Forget),
        };
        if all_lost {
            link.begin_generation(&self.keys);
        }
        drop(link);
        if lost {
            mem::forget(session);
        }
    }

    /// No session is trusted any more, nor where the token was.
    fn lose_all(&self) {
        self.lock_link().begin_generation(&self.keys);
    }

    fn lock_link(&self) -> MutexGuard<'_, Link> {
        lock(&self.link)
    }
}

impl Link {
    fn begin_generation(&mut self, keys: &KnownKeys) {
        static LAST: AtomicU64 = AtomicU64::new(0);
        self.generation = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        self.token = None;
        mem::forget(self.anchor.take());
        keys.begin_era();
    }

    /// Others may have initialised the module anew, so that our sessions' numbers are now theirs.
    /// Before anything fails of it, this is noticed here.
    fn look_at_anchor(&mut self, keys: &KnownKeys) {
        let Some(anchor) = &self.anchor else { return };
        let now = Instant::now();
        if self.seen.is_some_and(|seen| now - seen < BELIEVED) {
            return;
        }
        if anchor.holds() {
            self.seen = Some(now);
        } else {
            self.begin_generation(keys);
        }
    }
}

impl Lease<'_> {
    pub(super) fn session(&self) -> Result<&Session, Failure> {
        self.session
            .as_ref()
            .ok_or(Failure::Answer("a session is used after its end"))
    }

    pub(super) fn context(&self) -> &Pkcs11 {
        self.entered.context()
    }

    pub(super) fn token(&self) -> &FoundToken {
        &self.token
    }

    /// Whether somebody is logged in who sees private keys, or nobody need be.
    pub(super) fn is_logged_in(&self) -> Result<bool, Failure> {
        let wants_login = self.connection.wants_login(&self.token);
        Ok(!wants_login || is_logged_in(self.session()?, &self.token)?)
    }

    /// The session worked: it may be used again.
    pub(super) fn give_back(mut self) {
        if let Some(session) = self.session.take() {
            let pool = &self.connection.pool;
            pool.give_back(session, self.access, self.generation);
        }
    }

    /// The session failed: it is not used again.
    pub(super) fn discard(mut self, how: AfterFailure) {
        let Some(session) = self.session.take() else {
            return;
        };
        self.connection.end(session, self.generation, how);
        self.connection.pool.end();
    }

    /// Opens the session of a turn, and leaves it to the caller to end that.
    fn open(&mut self) -> Result<(), Failure> {
        self.session = Some(self.open_logged_in()?);
        self.entered.works();
        self.connection
            .drop_anchor(&self.entered, self.generation, self.token.slot);
        Ok(())
    }

    fn open_logged_in(&self) -> Result<Session, Failure> {
        let context = self.entered.context();
        let session = match self.access {
            Access::ReadOnly => context.open_ro_session(self.token.slot),
            Access::ReadWrite => context.open_rw_session(self.token.slot),
        };
        let session = session.map_err(|error| match error {
            Error::Pkcs11(RvError::SessionReadWriteSoExists, _) => self.token.security_officer(),
            other => other.into(),
        })?;
        self.connection
            .log_in(&self.entered, &session, &self.token)?;
        Ok(session)
    }
}

/// A panic while it is used ends the session.
impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            drop(session);
            self.connection.pool.end();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.module.remove_user();
        let link = mem::take(self.link.get_mut().unwrap_or_else(PoisonError::into_inner));
        let sessions = self.pool.drain(link.generation);
        match self.module.enter_epoch(link.epoch) {
            Some(_entered) => drop((sessions, link)),
            None => mem::forget((sessions, link)),
        }
    }
}

impl ForkableState for Connection {
    fn for_child(&self) -> Self {
        let credential = self.credential.try_lock().map(|kept| kept.clone());
        Self::with_credential(
            Arc::clone(&self.config),
            Arc::clone(&self.module),
            credential.unwrap_or_default(),
        )
    }

    /// The sessions are the parent's: they are not even closed.
    fn try_clear(&self) -> bool {
        false
    }
}

fn is_logged_in(session: &Session, token: &FoundToken) -> Result<bool, Failure> {
    match session.get_session_info()?.session_state() {
        SessionState::RoUser | SessionState::RwUser => Ok(true),
        SessionState::RoPublic | SessionState::RwPublic => Ok(false),
        SessionState::RwSecurityOfficer => Err(token.security_officer()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
