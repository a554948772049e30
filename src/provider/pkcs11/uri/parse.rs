//! The syntax: attributes, and what their values may hold.

use std::fmt;

use zeroize::Zeroizing;

use super::{UriError, Value};

/// The two parts of a URI: what is meant, and how to get at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Path,
    Query,
}

/// The attributes that are understood, decoded.
#[derive(Clone, Default)]
pub(super) struct Attributes(Vec<(Part, &'static str, Value)>);

const PATH_NAMES: &[&str] = &[
    "id",
    "library-description",
    "library-manufacturer",
    "library-version",
    "manufacturer",
    "model",
    "object",
    "serial",
    "slot-description",
    "slot-id",
    "slot-manufacturer",
    "token",
    "type",
];

const QUERY_NAMES: &[&str] = &["module-name", "module-path", "pin-source", "pin-value"];

impl Attributes {
    pub(super) fn parse(uri: &str) -> Result<Self, UriError> {
        const SCHEME: &str = "pkcs11:";
        let uri = uri.trim();
        let rest = match uri.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            _ => return Err(UriError::Scheme),
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let of = |part| move |text| (part, text);
        let path = path.split(';').map(of(Part::Path));
        let query = query.split('&').map(of(Part::Query));
        let mut attributes = Self::default();
        for (place, (part, text)) in path.chain(query).enumerate() {
            if !text.is_empty() {
                attributes.add(place + 1, part, text)?;
            }
        }
        Ok(attributes)
    }

    /// The value of an attribute that holds bytes.
    pub(super) fn bytes(&self, part: Part, name: &str) -> Option<&[u8]> {
        let mut attributes = self.0.iter();
        let found = attributes.find(|(of, is, _)| *of == part && *is == name);
        found.map(|(_, _, value)| value.as_slice())
    }

    /// The value of an attribute that holds text.
    pub(super) fn text(&self, part: Part, name: &str) -> Option<&str> {
        std::str::from_utf8(self.bytes(part, name)?).ok()
    }

    fn add(&mut self, place: usize, part: Part, text: &str) -> Result<(), UriError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if is_name(name) => (name, value),
            _ => return Err(UriError::NoAttribute { part: place }),
        };
        let wrong = |reason| UriError::Attribute {
            name: name.to_owned(),
            reason,
        };
        let names = match part {
            Part::Path => PATH_NAMES,
            Part::Query => QUERY_NAMES,
        };
        let Some(&name) = names.iter().find(|known| **known == name) else {
            return match part {
                Part::Query => Ok(()),
                Part::Path => Err(wrong(
                    "is not known, so there is no telling what is meant; leave it out",
                )),
            };
        };
        if self.bytes(part, name).is_some() {
            return Err(wrong("is given twice; give it once"));
        }
        if !value.bytes().all(|byte| is_allowed(part, byte)) {
            return Err(wrong(
                "holds a character that must be percent-encoded, such as a space, `/`, `#` or `%`",
            ));
        }
        let value = percent_decode(value.as_bytes()).map_err(wrong)?;
        if name != "id" && name != "pin-value" && std::str::from_utf8(&value).is_err() {
            return Err(wrong("is no UTF-8 text"));
        }
        if name != "id" && value.contains(&0) {
            return Err(wrong("holds a zero byte"));
        }
        self.0.push((part, name, value));
        Ok(())
    }
}

/// Decodes `%` and two hexadecimal digits to a byte.
pub(super) fn percent_decode(text: &[u8]) -> Result<Value, &'static str> {
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("holds a `%` that two hexadecimal digits do not follow");
        };
        decoded.push(u8::try_from(high << 4 | low).unwrap_or_default());
    }
    Ok(decoded)
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(allowed)
}

/// What RFC 7512 lets stand for itself in a value, and the `%` of what is encoded.
fn is_allowed(part: Part, byte: u8) -> bool {
    let own = match part {
        Part::Path => b'&'.eq(&byte),
        Part::Query => b"/?|".contains(&byte),
    };
    own || byte.is_ascii_alphanumeric() || b"-._~:[]@!$'()*+,=%".contains(&byte)
}

/// Shows names, and of the values those that say which token or key is meant.
impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_map();
        for (part, name, value) in &self.0 {
            match part {
                Part::Query if *name == "pin-value" => shown.entry(name, &"[redacted]"),
                _ => shown.entry(name, &String::from_utf8_lossy(value)),
            };
        }
        shown.finish()
    }
}
