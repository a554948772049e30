//! A keyring that counts what it is asked, and can be held up or made to fail.

use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use waxseal::format::{InvalidEntry, KeyEntriesBuf, KeyEntry};
use waxseal::{
    DecryptionRequest, EncryptionMaterials, EncryptionRequest, Error, KeyReference, Keyring,
    ProviderError, RootKey, SingleKeyring, Unwrapped, WrapDataKeyRequest,
};

/// A keyring under [`ROOT_KEY`](super::ROOT_KEY). Clones share its state.
#[derive(Debug, Clone)]
pub struct Probe {
    inner: SingleKeyring,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    calls: usize,
    /// For how long at the most.
    held_up: Option<Duration>,
    fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// A failure that can be told to everybody.
    Outage,
    /// A failure that is told only to who asked.
    Invalid,
    Panic,
    Refusal,
    NotMine,
}

impl Probe {
    pub fn new() -> Self {
        Self::with_root(&RootKey::from_bytes(&super::ROOT_KEY))
    }

    /// One under another root key.
    pub fn with_root(root_key: &RootKey) -> Self {
        Self {
            inner: SingleKeyring::software(root_key),
            state: Arc::default(),
        }
    }

    /// How messages name its key.
    pub fn key(&self) -> KeyReference {
        self.inner.key().clone()
    }

    /// The calls so far, those that are held up too.
    pub fn calls(&self) -> usize {
        self.state.0.lock().unwrap().calls
    }

    pub fn fail(&self, fault: impl Into<Option<Fault>>) {
        self.state.0.lock().unwrap().fault = fault.into();
    }

    /// Holds up what is asked from now on, until it is [let go](Self::let_go).
    pub fn hold_up(&self) {
        self.hang_for(Duration::MAX);
    }

    /// As [`hold_up`](Self::hold_up), each call for so long at the most.
    pub fn hang_for(&self, time: Duration) {
        self.state.0.lock().unwrap().held_up = Some(time);
    }

    pub fn let_go(&self) {
        self.state.0.lock().unwrap().held_up = None;
        self.state.1.notify_all();
    }

    /// Waits until there are as many calls.
    pub fn wait_for_calls(&self, calls: usize) {
        if !soon(|| self.calls() >= calls) {
            self.let_go();
            panic!("{} calls, and {calls} were awaited", self.calls());
        }
    }

    fn called(&self) -> Result<(), Answer> {
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap();
        state.calls += 1;
        if let Some(time) = state.held_up {
            let held_up = |state: &mut State| state.held_up.is_some();
            (state, _) = changed.wait_timeout_while(state, time, held_up).unwrap();
        }
        let fault = state.fault;
        drop(state);
        Err(match fault {
            None => return Ok(()),
            Some(Fault::Panic) => panic!("the keyring inside panics, as the test wants"),
            Some(Fault::Invalid) => Answer::Error(InvalidEntry::Duplicate.into()),
            Some(Fault::Refusal) => Answer::Error(Error::Decrypt),
            Some(Fault::NotMine) => Answer::NotMine,
            Some(Fault::Outage) => Answer::Error(Error::Provider(ProviderError::Unavailable {
                provider: "probe".to_owned(),
                source: io::Error::from(io::ErrorKind::ConnectionRefused).into(),
            })),
        })
    }
}

enum Answer {
    Error(Error),
    NotMine,
}

impl Keyring for Probe {
    fn encryption_materials(
        &self,
        request: EncryptionRequest<'_>,
    ) -> Result<EncryptionMaterials, Error> {
        match self.called() {
            Err(Answer::Error(error)) => Err(error),
            _ => self.inner.encryption_materials(request),
        }
    }

    fn decryption_materials(&self, request: DecryptionRequest<'_>) -> Result<Unwrapped, Error> {
        match self.called() {
            Err(Answer::Error(error)) => Err(error),
            Err(Answer::NotMine) => Ok(Unwrapped::NotMine),
            Ok(()) => self.inner.decryption_materials(request),
        }
    }

    fn wrap_data_key(&self, request: WrapDataKeyRequest<'_>) -> Result<KeyEntriesBuf, Error> {
        match self.called() {
            Err(Answer::Error(error)) => Err(error),
            _ => self.inner.wrap_data_key(request),
        }
    }

    fn holds(&self, entry: &KeyEntry<'_>) -> bool {
        self.inner.holds(entry)
    }

    fn max_entries_len(&self) -> usize {
        self.inner.max_entries_len()
    }
}

/// Waits until `condition` holds.
pub fn eventually(condition: impl Fn() -> bool) {
    assert!(soon(condition), "it never holds");
}

fn soon(condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > Duration::from_secs(20) {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}
