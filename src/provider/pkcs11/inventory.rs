//! The keys that are in a token.

use std::fmt;

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::failure::Failure;
use crate::names::named;

/// A key of a token, as the token shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenKeyInfo {
    /// What it is.
    pub kind: TokenKeyKind,
    /// Its `CKA_ID`; empty if it has none.
    pub id: Vec<u8>,
    /// Its label.
    pub label: String,
    /// Its algorithm, by the name that the standard has for it: `AES`, `RSA`.
    pub algorithm: String,
    /// Whether it may leave the token, if the token says so. Of a public key this says nothing.
    pub extractable: Option<bool>,
    /// Whether its value is never shown, if the token says so.
    pub sensitive: Option<bool>,
}

/// What an object of a token is that is a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenKeyKind {
    /// A symmetric key.
    Secret,
    /// The private half of a pair.
    Private,
    /// The public half of a pair.
    Public,
}

named!(TokenKeyKind, "kind of a token's key", {
    Secret => "secret",
    Private => "private",
    Public => "public",
});

impl fmt::Display for TokenKeyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = base16ct::lower::encode_string(&self.id);
        write!(
            f,
            "{} {} key {:?}, id {id}",
            self.algorithm, self.kind, self.label
        )?;
        if self.extractable == Some(true) && self.kind != TokenKeyKind::Public {
            f.write_str(", may leave the token")?;
        }
        Ok(())
    }
}

pub(super) fn list(session: &Session) -> Result<Vec<TokenKeyInfo>, Failure> {
    let mut keys = Vec::new();
    for (class, kind) in [
        (ObjectClass::SECRET_KEY, TokenKeyKind::Secret),
        (ObjectClass::PRIVATE_KEY, TokenKeyKind::Private),
        (ObjectClass::PUBLIC_KEY, TokenKeyKind::Public),
    ] {
        let template = [Attribute::Class(class), Attribute::Token(true)];
        for object in session.find_objects(&template)? {
            keys.push(describe(session, object, kind)?);
        }
    }
    Ok(keys)
}

fn describe(
    session: &Session,
    object: ObjectHandle,
    kind: TokenKeyKind,
) -> Result<TokenKeyInfo, Error> {
    let mut info = TokenKeyInfo {
        kind,
        id: Vec::new(),
        label: String::new(),
        algorithm: "unknown".to_owned(),
        extractable: None,
        sensitive: None,
    };
    let wanted = [
        AttributeType::Id,
        AttributeType::Label,
        AttributeType::KeyType,
        AttributeType::Extractable,
        AttributeType::Sensitive,
    ];
    // Public keys have no such attributes, and some tokens then show none at all.
    let wanted = match kind {
        TokenKeyKind::Public => wanted.get(..3).unwrap_or_default(),
        TokenKeyKind::Secret | TokenKeyKind::Private => &wanted,
    };
    for attribute in session.get_attributes(object, wanted)? {
        match attribute {
            Attribute::Id(id) => info.id = id,
            Attribute::Label(label) => info.label = String::from_utf8_lossy(&label).into_owned(),
            Attribute::KeyType(kind) => {
                info.algorithm = kind.to_string().trim_start_matches("CKK_").to_owned();
            }
            Attribute::Extractable(extractable) => info.extractable = Some(extractable),
            Attribute::Sensitive(sensitive) => info.sensitive = Some(sensitive),
            _ => {}
        }
    }
    Ok(info)
}
