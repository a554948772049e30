//! Who can open a message is changed in its header, and the payload is not touched (`FORMAT.md`,
//! "Rewrap").

mod durable;
mod error;
mod file;
mod job;
mod journal;
mod pace;
mod pipeline;
mod positioned;
mod report;
mod sealed_file;

use std::fmt;
use std::sync::Arc;

pub use self::error::RewrapFileError;
pub use self::file::{FileRewrap, rewrap_file};
pub use self::job::RewrapJob;
pub use self::report::{RewrapFailure, RewrapReport};
pub(crate) use self::sealed_file::is_left_by_rewrap;
use super::derive::{MessageKeys, verified};
use super::sealing::{held, write_committed};
use super::{Envelope, MessageOptions};
use crate::context::EncryptionContext;
use crate::error::Error;
use crate::format::{
    Header, HeaderParts, KeyEntries, KeyEntriesBuf, KeyEntry, KeyReference, Limit, LimitExceeded,
    MAX_HEADER_LEN, MAX_PAD_LEN, Share,
};
use crate::keyring::{DecryptionRequest, Keyring, Unwrapped, WrapDataKeyRequest};

/// What a rewrap changes about the wrapped keys of a message.
///
/// ```
/// use waxseal::{
///     EncryptionContext, Envelope, EnvelopeEncryptor, Rewrap, RootKey, SingleKeyring,
/// };
///
/// let (ours, theirs) = (RootKey::generate()?, RootKey::generate()?);
/// let envelope = Envelope::new(SingleKeyring::software(&ours));
/// let context = EncryptionContext::empty();
/// let mut message = envelope.encrypt(b"the payload", &context)?;
///
/// // They can open it too, and nobody had to decrypt it for that.
/// let change = Rewrap::keeping().add_key(SingleKeyring::software(&theirs));
/// let rewrapped = envelope.rewrap_with(&message, &context, &change)?;
/// message.splice(..rewrapped.replaces, rewrapped.header);
///
/// let envelope = Envelope::new(SingleKeyring::software(&theirs));
/// assert_eq!(*envelope.decrypt(&message, &context)?, *b"the payload");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it does not do
///
/// Removing a key revokes nothing for one who has had the data key, nor for one who has an old copy
/// of the header. That takes sealing the payload anew.
#[derive(Debug, Clone)]
#[must_use]
pub struct Rewrap {
    renew: Renew,
    add: Vec<Arc<dyn Keyring>>,
    remove: Vec<KeyReference>,
    room: u16,
}

#[derive(Debug, Clone)]
enum Renew {
    /// Wrapped keys that the envelope's keyring holds become what it wraps now.
    Own,
    /// They become what this keyring wraps.
    To(Arc<dyn Keyring>),
    /// They stay.
    No,
}

impl Rewrap {
    /// Replaces the wrapped keys that the envelope's keyring holds by what it wraps now: under the
    /// version that is primary now, for instance. Those that it does not hold stay.
    pub fn new() -> Self {
        Self::with(Renew::Own)
    }

    /// Replaces the wrapped keys that the envelope's keyring holds by what `keyring` wraps: from one
    /// provider to another. Those that the envelope's keyring does not hold stay.
    pub fn to(keyring: impl Keyring + 'static) -> Self {
        Self::with(Renew::To(Arc::new(keyring)))
    }

    /// Leaves all wrapped keys as they are; for [`add_key`](Self::add_key) and
    /// [`remove_key`](Self::remove_key).
    pub fn keeping() -> Self {
        Self::with(Renew::No)
    }

    /// Lets `keyring` open the message too.
    pub fn add_key(mut self, keyring: impl Keyring + 'static) -> Self {
        self.add.push(Arc::new(keyring));
        self
    }

    /// Takes away the wrapped keys under `key`, as
    /// [`KeyEntry::reference`](crate::format::KeyEntry::reference) names it. Of a kind that this
    /// version does not know, that is all of the kind.
    pub fn remove_key(mut self, key: KeyReference) -> Self {
        self.remove.push(key);
        self
    }

    /// Reserves so many bytes for later rewraps in place where this one cannot be in place, at most
    /// 4096.
    pub fn with_room(mut self, bytes: u16) -> Self {
        self.room = room(bytes);
        self
    }

    fn with(renew: Renew) -> Self {
        Self {
            renew,
            add: Vec::new(),
            remove: Vec::new(),
            room: 0,
        }
    }

    /// The wrapped keys that a header gets.
    fn entries(
        &self,
        opened: &OpenedHeader<'_>,
        request: WrapDataKeyRequest<'_>,
    ) -> Result<KeyEntriesBuf, Error> {
        let mut new = KeyEntriesBuf::new();
        match &self.renew {
            Renew::Own => new = opened.keyring.wrap_data_key(request)?,
            Renew::To(keyring) => new = keyring.wrap_data_key(request)?,
            Renew::No => {}
        }
        for keyring in &self.add {
            let wrapped = keyring.wrap_data_key(request)?;
            for entry in wrapped.as_entries() {
                let key = entry.reference();
                if !new.as_entries().iter().any(|held| held.names(&key)) {
                    new.push(&key, entry.wrapped())?;
                }
            }
        }
        let old = opened.request.entries;
        let is_renewed = !matches!(self.renew, Renew::No);
        let stays = |number, entry: &KeyEntry<'_>| {
            !self.remove.iter().any(|key| entry.names(key))
                && (!is_renewed
                    || has_alike(new.as_entries(), entry, old)
                    || !opened.renews(number, entry))
        };
        self.merged(old, new.as_entries(), stays)
    }

    /// The old wrapped keys that stay, in their places, and the new ones where the first was that
    /// does not stay. A key that has a wrapped key keeps it.
    fn merged(
        &self,
        old: KeyEntries<'_>,
        new: KeyEntries<'_>,
        stays: impl Fn(usize, &KeyEntry<'_>) -> bool,
    ) -> Result<KeyEntriesBuf, Error> {
        let mut merged = KeyEntriesBuf::new();
        let mut missing = KeyEntriesBuf::new();
        for entry in new {
            let key = entry.reference();
            if !has_alike(old, &entry, new) && !self.remove.contains(&key) {
                missing.push(&key, entry.wrapped())?;
            }
        }
        for (number, entry) in old.iter().enumerate() {
            if stays(number, &entry) {
                merged.push(&entry.reference(), entry.wrapped())?;
            } else {
                merged.append(std::mem::take(&mut missing).as_entries())?;
            }
        }
        merged.append(missing.as_entries())?;
        match merged.count() {
            0 => Err(Error::RemovesEveryKey),
            _ => Ok(merged),
        }
    }
}

impl Default for Rewrap {
    fn default() -> Self {
        Self::new()
    }
}

/// A header with other wrapped keys: what stands in the place of the old one.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rewrapped {
    /// The new header. The body follows it as it followed the old one.
    pub header: Vec<u8>,
    /// The bytes of the old header, at the front of the message.
    pub replaces: usize,
    /// Whether the header is another one; it is not where all is already as it should be.
    pub is_changed: bool,
}

impl Rewrapped {
    /// Whether the new header can be written over the old one. To be safe against a crash, that
    /// takes a copy of the old one first: see [`rewrap_file`].
    #[must_use]
    pub fn fits_in_place(&self) -> bool {
        self.header.len() == self.replaces
    }
}

impl fmt::Debug for Rewrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewrapped")
            .field("header_len", &self.header.len())
            .field("replaces", &self.replaces)
            .field("is_changed", &self.is_changed)
            .finish()
    }
}

impl Envelope {
    pub(super) fn rewrap_header(
        &self,
        header: &Header<'_>,
        context: &EncryptionContext,
        change: &Rewrap,
    ) -> Result<Rewrapped, Error> {
        self.check(MessageOptions::new(context))?;
        let request = DecryptionRequest::new(context, header.suite(), header.entries());
        let materials = held(header, self.keyring().decryption_materials(request)?)?;
        let keys = MessageKeys::new(materials.expand_key());
        verified(header, (keys.commitment(header.uncommitted(), context), ()))?;
        let opened = OpenedHeader {
            keyring: self.keyring(),
            request,
            by: materials.entry(),
        };
        let request = WrapDataKeyRequest::new(context, materials.data_key(), self.random())
            .replacing(header.entries());
        let entries = change.entries(&opened, request)?;
        if entries.as_entries() == header.entries() {
            return Ok(Rewrapped {
                header: header.to_bytes(),
                replaces: header.len(),
                is_changed: false,
            });
        }
        let parts = with_pad(header, entries.as_entries(), change.room);
        LimitExceeded::check(Limit::Header, parts.len(), MAX_HEADER_LEN)?;
        let mut bytes = vec![0; parts.len()];
        write_committed(&parts, &mut bytes, |uncommitted| {
            (keys.commitment(uncommitted, context), ())
        })?;
        Ok(Rewrapped {
            header: bytes,
            replaces: header.len(),
            is_changed: true,
        })
    }
}

/// A header that was verified.
struct OpenedHeader<'a> {
    keyring: &'a dyn Keyring,
    request: DecryptionRequest<'a>,
    /// The number of the wrapped key that opened it.
    by: usize,
}

impl OpenedHeader<'_> {
    /// Whether a wrapped key is one that the keyring's new ones replace: one that it opens, or that
    /// is good for nothing. Where it cannot tell, because a provider does not answer, it is kept: the
    /// keyring may have gone without that provider when it wrapped.
    fn renews(&self, number: usize, entry: &KeyEntry<'_>) -> bool {
        if !self.keyring.holds(entry) {
            return false;
        }
        let group = |entry: KeyEntry<'_>| Some(entry.reference().share()?.0.group());
        let opener = self.request.entries.iter().nth(self.by);
        if number == self.by || group(*entry).is_some() && group(*entry) == opener.and_then(group) {
            return true;
        }
        let mut alone = KeyEntriesBuf::new();
        if alone.push(&entry.reference(), entry.wrapped()).is_err() {
            return false;
        }
        let request = DecryptionRequest {
            entries: alone.as_entries(),
            ..self.request
        };
        matches!(
            self.keyring.decryption_materials(request),
            Ok(Unwrapped::Done(_)) | Err(Error::Decrypt)
        )
    }
}

/// The header with other wrapped keys, as long as it was if padding can make it so.
fn with_pad<'a>(header: &Header<'a>, entries: KeyEntries<'a>, room: u16) -> HeaderParts<'a> {
    let parts = |pad| HeaderParts {
        entries,
        pad,
        ..*header.parts()
    };
    let unpadded = parts(None).len();
    if header.pad_len().is_none() && unpadded == header.len() {
        return parts(None);
    }
    let in_place = header
        .len()
        .checked_sub(unpadded + 2)
        .filter(|pad| *pad <= MAX_PAD_LEN)
        .and_then(|pad| u16::try_from(pad).ok());
    // A pad field that is there stays, also with nothing in it.
    let has_pad = header.pad_len().is_some() || room > 0;
    parts(in_place.or(has_pad.then_some(room)))
}

/// What may be reserved of what is asked for.
pub(super) fn room(bytes: u16) -> u16 {
    bytes.min(u16::try_from(MAX_PAD_LEN).unwrap_or(u16::MAX))
}

/// Whether a wrapped key under the same key as `entry` is among `entries`; if `entry`, of `list`, is
/// a share, whether a whole group of shares is among them that is divided alike. Shares of two
/// groups never go together.
fn has_alike(entries: KeyEntries<'_>, entry: &KeyEntry<'_>, list: KeyEntries<'_>) -> bool {
    let key = entry.reference();
    let Some((share, _)) = key.share() else {
        return entries.iter().any(|entry| entry.names(&key));
    };
    let group = Group::of(share, list);
    let mut shares = entries.iter().filter_map(|entry| entry.reference().share());
    shares.any(|(share, _)| Group::of(share, entries) == group)
}

/// How a data key is divided, whatever the id of the group.
#[derive(PartialEq, Eq)]
struct Group {
    threshold: u8,
    shares: u8,
    /// The numbers of the shares, and the key that each is under.
    keys: Vec<(u8, KeyReference)>,
}

impl Group {
    fn of(one: Share, entries: KeyEntries<'_>) -> Self {
        let shares = entries.iter().filter_map(|entry| entry.reference().share());
        let mut keys: Vec<_> = shares
            .filter(|(share, _)| share.group() == one.group())
            .map(|(share, key)| (share.number(), key))
            .collect();
        keys.sort_by_key(|(number, _)| *number);
        Self {
            threshold: one.threshold(),
            shares: one.shares(),
            keys,
        }
    }
}
