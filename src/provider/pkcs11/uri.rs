//! `pkcs11:` URIs (RFC 7512).

mod parse;

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use self::parse::{Attributes, Part};
use super::config::LibrarySelector;
use super::error::Pkcs11Error;
use super::pin::PinSource;
use super::slot::TokenSelector;

/// A `pkcs11:` URI (RFC 7512), which names a module, a token in it, a key in the token and the
/// token's PIN: each or none of them.
///
/// | attribute | what |
/// | --- | --- |
/// | `token`, `serial`, `manufacturer`, `model` | the token, as it describes itself |
/// | `slot-id`, `slot-description`, `slot-manufacturer` | the slot that it is in |
/// | `library-manufacturer`, `library-description`, `library-version` | the module, as it describes itself |
/// | `object`, `id`, `type` | the key: its label, its id in percent-encoded bytes, `secret-key` or `private` |
/// | `?module-path` | the module, by its path |
/// | `&module-name` | the module, by its name: `softhsm2` is `softhsm2.so` or `libsofthsm2.so` in one of the [usual directories](Self::MODULE_DIRECTORIES) |
/// | `&pin-source` | a file that holds the PIN: a path, or a `file:` URI |
/// | `&pin-value` | the PIN itself. Everything that shows the URI shows the PIN: prefer `pin-source` |
///
/// Every attribute before the `?` narrows down what is meant, so one that is not known is refused.
/// After the `?`, one that is not known is ignored. What is given twice is refused, and so are
/// `pin-value` and `pin-source` together, and the form of `pin-source` that runs a command.
///
/// ```
/// use waxseal::pkcs11::Pkcs11Uri;
///
/// let uri = Pkcs11Uri::parse("pkcs11:token=My%20token;object=orders?module-name=softhsm2")?;
/// assert_eq!(uri.object(), Some("orders"));
/// # Ok::<(), waxseal::pkcs11::UriError>(())
/// ```
#[derive(Clone)]
pub struct Pkcs11Uri {
    attributes: Attributes,
    slot: Option<u64>,
}

/// Why a text is no `pkcs11:` URI that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// It begins otherwise.
    #[error("a PKCS#11 URI begins with `pkcs11:`, and this text does not")]
    Scheme,
    /// A part of it is no attribute.
    #[error("part {part} of the PKCS#11 URI is no attribute; write name=value")]
    NoAttribute {
        /// Which of its parts, from 1; `;` and `&` separate them.
        part: usize,
    },
    /// An attribute's value, or the attribute itself, is not as it must be.
    #[error("the attribute {name} of the PKCS#11 URI {reason}")]
    Attribute {
        /// The attribute's name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Pkcs11Uri {
    /// Where `module-name` is looked for.
    pub const MODULE_DIRECTORIES: &[&str] = &[
        "/usr/lib/pkcs11",
        "/usr/lib64/pkcs11",
        "/usr/lib/x86_64-linux-gnu/pkcs11",
        "/usr/lib/aarch64-linux-gnu/pkcs11",
        "/usr/lib/softhsm",
        "/usr/lib",
        "/usr/lib64",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/local/lib",
        "/usr/local/lib/pkcs11",
        "/usr/local/lib/softhsm",
        "/opt/homebrew/lib",
    ];

    /// Reads a URI.
    ///
    /// # Errors
    ///
    /// [`UriError`]; it names the attribute that is wrong, and shows no value.
    pub fn parse(uri: &str) -> Result<Self, UriError> {
        let attributes = Attributes::parse(uri)?;
        let wrong = |name: &str, reason| {
            Err(UriError::Attribute {
                name: name.to_owned(),
                reason,
            })
        };
        let slot = match attributes.text(Part::Path, "slot-id").map(str::parse) {
            None => None,
            Some(Ok(slot)) => Some(slot),
            Some(Err(_)) => return wrong("slot-id", "is no number; give the slot's id in decimal"),
        };
        let has = |name| attributes.text(Part::Query, name).is_some();
        if has("pin-value") && has("pin-source") {
            return wrong("pin-value", "is given beside pin-source; give one of them");
        }
        if has("module-path") && has("module-name") {
            return wrong(
                "module-name",
                "is given beside module-path; give one of them",
            );
        }
        Ok(Self { attributes, slot })
    }

    /// The label of the key that is meant.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        self.attributes.text(Part::Path, "object")
    }

    /// The id of the key that is meant (`CKA_ID`).
    #[must_use]
    pub fn id(&self) -> Option<&[u8]> {
        self.attributes.bytes(Part::Path, "id")
    }

    /// What the key that is meant is, in RFC 7512's words: `secret-key`, `private`, `public`.
    #[must_use]
    pub fn object_type(&self) -> Option<&str> {
        self.attributes.text(Part::Path, "type")
    }

    /// The path of the module that is meant.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error::NoModuleOfName`], and [`Pkcs11Error::Uri`] for a name that is none.
    pub fn module(&self) -> Result<Option<PathBuf>, Pkcs11Error> {
        if let Some(path) = self.attributes.text(Part::Query, "module-path") {
            return Ok(Some(path.into()));
        }
        let name = self.attributes.text(Part::Query, "module-name");
        name.map(find_module).transpose()
    }

    /// Where the URI says that the PIN is.
    ///
    /// # Errors
    ///
    /// [`Pkcs11Error::NotAPin`], and [`Pkcs11Error::Uri`] for a source that is not supported.
    pub fn pin(&self) -> Result<Option<PinSource>, Pkcs11Error> {
        if let Some(pin) = self.attributes.bytes(Part::Query, "pin-value") {
            return PinSource::value(pin).map(Some);
        }
        let source = self.attributes.text(Part::Query, "pin-source");
        source.map(pin_file).transpose()
    }

    pub(super) fn token_selector(&self) -> TokenSelector {
        let stated = |name| self.attributes.text(Part::Path, name).map(str::to_owned);
        TokenSelector {
            label: stated("token"),
            serial: stated("serial"),
            manufacturer: stated("manufacturer"),
            model: stated("model"),
            slot: self.slot,
            slot_description: stated("slot-description"),
            slot_manufacturer: stated("slot-manufacturer"),
        }
    }

    pub(super) fn library_selector(&self) -> LibrarySelector {
        let stated = |name| self.attributes.text(Part::Path, name).map(str::to_owned);
        LibrarySelector {
            manufacturer: stated("library-manufacturer"),
            description: stated("library-description"),
            version: stated("library-version"),
        }
    }
}

impl std::str::FromStr for Pkcs11Uri {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        Self::parse(uri)
    }
}

impl fmt::Debug for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attributes.fmt(f)
    }
}

fn find_module(name: &str) -> Result<PathBuf, Pkcs11Error> {
    if name.is_empty() || name.contains(['/', '\\']) {
        return Err(Pkcs11Error::Uri(UriError::Attribute {
            name: "module-name".to_owned(),
            reason: "is no name: it may not be empty or contain a slash; give a path as module-path",
        }));
    }
    let files = [format!("{name}.so"), format!("lib{name}.so")];
    let directories = Pkcs11Uri::MODULE_DIRECTORIES.iter().map(Path::new);
    let mut candidates = directories
        .clone()
        .flat_map(|directory| files.iter().map(move |file| directory.join(file)));
    candidates
        .find(|path| path.is_file())
        .ok_or_else(|| Pkcs11Error::NoModuleOfName {
            name: name.to_owned(),
            directories: directories
                .filter(|directory| directory.is_dir())
                .map(Path::to_owned)
                .collect(),
        })
}

fn pin_file(source: &str) -> Result<PinSource, Pkcs11Error> {
    let path = source.strip_prefix("file:").unwrap_or(source);
    let path = match path.strip_prefix("//") {
        None => path,
        Some(after) => after.strip_prefix("localhost").unwrap_or(after),
    };
    if !path.starts_with('/') {
        return Err(Pkcs11Error::Uri(UriError::Attribute {
            name: "pin-source".to_owned(),
            reason: "is no file; give an absolute path or file:/path, since commands are not run",
        }));
    }
    if path.len() == source.len() {
        return Ok(PinSource::file(path));
    }
    let path = parse::percent_decode(path.as_bytes()).map_err(|reason| UriError::Attribute {
        name: "pin-source".to_owned(),
        reason,
    })?;
    match std::str::from_utf8(&path) {
        Ok(path) => Ok(PinSource::file(path)),
        Err(_) => Err(Pkcs11Error::Uri(UriError::Attribute {
            name: "pin-source".to_owned(),
            reason: "is no UTF-8 text",
        })),
    }
}

/// Values may be secret, so all are held as if they were.
type Value = Zeroizing<Vec<u8>>;

#[cfg(test)]
mod tests;
