//! The PIN: where it comes from, how it is held, and that a refused one is not tried again.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cryptoki::types::RawAuthPin;
use zeroize::Zeroizing;

use super::error::Pkcs11Error;
use super::slot::TokenDescription;
use crate::crypto::constant_time_eq;
use crate::rng::{RandomSource, SystemRandom};
use crate::secret::SecretBytes;

/// Longer ones are not PINs; the tokens that we know take 64 to 255 bytes.
const MAX_PIN_LEN: usize = 1024;

/// Where the PIN of a token is taken from.
///
/// It is taken once, when it is first needed, and again only by
/// [`Pkcs11KeyProvider::log_in_anew`](super::Pkcs11KeyProvider::log_in_anew). In memory it is masked by random bytes
/// that are kept elsewhere, except while the token reads it, so that a core dump does not show it.
#[derive(Clone)]
pub struct PinSource(Source);

type Callback = dyn Fn(&TokenDescription) -> Result<SecretBytes, Box<dyn std::error::Error + Send + Sync>>
    + Send
    + Sync;

#[derive(Clone)]
enum Source {
    NoPin,
    Keypad,
    Value(Arc<Pin>),
    Callback(Arc<Callback>),
    Environment(String),
    File(PathBuf),
}

impl PinSource {
    /// The token needs no PIN: it asks for none, or ignores what it is given.
    #[must_use]
    pub fn none() -> Self {
        Self(Source::NoPin)
    }

    /// The PIN is entered at the token itself, at its keypad ('protected authentication path').
    #[must_use]
    pub fn keypad() -> Self {
        Self(Source::Keypad)
    }

    /// The PIN itself, from a secret manager for instance. The caller's copy stays the caller's to
    /// erase.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error::NotAPin`] when it is empty or longer than 1,024 bytes.
    pub fn value(pin: &[u8]) -> Result<Self, Pkcs11Error> {
        let pin = Pin::new(pin).map_err(|reason| Pkcs11Error::NotAPin {
            place: "the value given".to_owned(),
            reason,
        })?;
        Ok(Self(Source::Value(Arc::new(pin))))
    }

    /// Asks the application, which is told which token wants the PIN.
    ///
    /// It is called while the token is locked for logins: it must not use the provider.
    #[must_use]
    pub fn callback<F>(callback: F) -> Self
    where
        F: Fn(&TokenDescription) -> Result<SecretBytes, Box<dyn std::error::Error + Send + Sync>>
            + Send
            + Sync
            + 'static,
    {
        Self(Source::Callback(Arc::new(callback)))
    }

    /// An environment variable.
    ///
    /// It stays set: child processes inherit it, and other processes of the same user may see it.
    /// Prefer a file.
    #[must_use]
    pub fn environment(name: impl Into<String>) -> Self {
        Self(Source::Environment(name.into()))
    }

    /// A file that holds the PIN, and a line end if any. On Unix the file must not be accessible to
    /// group and others.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    pub(super) fn is_none(&self) -> bool {
        matches!(self.0, Source::NoPin)
    }

    pub(super) fn read(&self, token: &TokenDescription) -> Result<Credential, Pkcs11Error> {
        let not_a_pin = |place: String| move |reason| Pkcs11Error::NotAPin { place, reason };
        let pin = match &self.0 {
            Source::NoPin => return Ok(Credential::None),
            Source::Keypad => return Ok(Credential::Keypad),
            Source::Value(pin) => return Ok(Credential::Pin(Arc::clone(pin))),
            Source::Callback(callback) => {
                let pin = callback(token).map_err(|source| Pkcs11Error::PinCallback { source })?;
                Pin::new(&pin).map_err(not_a_pin("the application's answer".to_owned()))?
            }
            Source::Environment(name) => {
                let value = std::env::var_os(name)
                    .ok_or_else(|| Pkcs11Error::NoPinVariable { name: name.clone() })?;
                let value = Zeroizing::new(value.into_encoded_bytes());
                Pin::new(&value).map_err(not_a_pin(format!("the environment variable {name}")))?
            }
            Source::File(path) => {
                let text = read_file(path)?;
                Pin::new(without_line_end(&text))
                    .map_err(not_a_pin(format!("the file {}", path.display())))?
            }
        };
        Ok(Credential::Pin(Arc::new(pin)))
    }
}

impl fmt::Debug for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::NoPin => f.write_str("none"),
            Source::Keypad => f.write_str("keypad"),
            Source::Value(_) => f.write_str("value"),
            Source::Callback(_) => f.write_str("callback"),
            Source::Environment(name) => write!(f, "environment({name})"),
            Source::File(path) => write!(f, "file({})", path.display()),
        }
    }
}

/// What a source gave.
#[derive(Clone)]
pub(super) enum Credential {
    None,
    Keypad,
    Pin(Arc<Pin>),
}

impl Credential {
    /// Whether the token would be asked the same again.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) | (Self::Keypad, Self::Keypad) => true,
            (Self::Pin(this), Self::Pin(other)) => {
                let [this, other] = [this, other].map(|pin| pin.unmasked());
                constant_time_eq(&this, &other)
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential([redacted])")
    }
}

/// A PIN, masked.
pub(super) struct Pin {
    masked: Zeroizing<Vec<u8>>,
    mask: Zeroizing<Vec<u8>>,
}

impl Pin {
    fn new(pin: &[u8]) -> Result<Self, &'static str> {
        if pin.is_empty() {
            return Err("it is empty");
        }
        if pin.len() > MAX_PIN_LEN {
            return Err("it is longer than 1024 bytes");
        }
        let mut mask = Zeroizing::new(vec![0; pin.len()]);
        SystemRandom
            .fill(&mut mask)
            .map_err(|_| "there is no randomness to keep it safe in memory")?;
        let masked = Zeroizing::new(xor(pin, &mask));
        Ok(Self { masked, mask })
    }

    fn unmasked(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(xor(&self.masked, &self.mask))
    }

    /// The PIN, for a token to read; erased on drop.
    pub(super) fn expose(&self) -> RawAuthPin {
        RawAuthPin::new(Box::new(xor(&self.masked, &self.mask)))
    }
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(a, b)| a ^ b).collect()
}

/// How a token refused a login. Each is for good until the PIN is changed: here, or in the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinFailure {
    /// Another PIN is the right one.
    #[error(
        "the PIN is wrong, and is not tried again, because tokens lock after a few tries; correct it, then start anew or call log_in_anew"
    )]
    Incorrect,
    /// Too many wrong ones were tried.
    #[error(
        "the PIN is locked after too many wrong ones; let the security officer unlock it (C_InitPIN), then start anew or call log_in_anew"
    )]
    Locked,
    /// One more wrong one would lock it. This crate leaves that try to you.
    #[error(
        "the PIN was not tried, since one more wrong one would lock the token; log in once with the right one by the token's own tool (pkcs11-tool --login), which resets the count"
    )]
    LastTry,
    /// It is too old.
    #[error(
        "the PIN has expired; set a new one with the token's own tool, configure it, then start anew or call log_in_anew"
    )]
    Expired,
    /// It was never set.
    #[error(
        "the user PIN was never set; let the security officer set it (C_InitPIN), then start anew or call log_in_anew"
    )]
    NotInitialised,
    /// It cannot be a PIN of this token.
    #[error(
        "the PIN has a length or characters that the token does not take; correct it, then start anew or call log_in_anew"
    )]
    Malformed,
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Pkcs11Error> {
    let unreadable = |source| Pkcs11Error::PinFile {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mode = permission_bits(&file).map_err(unreadable)?;
    if mode & GROUP_AND_OTHERS != 0 {
        return Err(Pkcs11Error::PinReadableByOthers {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_PIN_LEN + LINE_END_LEN + 1));
    file.take((MAX_PIN_LEN + LINE_END_LEN + 1) as u64)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

const GROUP_AND_OTHERS: u32 = 0o077;
const LINE_END_LEN: usize = 2;

#[cfg(unix)]
fn permission_bits(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.mode() & 0o777)
}

#[cfg(not(unix))]
fn permission_bits(_file: &File) -> io::Result<u32> {
    Ok(0)
}

fn without_line_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}
