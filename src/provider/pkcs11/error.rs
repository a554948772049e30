use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::pin::PinFailure;
use super::uri::UriError;
use crate::provider::ProviderError;

/// Why a token is not used: what is wrong, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11Error {
    /// The configuration names no module.
    #[error(
        "no PKCS#11 module is named; give the path of the module, or a URI with module-path or module-name"
    )]
    NoModule,
    /// There is no such file.
    #[error(
        "there is no PKCS#11 module at {}; install the token's software, or correct the path",
        .path.display()
    )]
    NoSuchModule {
        /// The path given.
        path: PathBuf,
    },
    /// No module of that name is in the directories that are searched.
    #[error(
        "no PKCS#11 module is named {name:?} in {}; give its path as module-path",
        list(.directories.iter().map(|directory| directory.display().to_string()))
    )]
    NoModuleOfName {
        /// The name given.
        name: String,
        /// Where it was looked for.
        directories: Vec<PathBuf>,
    },
    /// The file is no shared library of this system.
    #[error(
        "{} is no shared library; give the path of the PKCS#11 module itself, which usually ends in .so",
        .path.display()
    )]
    NotALibrary {
        /// The path given.
        path: PathBuf,
    },
    /// The library is for another kind of processor than this process.
    #[error(
        "{} is built for {found}, and this program for {expected}; install the PKCS#11 module for {expected}",
        .path.display()
    )]
    WrongArchitecture {
        /// The path given.
        path: PathBuf,
        /// What the library is built for.
        found: String,
        /// What it would have to be built for.
        expected: String,
    },
    /// The operating system could not load the library.
    #[error(
        "{} could not be loaded; install what it needs (`ldd {}` lists it): {reason}",
        .path.display(), .path.display()
    )]
    Load {
        /// The path given.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The library is no PKCS#11 module.
    #[error(
        "{} is a library, but no PKCS#11 module: it has no C_GetFunctionList; give the path of the module",
        .path.display()
    )]
    NotPkcs11 {
        /// The path given.
        path: PathBuf,
    },
    /// The URI is not one that names a token.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The module is not the one that the URI describes.
    #[error(
        "the module says that its {name} is {is:?}, and the URI says {wanted:?}; correct one of them"
    )]
    OtherLibrary {
        /// The attribute of the URI.
        name: &'static str,
        /// Its value.
        wanted: String,
        /// What the module says.
        is: String,
    },
    /// No token is like the one that is asked for.
    #[error("{}", no_token(.wanted, .found, .skipped))]
    NoToken {
        /// What is asked for.
        wanted: String,
        /// The tokens that there are.
        found: Vec<String>,
        /// The slots that could not be looked into, and why.
        skipped: Vec<String>,
    },
    /// Several tokens are like the one that is asked for.
    #[error(
        "more than one token is {wanted}: {}; name the token by its serial number",
        list(.found.iter().cloned())
    )]
    SeveralTokens {
        /// What is asked for.
        wanted: String,
        /// The tokens that are like it.
        found: Vec<String>,
    },
    /// The token wants a PIN, and none is configured.
    #[error("the token {token:?} wants a PIN; configure where to take it from")]
    NoPin {
        /// The token's label.
        token: String,
    },
    /// The file with the PIN could not be read.
    #[error(
        "the PIN file {} could not be read: {source}; put it there, or correct the path and who may read it",
        .path.display()
    )]
    PinFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Other users may read the file with the PIN.
    #[error(
        "the PIN file {} can be read by others (mode {mode:04o}); make it yours alone with: chmod 600 {}",
        .path.display(), .path.display()
    )]
    PinReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The environment variable is not set.
    #[error("the environment variable {name} is not set; set it to the token's PIN")]
    NoPinVariable {
        /// The variable's name.
        name: String,
    },
    /// What was found there is no PIN.
    #[error("{place} holds no PIN: {reason}")]
    NotAPin {
        /// Where: a file or a variable.
        place: String,
        /// Why it is none.
        reason: &'static str,
    },
    /// The application's own source of the PIN failed.
    #[error("the application gave no PIN for the token: {source}")]
    PinCallback {
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The token refused the PIN. It is not tried again.
    #[error("the token {token:?} refused the login: {failure}")]
    Login {
        /// The token's label.
        token: String,
        /// Why.
        failure: PinFailure,
    },
    /// The security officer is logged in, so the user cannot.
    #[error(
        "the security officer is logged in to the token {token:?} in this process; log it out, or administer the token from another process"
    )]
    SecurityOfficer {
        /// The token's label.
        token: String,
    },
    /// Something in this process logs out as fast as this crate logs in.
    #[error(
        "something else in this process logs out from the token again and again; let it use a token or a process of its own"
    )]
    LoggedOut,
    /// All sessions are in use.
    #[error(
        "all {sessions} sessions with the token were in use for {waited:?}; allow more sessions, or use fewer threads"
    )]
    Busy {
        /// How many sessions there are.
        sessions: usize,
        /// How long a free one was waited for.
        waited: Duration,
    },
    /// The module is not working, and it is too early to initialise it once more.
    #[error("the module failed and is initialised again in {after:?} at the earliest: {reason}")]
    Waiting {
        /// How long from now.
        after: Duration,
        /// What failed.
        reason: String,
    },
    /// The module is not working, and others in this process may be using it.
    #[error(
        "the module failed, and is not initialised anew because something else in this process initialised it: {reason}; restart the process, or allow it with Reinitialise::Always"
    )]
    NotOurs {
        /// What failed.
        reason: String,
    },
    /// A function of the module failed.
    #[error("C_{function} answered {code}{}", hint(.code))]
    Call {
        /// The function's name, without the `C_`.
        function: String,
        /// The code, by its name in the standard or as a number.
        code: String,
    },
    /// The module's answer is not one that it may give.
    #[error(
        "the token answered in a way that it must not: {what}; the log of the module or the token may say why"
    )]
    Answer {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Several keys of the token have one id.
    #[error(
        "{count} keys of the token have the id {id}; remove all but one, for instance with pkcs11-tool --delete-object"
    )]
    SeveralKeys {
        /// The id, in hexadecimal.
        id: String,
        /// How many.
        count: usize,
    },
    /// Several keys of the token have one label.
    #[error(
        "{count} keys of the token have the label {label:?}; name the key by its id, which list_keys tells, or give each a label of its own"
    )]
    SeveralKeysOfLabel {
        /// The label.
        label: String,
        /// How many.
        count: usize,
    },
    /// The key has no id by which messages could name it.
    #[error(
        "the key with the label {label:?} has no CKA_ID; give it one, for instance with pkcs11-tool --set-id"
    )]
    KeyWithoutId {
        /// The label.
        label: String,
    },
    /// The token does not wrap as the mechanism says.
    #[error("the token does not wrap as the mechanism says: {what}")]
    Mechanism {
        /// What was seen.
        what: &'static str,
    },
    /// The token has no mechanism that keys may wrap by.
    #[error(
        "the token has no mechanism to wrap by, of those configured ({}); configure one that it has, or the token's vendor",
        .passed_over.join("; ")
    )]
    NoMechanism {
        /// Each mechanism, and what is wrong with it.
        passed_over: Vec<String>,
    },
    /// The key that was found again does not unwrap what it wrapped before.
    #[error(
        "the token has another key under the id {id} than before; restore the key that was there"
    )]
    OtherKey {
        /// The id, in hexadecimal.
        id: String,
    },
}

impl Pkcs11Error {
    /// Whether the same call may succeed later, with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::NoToken { .. }
                | Self::PinCallback { .. }
                | Self::SecurityOfficer { .. }
                | Self::LoggedOut
                | Self::Busy { .. }
                | Self::Waiting { .. }
                | Self::NotOurs { .. }
                | Self::Call { .. }
                | Self::Answer { .. }
        )
    }
}

/// What the provider says of a token that could not be used.
impl From<Pkcs11Error> for ProviderError {
    fn from(error: Pkcs11Error) -> Self {
        let provider = super::NAME.to_owned();
        if error.is_retryable() {
            Self::Unavailable {
                provider,
                source: Box::new(error),
            }
        } else {
            Self::Refused {
                provider,
                source: Box::new(error),
            }
        }
    }
}

fn no_token(wanted: &str, found: &[String], skipped: &[String]) -> String {
    let mut text = format!("no token is {wanted}; ");
    if found.is_empty() {
        text.push_str("there is no initialised token: insert or initialise it, and check the configuration of the module");
    } else {
        text.push_str("use one of these, or insert the token: ");
        text.push_str(&list(found.iter().cloned()));
    }
    if !skipped.is_empty() {
        text.push_str("; not readable: ");
        text.push_str(&list(skipped.iter().cloned()));
    }
    text
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// What to do about codes that a configuration can bring about.
fn hint(code: &str) -> &'static str {
    match code {
        "SessionCount" => {
            "; the token has no more sessions: allow fewer here, or close those of others"
        }
        "TokenNotPresent" | "DeviceRemoved" => "; insert the token",
        "TokenWriteProtected" => "; the token is write-protected",
        "MechanismInvalid" | "MechanismParamInvalid" => {
            "; the token does not do this: configure another mechanism"
        }
        "KeyFunctionNotPermitted" => "; the key's attributes do not allow it",
        _ => "; the log of the module or the token may say why",
    }
}
