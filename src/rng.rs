//! Where randomness comes from.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use zeroize::zeroize_bytes;

use crate::crypto::{KEY_LEN, SecretArray, keystream};
use crate::fork::ForkGuard;

/// A source of random bytes that are fit for keys.
///
/// # Contract
///
/// `fill` overwrites all of the buffer with bytes that nobody can predict and that no other call,
/// thread or process is given, or fails. The security of everything sealed rests on it: a source
/// other than [`SystemRandom`] is for tests and for hardware generators.
pub trait RandomSource: fmt::Debug + Send + Sync {
    /// Fills `buffer` with random bytes.
    ///
    /// # Errors
    ///
    /// [`RandomError`] when there are none; what `buffer` then holds must not be used.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError>;
}

/// The random generator failed, so nothing was made that would have needed it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the random generator failed; nothing was encrypted, and the operating system's generator must be repaired first"
)]
pub struct RandomError {
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl RandomError {
    /// Wraps the error of a generator.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

/// The operating system's random generator.
///
/// Because one system call costs a good part of sealing a small message, small requests are served
/// per thread from ChaCha20 keyed by the operating system, a KiB at a time, with *fast key
/// erasure*: each refill replaces its own key, and a byte is erased as it is given out, so nothing
/// in memory tells what was given out before. Every 31 KiB the operating system is asked again. A
/// forked child starts anew, so that it shares nothing with its parent. (A child made by the raw
/// `clone` system call, past the C library, is not noticed.)
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl RandomSource for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        if buffer.len() > LARGEST_BUFFERED {
            return from_system(buffer);
        }
        BUFFER
            .try_with(|reserve| match reserve.try_borrow_mut() {
                Ok(mut reserve) => reserve.take(buffer),
                Err(_) => from_system(buffer),
            })
            .unwrap_or_else(|_thread_is_ending| from_system(buffer))
    }
}

/// Any cryptographic generator of the [`rand_core`] traits as a [`RandomSource`], behind a lock.
pub struct RngSource<R>(Mutex<R>);

impl<R> RngSource<R> {
    /// Takes the generator.
    pub fn new(rng: R) -> Self {
        Self(Mutex::new(rng))
    }
}

impl<R> RandomSource for RngSource<R>
where
    R: rand_core::TryCryptoRng + Send,
    R::Error: Send + Sync + 'static,
{
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_fill_bytes(buffer)
            .map_err(RandomError::new)
    }
}

impl<R> fmt::Debug for RngSource<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RngSource([redacted])")
    }
}

/// Whole blocks of ChaCha20, as many as its implementations compute at a time.
const BUFFER_LEN: usize = 1024;
/// What a refill gives out; the rest of the buffer is the key of the next.
const TAKEN_LEN: usize = BUFFER_LEN - KEY_LEN;
const LARGEST_BUFFERED: usize = 64;
/// Refills between two draws from the operating system: 31 KiB.
const REFILLS: u32 = 32;

thread_local! {
    static BUFFER: RefCell<Reserve> = RefCell::new(Reserve::empty());
}

/// Random bytes that nobody was given yet: the first `left` of `bytes`.
struct Reserve {
    left: usize,
    bytes: SecretArray<BUFFER_LEN>,
    /// The key of the next refill.
    key: SecretArray<KEY_LEN>,
    refills: u32,
    fork_guard: ForkGuard,
}

impl Reserve {
    fn empty() -> Self {
        Self {
            left: 0,
            bytes: SecretArray::zeroed(),
            key: SecretArray::zeroed(),
            refills: 0,
            fork_guard: ForkGuard::new(),
        }
    }

    fn take(&mut self, buffer: &mut [u8]) -> Result<(), RandomError> {
        if self.fork_guard.is_forked() {
            *self = Self::empty();
        }
        if self.left < buffer.len() {
            self.refill()?;
        }
        let rest = self.left.saturating_sub(buffer.len());
        let Some(taken) = self.bytes.get_mut(rest..self.left) else {
            return from_system(buffer);
        };
        buffer.copy_from_slice(taken);
        zeroize_bytes(taken);
        self.left = rest;
        Ok(())
    }

    fn refill(&mut self) -> Result<(), RandomError> {
        self.left = 0;
        if self.refills.is_multiple_of(REFILLS) {
            let mut fresh = SecretArray::<KEY_LEN>::zeroed();
            from_system(fresh.as_mut_slice())?;
            for (byte, fresh) in self.key.iter_mut().zip(fresh.iter()) {
                *byte ^= fresh;
            }
        }
        self.refills = self.refills.wrapping_add(1);
        keystream(&self.key, self.bytes.as_mut_slice());
        let (bytes, next_key) = self.bytes.split_at_mut(TAKEN_LEN);
        self.key.copy_from_slice(next_key);
        zeroize_bytes(next_key);
        self.left = bytes.len();
        Ok(())
    }
}

fn from_system(buffer: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(buffer).map_err(RandomError::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_erased_as_they_are_given_out() {
        let mut reserve = Reserve::empty();
        for taken in 1..=TAKEN_LEN / 32 {
            let mut key = [0; 32];
            reserve.take(&mut key).unwrap();
            assert_ne!(key, [0; 32]);
            assert_eq!(reserve.left, TAKEN_LEN - taken * 32);
            assert!(reserve.bytes[reserve.left..].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn no_two_requests_of_any_size_are_alike() {
        let mut seen = std::collections::HashSet::new();
        for len in [16, 24, 32, 63, 64, 65, 511, 512, 513, 4096] {
            for _ in 0..50 {
                let mut bytes = vec![0; len];
                SystemRandom.fill(&mut bytes).unwrap();
                assert!(seen.insert(bytes));
            }
        }
    }
}
