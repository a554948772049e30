//! The token, used with patience: what fails for a reason that passes is tried once more.

use std::fmt;
use std::sync::Arc;

use cryptoki::context::Pkcs11;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use super::canary::Canary;
use super::config::Pkcs11Config;
use super::error::Pkcs11Error;
use super::failure::{Again, Failure, Verdict};
use super::module::Module;
use super::objects::KeyName;
use super::pool::{Access, Want};
use super::session::{Connection, Lease};
use super::slot::TokenDescription;
use crate::fork::PerProcess;
use crate::provider::ProviderError;

/// A token, and this process's sessions with it. Clones share them.
///
/// What is done with a session is given as an action, which may be run twice: on a session that was
/// used before, and if that fails in a way that passes, on a new one. An action must not use the
/// token again except through what it is given.
#[derive(Clone)]
pub(super) struct Token(Arc<Shared>);

struct Shared {
    module: Arc<Module>,
    connection: PerProcess<Connection>,
}

impl Token {
    /// Loads the module, finds the token and logs in.
    pub(super) fn open(config: Pkcs11Config) -> Result<Self, Pkcs11Error> {
        let token = Self::open_later(config)?;
        token
            .connection()
            .lease_or_recover(Access::ReadOnly, Want::Any)
            .map_err(Failure::into_pkcs11_error)?
            .give_back();
        Ok(token)
    }

    /// Loads the module; finds the token and logs in when something is first done with it.
    pub(super) fn open_later(config: Pkcs11Config) -> Result<Self, Pkcs11Error> {
        let module = Module::load(&config.module)?;
        let connection = Connection::new(Arc::new(config), Arc::clone(&module));
        Ok(Self(Arc::new(Shared {
            module,
            connection: PerProcess::new(connection),
        })))
    }

    /// Runs an action with a session.
    pub(super) fn with_session<T>(
        &self,
        access: Access,
        mut action: impl FnMut(&Session) -> Result<T, Failure>,
    ) -> Result<T, ProviderError> {
        let result = self.run(access, |lease, _| action(lease.session()?));
        result.map_err(|failure| match failure {
            Failure::NothingFound => Failure::NotFound.into_provider_error(),
            other => other.into_provider_error(),
        })
    }

    /// Runs an action with a key, on a session that may only read.
    ///
    /// The canary proves that the key is the one that it was, when it is found anew; and when
    /// unwrapping fails for no clear reason, that the token works and the reason is in what was to
    /// be unwrapped. Without one, such a failure is an outage.
    pub(super) fn with_key<T>(
        &self,
        name: &KeyName,
        canary: Option<&dyn Canary>,
        mut action: impl FnMut(&Session, ObjectHandle) -> Result<T, Failure>,
    ) -> Result<T, ProviderError> {
        let result = self.run(Access::ReadOnly, |lease, want| {
            let key = match want {
                Want::Any => self.key(lease, name, canary)?,
                Want::New => self.find_key(lease, name, canary)?,
            };
            action(lease.session()?, key)
        });
        let failure = match result {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        if matches!(failure, Failure::NothingFound) {
            return self.with_key_after_reinitialising(name, canary, action);
        }
        match failure.class().verdict {
            Verdict::Suspect => self.judge(name, canary, failure, action),
            _ => Err(failure.into_provider_error()),
        }
    }

    /// Tells a wrapped key that is none from a token that does not work: it is the former if a canary
    /// unwraps before and after, by the same login.
    fn judge<T>(
        &self,
        name: &KeyName,
        canary: Option<&dyn Canary>,
        mut failure: Failure,
        mut action: impl FnMut(&Session, ObjectHandle) -> Result<T, Failure>,
    ) -> Result<T, ProviderError> {
        let Some(canary) = canary else {
            return Err(failure.into_provider_error());
        };
        let keys = &self.connection().keys;
        for _ in 0..ATTEMPTS {
            let era = keys.era();
            self.look_at(name, canary)?;
            let result = self.run_once(Access::ReadOnly, Want::New, &mut |lease, _| {
                action(lease.session()?, self.key(lease, name, Some(canary))?)
            });
            failure = match result {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            match failure.class().verdict {
                Verdict::Suspect | Verdict::Rejected => self.look_at(name, canary)?,
                Verdict::Unavailable => continue,
                _ => break,
            }
            if keys.era() == era {
                return Err(ProviderError::Rejected);
            }
        }
        Err(failure.into_outage())
    }

    /// Some modules show an empty token when what holds its keys is away, and until they are
    /// initialised anew even when it is back.
    fn with_key_after_reinitialising<T>(
        &self,
        name: &KeyName,
        canary: Option<&dyn Canary>,
        mut action: impl FnMut(&Session, ObjectHandle) -> Result<T, Failure>,
    ) -> Result<T, ProviderError> {
        let connection = self.connection();
        let was_known = connection.keys.last_known(name).is_some();
        if let Err(failure) = connection.reinitialise(&Failure::NothingFound) {
            return Err(match was_known {
                true => failure.into_provider_error(),
                false => Failure::NotFound.into_provider_error(),
            });
        }
        let result = self.run_once(Access::ReadOnly, Want::New, &mut |lease, _| {
            let key = self.find_key(lease, name, canary)?;
            action(lease.session()?, key)
        });
        result.map_err(|failure| match failure {
            Failure::NothingFound => {
                connection.keys.forget(name);
                Failure::NotFound.into_provider_error()
            }
            other => other.into_provider_error(),
        })
    }

    /// Runs an action with the module itself and the slot that the token is in.
    pub(super) fn on_slot<T>(
        &self,
        mut action: impl FnMut(&Pkcs11, Slot) -> Result<T, Failure>,
    ) -> Result<T, ProviderError> {
        self.run(Access::ReadOnly, |lease, _| {
            action(lease.context(), lease.token().slot)
        })
        .map_err(Failure::into_provider_error)
    }

    /// The key was destroyed.
    pub(super) fn forget_key(&self, name: &KeyName) {
        self.connection().keys.forget(name);
    }

    /// Takes the PIN from its source anew, and tries it even if one like it was refused before.
    pub(super) fn log_in_anew(&self) -> Result<(), Pkcs11Error> {
        self.connection()
            .log_in_anew()
            .map_err(Failure::into_pkcs11_error)
    }

    /// The token as it was last found.
    pub(super) fn description(&self) -> Option<TokenDescription> {
        self.connection().description()
    }

    fn connection(&self) -> &Connection {
        self.0.connection.get()
    }

    /// Runs an action, and again on a new session where that may help: more than once if somebody
    /// logs out in between.
    fn run<T>(
        &self,
        access: Access,
        mut action: impl FnMut(&Lease<'_>, Want) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let keys = &self.connection().keys;
        let mut want = Want::Any;
        let mut attempt = 1;
        loop {
            let era = keys.era();
            let failure = match self.run_once(access, want, &mut action) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let class = failure.class();
            let is_doubtful = want == Want::Any || keys.era() != era;
            let may_help = match class.verdict {
                Verdict::Rejected | Verdict::NotFound => is_doubtful,
                _ => class.again == Again::Once && is_doubtful,
            };
            if !may_help || attempt == ATTEMPTS {
                return Err(match class.verdict {
                    Verdict::Rejected | Verdict::NotFound if may_help => Failure::LoggedOut,
                    _ => failure,
                });
            }
            want = Want::New;
            attempt += 1;
        }
    }

    fn run_once<T>(
        &self,
        access: Access,
        want: Want,
        action: &mut impl FnMut(&Lease<'_>, Want) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let lease = self.connection().lease_or_recover(access, want)?;
        match action(&lease, want) {
            Ok(done) => {
                lease.give_back();
                Ok(done)
            }
            Err(failure) => {
                let failure = failure.of(&lease);
                lease.discard(failure.class().session);
                Err(failure)
            }
        }
    }

    fn key(
        &self,
        lease: &Lease<'_>,
        name: &KeyName,
        canary: Option<&dyn Canary>,
    ) -> Result<ObjectHandle, Failure> {
        match self.connection().keys.handle(name) {
            Some(key) => Ok(key),
            None => self.find_key(lease, name, canary),
        }
    }

    /// Finds a key, and makes sure that it is the one that it was.
    fn find_key(
        &self,
        lease: &Lease<'_>,
        name: &KeyName,
        canary: Option<&dyn Canary>,
    ) -> Result<ObjectHandle, Failure> {
        let keys = &self.connection().keys;
        let era = keys.era();
        let session = lease.session()?;
        let key = match name.find(session) {
            Err(Failure::NotFound | Failure::NothingFound)
                if !lease.is_logged_in()? || keys.era() != era =>
            {
                return Err(Failure::LoggedOut);
            }
            found => found?,
        };
        let laid = keys.last_known(name).and_then(|known| known.canary);
        let laid = match (canary, laid) {
            (None, laid) => laid,
            (Some(canary), None) => canary.lay(session, key)?.map(Arc::from),
            (Some(canary), Some(laid)) => {
                let checked = canary.check(session, key, &laid);
                if let Err(failure) = checked {
                    let works = wraps_and_unwraps(canary, session, key);
                    if works && lease.is_logged_in()? && keys.era() == era {
                        return Err(Failure::Runtime(Pkcs11Error::OtherKey {
                            id: name.to_string(),
                        }));
                    }
                    return Err(failure.unless_rejected());
                }
                Some(laid)
            }
        };
        keys.remember(name, key, era, laid);
        Ok(key)
    }

    /// Whether the token and a key in it work.
    fn look_at(&self, name: &KeyName, canary: &dyn Canary) -> Result<(), ProviderError> {
        let looked = self.run_once(Access::ReadOnly, Want::New, &mut |lease, _| {
            let key = self.find_key(lease, name, Some(canary))?;
            let known = self.connection().keys.last_known(name);
            match known.and_then(|known| known.canary) {
                Some(laid) => canary.check(lease.session()?, key, &laid),
                None => Err(Failure::Answer("the key makes no canary")),
            }
        });
        looked.map_err(|failure| failure.unless_rejected().into_provider_error())
    }
}

/// A key that does not unwrap what it wrapped before, and does unwrap what it wraps now, is another.
fn wraps_and_unwraps(canary: &dyn Canary, session: &Session, key: ObjectHandle) -> bool {
    match canary.lay(session, key) {
        Ok(Some(laid)) => canary.check(session, key, &laid).is_ok(),
        _ => false,
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}", self.0.module.path().display())?;
        if let Some(description) = self.description() {
            write!(f, ", {description}")?;
        }
        f.write_str(")")
    }
}

/// How often something is tried, at the most.
const ATTEMPTS: u32 = 4;

#[cfg(test)]
mod tests;
