//! Eight threads that use keys of a token without pause, and check every answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use waxseal::{
    CreateKeyRequest, DataKey, KeyHandle, KeyProvider, ProviderError, UnwrapRequest, WrapRequest,
};

pub const THREADS: usize = 8;
const KEYS: usize = 4;
const BINDING: &[u8] = b"what these keys are bound to";

/// Keys of a token, and what was wrapped under each while all was well.
pub struct Load<'a> {
    provider: &'a dyn KeyProvider,
    keys: Vec<(KeyHandle, Vec<u8>)>,
    /// Key, data key and wrapped key of what was wrapped under load.
    wrapped: Mutex<Vec<(usize, DataKey, Vec<u8>)>>,
    done: AtomicU64,
    failed: AtomicU64,
}

/// What became of the operations.
#[derive(Debug)]
pub struct Tally {
    pub done: u64,
    /// Each of them was reported as an outage.
    pub unavailable: u64,
    /// From the end of the disturbance until every thread had succeeded again.
    pub recovery: Duration,
}

impl<'a> Load<'a> {
    pub fn new(provider: &'a dyn KeyProvider) -> Self {
        let keys = (0..KEYS).map(|key| {
            let handle = provider.create_key(CreateKeyRequest::default()).unwrap();
            let wrapped = wrap(provider, &handle, &data_key(key)).unwrap();
            (handle, wrapped)
        });
        Self {
            keys: keys.collect(),
            provider,
            wrapped: Mutex::default(),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Runs the load while `disturb` runs, and until every thread succeeds again.
    pub fn under(&self, disturb: impl FnOnce()) -> Tally {
        let calm = AtomicBool::new(false);
        let started = Instant::now();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let calm = &calm;
                    scope.spawn(move || self.work(thread, calm))
                })
                .collect();
            while self.done.load(Ordering::Relaxed) < 100 {
                assert!(started.elapsed() < PATIENCE, "the load does not start");
                thread::sleep(Duration::from_millis(1));
            }
            disturb();
            let ended = Instant::now();
            calm.store(true, Ordering::SeqCst);
            let recovered = threads.into_iter().map(|thread| thread.join().unwrap());
            let last = recovered.max().unwrap();
            Tally {
                done: self.done.load(Ordering::Relaxed),
                unavailable: self.failed.load(Ordering::Relaxed),
                recovery: last.saturating_duration_since(ended),
            }
        })
    }

    /// Waits until operations succeed again.
    pub fn wait_for_work(&self, patience: Duration) {
        let (started, before) = (Instant::now(), self.done.load(Ordering::Relaxed));
        while self.done.load(Ordering::Relaxed) < before + 100 {
            assert!(
                started.elapsed() < patience,
                "nothing works after {patience:?}"
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// That all is well: everything that was wrapped unwraps under its key.
    pub fn check(&self) {
        for (key, (handle, wrapped)) in self.keys.iter().enumerate() {
            assert_eq!(self.unwrap(handle, wrapped).unwrap(), data_key(key));
        }
        for (key, data_key, wrapped) in &*self.wrapped.lock().unwrap() {
            let unwrapped = self.unwrap(&self.keys[*key].0, wrapped);
            assert_eq!(unwrapped.unwrap(), *data_key, "key {key}");
        }
    }

    /// Works until all is calm and three operations in a row have succeeded; returns when that was.
    fn work(&self, thread: usize, calm: &AtomicBool) -> Instant {
        let (mut in_a_row, mut succeeded) = (0, None);
        for round in thread.. {
            let was_calm = calm.load(Ordering::SeqCst);
            let started = Instant::now();
            match self.step(round) {
                Ok(()) => {
                    self.done.fetch_add(1, Ordering::Relaxed);
                    in_a_row += 1;
                    succeeded.get_or_insert_with(Instant::now);
                }
                Err(error) => {
                    assert!(is_outage(&error), "{error:?}");
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    (in_a_row, succeeded) = (0, None);
                    thread::sleep(Duration::from_millis(1));
                }
            }
            assert!(started.elapsed() < PATIENCE, "an operation hung");
            if !was_calm {
                in_a_row = 0;
            }
            if in_a_row >= 3 {
                break;
            }
        }
        succeeded.unwrap()
    }

    /// One operation of four: unwrap, unwrap with a changed bit, unwrap under another key, wrap.
    fn step(&self, round: usize) -> Result<(), ProviderError> {
        let key = (round / 4) % KEYS;
        let (handle, wrapped) = &self.keys[key];
        match round % 4 {
            0 => assert_eq!(self.unwrap(handle, wrapped)?, data_key(key)),
            1 => {
                let mut changed = wrapped.clone();
                changed[round % wrapped.len()] ^= 0x10;
                refused(self.unwrap(handle, &changed))?;
            }
            2 => refused(self.unwrap(&self.keys[(key + 1) % KEYS].0, wrapped))?,
            _ => {
                let new = data_key(round);
                let wrapped = wrap(self.provider, handle, &new)?;
                let mut kept = self.wrapped.lock().unwrap();
                if kept.len() < 20_000 {
                    kept.push((key, new, wrapped));
                }
            }
        }
        Ok(())
    }

    fn unwrap(&self, handle: &KeyHandle, wrapped: &[u8]) -> Result<DataKey, ProviderError> {
        let request = UnwrapRequest::new(handle, wrapped, BINDING);
        self.provider.unwrap_key(request)
    }
}

/// No single operation takes as long.
const PATIENCE: Duration = Duration::from_secs(30);

fn wrap(
    provider: &dyn KeyProvider,
    handle: &KeyHandle,
    data_key: &DataKey,
) -> Result<Vec<u8>, ProviderError> {
    let wrapped = provider.wrap_key(WrapRequest::new(handle, data_key, BINDING))?;
    Ok(wrapped.as_bytes().to_vec())
}

fn data_key(number: usize) -> DataKey {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    DataKey::from_bytes(&bytes).unwrap()
}

/// What must not unwrap did not, or the token was away.
fn refused(unwrapped: Result<DataKey, ProviderError>) -> Result<(), ProviderError> {
    match unwrapped {
        Err(ProviderError::Rejected) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => panic!("what is not a wrapped key was unwrapped"),
    }
}

pub fn is_outage(error: &ProviderError) -> bool {
    matches!(error, ProviderError::Unavailable { .. }) && error.is_retryable()
}
