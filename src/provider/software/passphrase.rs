//! A root key from a passphrase: Argon2id (RFC 9106) with stored costs, salt and check value.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::root_key::{RootKey, RootKeyError};
use crate::crypto::{Expand, KEY_LEN, constant_time_eq};
use crate::format::codec::Reader;
use crate::format::{FormatError, label};
use crate::rng::{RandomSource, SystemRandom};

const RECORD_VERSION: u8 = 1;
const SALT_LEN: usize = 16;
const CHECK_LEN: usize = 16;

/// What must be stored beside a passphrase to get the root key again: costs, salt and a check
/// value. Not secret, but whoever has it can try passphrases.
///
/// ```
/// use waxseal::{PassphraseRecord, RootKey};
///
/// let (root_key, record) = PassphraseRecord::create("correct horse battery staple")?;
/// let stored = record.to_bytes();
///
/// let record = PassphraseRecord::from_bytes(&stored)?;
/// let root_key = RootKey::from_passphrase("correct horse battery staple", &record)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassphraseRecord {
    costs: PassphraseCosts,
    salt: [u8; SALT_LEN],
    check: [u8; CHECK_LEN],
}

/// What deriving a key from a passphrase costs, for its owner and for one who guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseCosts {
    /// Memory, in KiB: 8 per lane to 2097152 (2 GiB).
    pub memory_kib: u32,
    /// Passes over the memory: 1 to 64.
    pub passes: u32,
    /// Lanes: 1 to 16. They are computed one after the other.
    pub lanes: u32,
}

/// The second recommendation of RFC 9106 section 4: 64 MiB, 3 passes, 4 lanes.
impl Default for PassphraseCosts {
    fn default() -> Self {
        Self {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 4,
        }
    }
}

/// Why bytes are no passphrase record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a passphrase record: {reason}; give the bytes that to_bytes returned")]
pub struct InvalidPassphraseRecord {
    reason: &'static str,
}

impl PassphraseRecord {
    /// The length of a record, in bytes.
    pub const LEN: usize = 13 + SALT_LEN + CHECK_LEN;

    /// Makes a record, with a new salt and the default costs, and the root key that belongs to it.
    ///
    /// # Errors
    ///
    /// [`RootKeyError::EmptyPassphrase`] or [`RootKeyError::Random`].
    pub fn create(passphrase: &str) -> Result<(RootKey, Self), RootKeyError> {
        Self::create_with(passphrase, PassphraseCosts::default())
    }

    /// Makes a record with costs of your choice.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), and [`RootKeyError::Costs`].
    pub fn create_with(
        passphrase: &str,
        costs: PassphraseCosts,
    ) -> Result<(RootKey, Self), RootKeyError> {
        let mut salt = [0; SALT_LEN];
        SystemRandom.fill(&mut salt)?;
        let key = derive(passphrase, &salt, costs)?;
        let check = check_value(&key);
        let record = Self { costs, salt, check };
        Ok((RootKey::from_zeroizing(key), record))
    }

    /// Reads a stored record.
    ///
    /// # Errors
    ///
    /// [`InvalidPassphraseRecord`] for anything that [`to_bytes`](Self::to_bytes) does not write,
    /// and for costs outside of what [`PassphraseCosts`] allows.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidPassphraseRecord> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8("version").map_err(too_short)?;
        if version != RECORD_VERSION {
            return Err(InvalidPassphraseRecord {
                reason: "its version is not 1",
            });
        }
        let mut cost = || reader.take_array("cost").copied().map(u32::from_be_bytes);
        let costs = PassphraseCosts {
            memory_kib: cost().map_err(too_short)?,
            passes: cost().map_err(too_short)?,
            lanes: cost().map_err(too_short)?,
        };
        costs
            .check()
            .map_err(|reason| InvalidPassphraseRecord { reason })?;
        let record = Self {
            costs,
            salt: *reader.take_array("salt").map_err(too_short)?,
            check: *reader.take_array("check").map_err(too_short)?,
        };
        if !reader.is_empty() {
            return Err(InvalidPassphraseRecord {
                reason: "it is longer than 45 bytes",
            });
        }
        Ok(record)
    }

    /// The bytes to store (`FORMAT.md`, "Passphrase record").
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let PassphraseCosts {
            memory_kib,
            passes,
            lanes,
        } = self.costs;
        let mut bytes = Vec::with_capacity(Self::LEN);
        bytes.push(RECORD_VERSION);
        for cost in [memory_kib, passes, lanes] {
            bytes.extend_from_slice(&cost.to_be_bytes());
        }
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.check);
        bytes
    }

    /// The costs.
    #[must_use]
    pub fn costs(&self) -> PassphraseCosts {
        self.costs
    }

    pub(super) fn open(&self, passphrase: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, RootKeyError> {
        let key = derive(passphrase, &self.salt, self.costs)?;
        if constant_time_eq(&check_value(&key), &self.check) {
            Ok(key)
        } else {
            Err(RootKeyError::WrongPassphrase)
        }
    }
}

impl PassphraseCosts {
    fn check(self) -> Result<(), &'static str> {
        if !(1..=16).contains(&self.lanes) {
            return Err("lanes must be 1 to 16");
        }
        if !(1..=64).contains(&self.passes) {
            return Err("passes must be 1 to 64");
        }
        if !(8 * self.lanes..=2 << 20).contains(&self.memory_kib) {
            return Err("memory must be 8 KiB per lane to 2 GiB");
        }
        Ok(())
    }
}

impl fmt::Display for PassphraseCosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} KiB, {} passes, {} lanes",
            self.memory_kib, self.passes, self.lanes
        )
    }
}

fn derive(
    passphrase: &str,
    salt: &[u8; SALT_LEN],
    costs: PassphraseCosts,
) -> Result<Zeroizing<[u8; KEY_LEN]>, RootKeyError> {
    if passphrase.is_empty() {
        return Err(RootKeyError::EmptyPassphrase);
    }
    costs
        .check()
        .map_err(|reason| RootKeyError::Costs { reason })?;
    let refused = |_| RootKeyError::Costs {
        reason: "Argon2id does not run with them",
    };
    let params =
        Params::new(costs.memory_kib, costs.passes, costs.lanes, Some(KEY_LEN)).map_err(refused)?;
    let mut key = Zeroizing::new([0; KEY_LEN]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(refused)?;
    Ok(key)
}

fn check_value(key: &[u8; KEY_LEN]) -> [u8; CHECK_LEN] {
    *Expand::new(key).derive(&[label!("passphrase-check")])
}

fn too_short(_: FormatError) -> InvalidPassphraseRecord {
    InvalidPassphraseRecord {
        reason: "it is shorter than 45 bytes",
    }
}
