//! The root key and the places it comes from.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::key_text::{KeyTextError, MAX_KEY_TEXT_LEN, parse_key};
use super::passphrase::PassphraseRecord;
use crate::crypto::KEY_LEN;
use crate::rng::{RandomError, RandomSource, SystemRandom};

/// The 32-byte key at the root of a [`SoftwareKeyProvider`](super::SoftwareKeyProvider).
///
/// Whoever has it opens everything under it; whoever loses it opens nothing. Keep a copy where the
/// data is not. It has no `Clone` and no serialisation, and is zeroized on drop.
///
/// ```no_run
/// use waxseal::RootKey;
///
/// RootKey::create_file("root.key")?;                    // once
/// let root_key = RootKey::from_file("root.key")?;       // at every start
/// # Ok::<(), waxseal::RootKeyError>(())
/// ```
pub struct RootKey(Zeroizing<[u8; KEY_LEN]>);

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootKeyError {
    /// The file could not be read or created.
    #[error(
        "the root key file {} could not be {action}: {source}; {}",
        .path.display(), advice(action, source.kind())
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried: `read` or `created`.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// Other users may read the file.
    #[error(
        "the root key file {} can be read by others (mode {mode:04o}); make it yours alone with: chmod 600 {}",
        .path.display(), .path.display()
    )]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The environment variable is not set.
    #[error(
        "the environment variable {name} is not set; set it to a root key of 32 bytes as base64 or hexadecimal"
    )]
    NoVariable {
        /// The variable's name.
        name: String,
    },
    /// The process was given no systemd credentials.
    #[error(
        "no systemd credential {name:?} was passed to this process; add LoadCredential={name}:PATH or LoadCredentialEncrypted= to the unit"
    )]
    NoCredential {
        /// The credential's name.
        name: String,
    },
    /// The name is no name of a credential.
    #[error(
        "{name:?} is no name of a systemd credential: it may not be empty, `.` or `..`, nor contain a slash"
    )]
    CredentialName {
        /// The name given.
        name: String,
    },
    /// What was found there is not a key.
    #[error("{place} holds no root key: {source}")]
    NotAKey {
        /// Where: a file or a variable.
        place: String,
        /// Why it is none.
        source: KeyTextError,
    },
    /// The passphrase is not the one that the record was made with.
    #[error(
        "the passphrase is wrong for this record; check the passphrase, and that the record is the one made with it"
    )]
    WrongPassphrase,
    /// The passphrase is empty.
    #[error("the passphrase is empty; give a long one")]
    EmptyPassphrase,
    /// The costs are not ones that Argon2id can run with.
    #[error("the costs are outside of what is allowed: {reason}")]
    Costs {
        /// What is outside.
        reason: &'static str,
    },
    /// The random generator failed.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl RootKey {
    /// Generates a root key from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`RootKeyError::Random`] when there is none.
    pub fn generate() -> Result<Self, RootKeyError> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        SystemRandom.fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// Takes 32 uniformly random bytes, from a secret manager for instance. **Not** a password:
    /// see [`PassphraseRecord`] for that.
    ///
    /// The caller's copy of the bytes stays the caller's to erase.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// Reads 32 raw bytes, or their base64 or hexadecimal text, as every other source does.
    ///
    /// # Errors
    ///
    /// [`KeyTextError`] for anything else.
    pub fn from_text(text: &[u8]) -> Result<Self, KeyTextError> {
        parse_key(text).map(Self)
    }

    /// Reads an environment variable that holds the key as base64 or hexadecimal text.
    ///
    /// The variable stays set: child processes inherit it, and other processes of the same user
    /// may see it. Prefer a file or a credential.
    ///
    /// # Errors
    ///
    /// [`RootKeyError::NoVariable`] or [`RootKeyError::NotAKey`].
    pub fn from_env(name: impl AsRef<OsStr>) -> Result<Self, RootKeyError> {
        let name = name.as_ref();
        let value = std::env::var_os(name).ok_or_else(|| RootKeyError::NoVariable {
            name: name.to_string_lossy().into_owned(),
        })?;
        let text = Zeroizing::new(value.into_encoded_bytes());
        Self::from_text(&text).map_err(|source| RootKeyError::NotAKey {
            place: format!("the environment variable {}", name.to_string_lossy()),
            source,
        })
    }

    /// Reads a file that holds 32 raw bytes, or their base64 or hexadecimal text.
    ///
    /// On Unix the file must not be accessible to group and others.
    ///
    /// # Errors
    ///
    /// [`RootKeyError::File`], [`RootKeyError::ReadableByOthers`] or [`RootKeyError::NotAKey`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, RootKeyError> {
        read_file(path.as_ref(), GROUP_AND_OTHERS)
    }

    /// Generates a root key and writes it to a new file, as base64 text, for this user alone. It
    /// is on the disk when the call returns.
    ///
    /// # Errors
    ///
    /// [`RootKeyError::File`], also when the file exists already: it is never overwritten.
    pub fn create_file(path: impl AsRef<Path>) -> Result<Self, RootKeyError> {
        let path = path.as_ref();
        let root_key = Self::generate()?;
        write_new_file(path, &root_key).map_err(|source| RootKeyError::File {
            path: path.to_owned(),
            action: "created",
            source,
        })?;
        Ok(root_key)
    }

    /// Reads the systemd credential `name` (`LoadCredential=` and its relatives, systemd.exec(5)),
    /// which holds what a file would.
    ///
    /// # Errors
    ///
    /// [`RootKeyError::NoCredential`] when the process was given none, otherwise as
    /// [`from_file`](Self::from_file); group access is allowed, since systemd may grant it to
    /// itself.
    pub fn from_systemd_credential(name: &str) -> Result<Self, RootKeyError> {
        if name.is_empty() || name == "." || name == ".." || name.contains('/') {
            return Err(RootKeyError::CredentialName {
                name: name.to_owned(),
            });
        }
        let no_credential = || RootKeyError::NoCredential {
            name: name.to_owned(),
        };
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(no_credential)?;
        let path = Path::new(&directory).join(name);
        if !path.exists() {
            return Err(no_credential());
        }
        read_file(&path, OTHERS)
    }

    /// Derives the root key that `record` was made with from its passphrase (Argon2id, RFC 9106).
    ///
    /// Takes as long and as much memory as the record's costs say: by default about 0.1 s and
    /// 64 MiB.
    ///
    /// # Errors
    ///
    /// [`RootKeyError::WrongPassphrase`].
    pub fn from_passphrase(
        passphrase: &str,
        record: &PassphraseRecord,
    ) -> Result<Self, RootKeyError> {
        record.open(passphrase).map(Self)
    }

    pub(super) fn from_zeroizing(key: Zeroizing<[u8; KEY_LEN]>) -> Self {
        Self(key)
    }

    pub(super) fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey([redacted])")
    }
}

const GROUP_AND_OTHERS: u32 = 0o077;
const OTHERS: u32 = 0o007;

fn read_file(path: &Path, refused_mode: u32) -> Result<RootKey, RootKeyError> {
    let unreadable = |source| RootKeyError::File {
        path: path.to_owned(),
        action: "read",
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let mode = permission_bits(&file).map_err(unreadable)?;
    if mode & refused_mode != 0 {
        return Err(RootKeyError::ReadableByOthers {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_KEY_TEXT_LEN + 1));
    file.take(MAX_KEY_TEXT_LEN as u64 + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    RootKey::from_text(&text).map_err(|source| RootKeyError::NotAKey {
        place: format!("the file {}", path.display()),
        source,
    })
}

fn advice(action: &str, error: io::ErrorKind) -> &'static str {
    match (action, error) {
        ("read", io::ErrorKind::NotFound) => {
            "put it there; if nothing was ever sealed under it, make one with RootKey::create_file"
        }
        ("created", io::ErrorKind::AlreadyExists) => {
            "a key is made once: read that one with RootKey::from_file, or give another name"
        }
        _ => "see to its directory and to who may use it",
    }
}

fn write_new_file(path: &Path, root_key: &RootKey) -> io::Result<()> {
    let mut text = Zeroizing::new(Base64::encode_string(root_key.expose()));
    text.push('\n');
    let mut options = File::options();
    options.write(true).create_new(true);
    for_this_user_alone(&mut options);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    sync_directory_of(path)
}

#[cfg(unix)]
fn permission_bits(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.mode() & 0o777)
}

#[cfg(unix)]
fn for_this_user_alone(options: &mut std::fs::OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(unix)]
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn permission_bits(_file: &File) -> io::Result<u32> {
    Ok(0)
}

#[cfg(not(unix))]
fn for_this_user_alone(_options: &mut std::fs::OpenOptions) {}

#[cfg(not(unix))]
fn sync_directory_of(_path: &Path) -> io::Result<()> {
    Ok(())
}
