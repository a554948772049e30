//! What is sealed under which keys, told from the fronts of messages, with no key at all.

mod ages;
mod directory;

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use serde::ser::Serializer;

pub use self::ages::AgeCounts;
pub use self::directory::DirectoryInventory;
pub(crate) use self::directory::files_in;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::format::{
    FormatError, Header, HeaderKind, KeyId, KeyReference, KeyVersion, Suite, WrappedKeyInfo,
    check_newer,
};

/// Counts what is sealed: by key and version, suite and age. It needs no key, and memory only for
/// each key that is named, up to [`MAX_KEYS`](Self::MAX_KEYS); the subjects under one key of a KMS are
/// counted as one.
///
/// What headers say is not authenticated: who can write the messages can have anything counted.
///
/// ```
/// use waxseal::{EncryptionContext, Envelope, EnvelopeEncryptor, Inventory, RootKey, SingleKeyring};
///
/// let envelope = Envelope::new(SingleKeyring::software(&RootKey::generate()?));
/// let rows = [
///     envelope.encrypt(b"zoe@example.com", &EncryptionContext::empty())?,
///     envelope.encrypt(b"max@example.com", &EncryptionContext::empty())?,
/// ];
///
/// let inventory = Inventory::of(&rows);
/// assert_eq!(inventory.messages(), 2);
/// println!("{inventory}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Of a column in SQL, the first KiB is enough for ten wrapped keys, `SELECT substr(email, 1, 1024)
/// FROM users`; a recipient of X-Wing takes 1.2 KiB for itself. What has its header cut off is
/// counted as [cut](Self::cut), and an inventory with such is not [complete](Self::is_complete).
///
/// Messages that a newer waxseal made are counted as [newer](Self::newer) where they can be told from
/// what is no message, and as [other](Self::other) where they cannot. So in a column that has nothing
/// but messages, see that nothing is other before a key is destroyed.
#[derive(Debug, Clone)]
pub struct Inventory {
    now: Timestamp,
    totals: Totals,
    keys: HashMap<KeyReference, KeyCounts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
struct Totals {
    messages: u64,
    record_headers: u64,
    cut: u64,
    newer: u64,
    other: u64,
    unreadable: u64,
    /// Wrapped keys whose keys are over the limit of keys.
    uncounted: u64,
    aes_256_gcm: u64,
    chacha20_poly1305: u64,
    ages: AgeCounts,
}

/// What is sealed under one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct KeyCounts {
    /// Messages that name the key.
    pub messages: u64,
    /// Headers for records that name it.
    pub record_headers: u64,
    /// Those of both that name no other key: who loses this key loses them.
    pub only: u64,
    /// How old both are.
    pub ages: AgeCounts,
}

/// A key, and what is sealed under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyUse {
    /// The key, as the messages name it.
    #[serde(flatten)]
    pub key: WrappedKeyInfo,
    /// What is sealed under it.
    #[serde(flatten)]
    pub counts: KeyCounts,
}

impl Inventory {
    /// The most keys that are told apart.
    pub const MAX_KEYS: usize = 100_000;

    /// Has counted nothing yet. Ages are those of now.
    #[must_use]
    pub fn new() -> Self {
        Self::at(SystemClock.unix_time())
    }

    /// Has counted nothing yet. Ages are those at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            totals: Totals::default(),
            keys: HashMap::new(),
        }
    }

    /// Counts messages, headers for records, or their fronts.
    #[must_use]
    pub fn of<B: AsRef<[u8]>>(fronts: impl IntoIterator<Item = B>) -> Self {
        let mut inventory = Self::new();
        for front in fronts {
            inventory.add(front.as_ref(), None);
        }
        inventory
    }

    /// As [`of`](Self::of), of what may fail to be read, such as the rows of a query.
    ///
    /// # Errors
    ///
    /// The first that the iterator gives.
    pub fn try_of<B: AsRef<[u8]>, E>(
        fronts: impl IntoIterator<Item = Result<B, E>>,
    ) -> Result<Self, E> {
        let mut inventory = Self::new();
        for front in fronts {
            inventory.add(front?.as_ref(), None);
        }
        Ok(inventory)
    }

    /// Counts what `front` is the front of, a message or a header for records, and anything else as
    /// other. `written` says when it was written, if that is known.
    pub fn add(&mut self, front: &[u8], written: Option<Timestamp>) {
        self.count(front, check_newer(front).is_ok(), written);
    }

    fn count(&mut self, front: &[u8], is_newer: bool, written: Option<Timestamp>) {
        let header = match Header::parse(front) {
            Ok((header, _body)) => header,
            Err(FormatError::Truncated { .. }) if !front.is_empty() => {
                self.totals.cut += 1;
                return;
            }
            Err(_) if is_newer => {
                self.totals.newer += 1;
                return;
            }
            Err(_) => {
                self.totals.other += 1;
                return;
            }
        };
        let age = written.map(|written| self.now.saturating_since(written));
        self.totals.count(&header);
        self.totals.ages.add(age);
        let mut named: Vec<KeyReference> = Vec::with_capacity(header.entries().count());
        for entry in header.entries() {
            let key = without_subject(entry.reference().wrapping_key());
            if !named.contains(&key) {
                named.push(key);
            }
        }
        let is_only = named.len() == 1;
        for key in named {
            if self.keys.len() >= Self::MAX_KEYS && !self.keys.contains_key(&key) {
                self.totals.uncounted += 1;
                continue;
            }
            let counts = self.keys.entry(key).or_default();
            match header.kind() {
                HeaderKind::Message => counts.messages += 1,
                HeaderKind::Record => counts.record_headers += 1,
            }
            counts.only += u64::from(is_only);
            counts.ages.add(age);
        }
    }

    /// Messages.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.totals.messages
    }

    /// Headers for records.
    #[must_use]
    pub fn record_headers(&self) -> u64 {
        self.totals.record_headers
    }

    /// What begins as a message and ends within the header, so its keys are not known.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.totals.cut
    }

    /// Messages and headers for records of a version or a suite that this crate does not know, so the
    /// keys that they need are not known for sure. They are told by wrapped keys that are laid out as
    /// those of version 1.
    #[must_use]
    pub fn newer(&self) -> u64 {
        self.totals.newer
    }

    /// What is none of these: other files, records, damaged messages, messages of a newer version that
    /// lays its wrapped keys out in another way.
    #[must_use]
    pub fn other(&self) -> u64 {
        self.totals.other
    }

    /// What could not be read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.totals.unreadable
    }

    /// Whether everything was read, each header to its end, nothing was [newer](Self::newer), and each
    /// key that is named was counted.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let Totals {
            unreadable,
            uncounted,
            cut,
            newer,
            ..
        } = self.totals;
        unreadable == 0 && uncounted == 0 && cut == 0 && newer == 0
    }

    /// Messages and headers for records of a suite.
    #[must_use]
    pub fn of_suite(&self, suite: Suite) -> u64 {
        match suite {
            Suite::Aes256Gcm => self.totals.aes_256_gcm,
            Suite::ChaCha20Poly1305 => self.totals.chacha20_poly1305,
        }
    }

    /// How old messages and headers for records are.
    #[must_use]
    pub fn ages(&self) -> AgeCounts {
        self.totals.ages
    }

    /// What is sealed under a key, as messages name it. Those with a share of the data key under it
    /// are among them.
    #[must_use]
    pub fn under(&self, key: &KeyReference) -> KeyCounts {
        self.keys.get(key).copied().unwrap_or_default()
    }

    /// The keys that are named and what is sealed under each, sorted by kind, key and version.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyUse> {
        let mut keys: Vec<_> = self
            .keys
            .iter()
            .map(|(key, &counts)| KeyUse {
                key: WrappedKeyInfo {
                    subject: None,
                    ..WrappedKeyInfo::of_key(key)
                },
                counts,
            })
            .collect();
        keys.sort_by(|a, b| {
            let order = |named: &KeyUse| {
                let key = &named.key;
                (
                    key.tag,
                    key.provider.clone(),
                    key.key.clone(),
                    key.key_version,
                )
            };
            order(a).cmp(&order(b))
        });
        keys
    }

    /// How many messages and headers for records name the key of a KMS; with a version, that version.
    /// One that names two versions counts twice.
    ///
    /// The number is whole only if [`is_complete`](Self::is_complete).
    #[must_use]
    pub fn uses(&self, key: KeyId, version: Option<KeyVersion>) -> u64 {
        let counted = self
            .keys
            .iter()
            .filter(|(reference, _)| names(reference, key, version));
        counted
            .map(|(_, counts)| counts.messages + counts.record_headers)
            .sum()
    }
}

/// The keys of all subjects under one key of a KMS are counted as one.
fn without_subject(key: KeyReference) -> KeyReference {
    match key.kms_subject() {
        Some((key, _subject)) => KeyReference::subject(key, ANY_SUBJECT),
        None => key,
    }
}

const ANY_SUBJECT: KeyId = KeyId::from_bytes([0; 16]);

/// Whether a key that a message names is one of a KMS or, with a version, that version of it.
fn names(reference: &KeyReference, key: KeyId, version: Option<KeyVersion>) -> bool {
    match version {
        Some(version) => reference.kms_version() == Some((key, version)),
        None => reference.kms_key() == Some(key),
    }
}

impl Default for Inventory {
    fn default() -> Self {
        Self::new()
    }
}

impl Totals {
    fn count(&mut self, header: &Header<'_>) {
        match header.kind() {
            HeaderKind::Message => self.messages += 1,
            HeaderKind::Record => self.record_headers += 1,
        }
        match header.suite() {
            Suite::Aes256Gcm => self.aes_256_gcm += 1,
            Suite::ChaCha20Poly1305 => self.chacha20_poly1305 += 1,
        }
    }
}

/// The totals, and `keys` as a list.
impl Serialize for Inventory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown {
            at: Timestamp,
            #[serde(flatten)]
            totals: Totals,
            is_complete: bool,
            keys: Vec<KeyUse>,
        }
        Shown {
            at: self.now,
            totals: self.totals,
            is_complete: self.is_complete(),
            keys: self.keys(),
        }
        .serialize(serializer)
    }
}

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals {
            messages,
            record_headers,
            cut,
            newer,
            other,
            unreadable,
            uncounted,
            ..
        } = self.totals;
        write!(
            f,
            "{messages} messages, {record_headers} headers for records"
        )?;
        for (count, what) in [
            (cut, "cut in their headers"),
            (newer, "of a newer format"),
            (other, "others"),
            (unreadable, "could not be read"),
            (uncounted, "under keys beyond those counted"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        for KeyUse { key, counts } in self.keys() {
            write!(
                f,
                "\n{:>9}  {} key {}",
                counts.messages + counts.record_headers,
                key.provider,
                key.key
            )?;
            if let Some(version) = key.key_version {
                write!(f, " version {version}")?;
            }
            if counts.only > 0 {
                write!(f, " ({} under no other key)", counts.only)?;
            }
        }
        Ok(())
    }
}
