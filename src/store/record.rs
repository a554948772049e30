use std::fmt;

use smallvec::SmallVec;

/// The longest id of a record, in bytes.
pub const MAX_RECORD_ID_LEN: usize = 255;

/// The longest record, in bytes: 1 MiB.
pub const MAX_RECORD_LEN: usize = 1 << 20;

const MAX_COLLECTION_LEN: usize = 16;

/// The name of a kind of record: 1 to 16 of `a` to `z`, `0` to `9`, `-` and `_`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Collection([u8; MAX_COLLECTION_LEN]);

impl Collection {
    /// KMS keys, by key id.
    pub const KEYS: Self = Self::known(b"keys");
    /// Aliases of KMS keys, by name.
    pub const ALIASES: Self = Self::known(b"aliases");
    /// What there is one of in a store.
    pub const META: Self = Self::known(b"meta");
    /// Grants, by grant id.
    pub const GRANTS: Self = Self::known(b"grants");
    /// Heads of audit trails, by trail id.
    pub const AUDIT: Self = Self::known(b"audit");
    /// No records: what conflicts over the log of a store name.
    pub const LOG: Self = Self::known(b"log");
    /// Policies, by key id.
    pub const POLICIES: Self = Self::known(b"policies");

    /// Subjects and their seeds, by a digest of their names.
    pub const SUBJECTS: Self = Self::known(b"subjects");
    /// Erasures of subjects that are not finished, in 16 places.
    pub const ERASURES: Self = Self::known(b"erasures");

    /// Takes a name.
    ///
    /// # Errors
    ///
    /// [`InvalidName::Collection`] when it is no such name.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let fits = (1..=MAX_COLLECTION_LEN).contains(&name.len());
        if !fits || !name.bytes().all(is_name_byte) {
            return Err(InvalidName::Collection);
        }
        let mut padded = [0; MAX_COLLECTION_LEN];
        for (to, from) in padded.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Ok(Self(padded))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let name = self.0.split(|&byte| byte == 0).next().unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }

    const fn known<const N: usize>(name: &[u8; N]) -> Self {
        assert!(N >= 1 && N <= MAX_COLLECTION_LEN);
        let mut padded = [0; MAX_COLLECTION_LEN];
        let (front, _) = padded.split_at_mut(N);
        front.copy_from_slice(name);
        Self(padded)
    }
}

fn is_name_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')
}

impl TryFrom<&str> for Collection {
    type Error = InvalidName;

    fn try_from(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collection({})", self.as_str())
    }
}

/// Names a record within its collection: 1 to 255 bytes, not secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(SmallVec<[u8; 16]>);

impl RecordId {
    /// Takes the bytes of an id.
    ///
    /// # Errors
    ///
    /// [`InvalidName::RecordId`] when there are none, or more than [`MAX_RECORD_ID_LEN`].
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, InvalidName> {
        let bytes = bytes.as_ref();
        if (1..=MAX_RECORD_ID_LEN).contains(&bytes.len()) {
            Ok(Self(SmallVec::from_slice(bytes)))
        } else {
            Err(InvalidName::RecordId { len: bytes.len() })
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn of_byte(byte: u8) -> Self {
        Self(SmallVec::from_slice(&[byte]))
    }
}

/// Sixteen bytes, as ids of keys are, always fit.
impl From<[u8; 16]> for RecordId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(SmallVec::from_buf(bytes))
    }
}

impl From<[u8; 32]> for RecordId {
    fn from(bytes: [u8; 32]) -> Self {
        Self(SmallVec::from_slice(&bytes))
    }
}

/// Text where it is plain text, otherwise hexadecimal.
impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.0) {
            Ok(text) if self.0.iter().all(u8::is_ascii_graphic) => f.write_str(text),
            _ => self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordId({self})")
    }
}

/// Names a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// What kind of record it is.
    pub collection: Collection,
    /// Which of its kind.
    pub id: RecordId,
}

impl RecordKey {
    /// Puts a key together.
    #[must_use]
    pub fn new(collection: Collection, id: RecordId) -> Self {
        Self { collection, id }
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.id)
    }
}

/// A name that a store does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// Not the name of a collection.
    #[error("the name of a collection is 1 to 16 of a to z, 0 to 9, '-' and '_'; choose another")]
    Collection,
    /// Not the id of a record.
    #[error("the id of a record is 1 to {MAX_RECORD_ID_LEN} bytes, and this has {len}")]
    RecordId {
        /// The bytes that it has.
        len: usize,
    },
}

/// A record as it was read.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The commit that wrote it.
    pub revision: Revision,
    /// What was written.
    pub bytes: Vec<u8>,
}

impl Record {
    /// Puts a record together, for those who implement a store.
    #[must_use]
    pub fn new(revision: Revision, bytes: Vec<u8>) -> Self {
        Self { revision, bytes }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("revision", &self.revision.get())
            .field("bytes", &format_args!("{} bytes", self.bytes.len()))
            .finish()
    }
}

/// The state of a record: the number of the commit that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// Takes the number that [`get`](Self::get) gave.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<Sequence> for Revision {
    fn from(sequence: Sequence) -> Self {
        Self(sequence.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a commit of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(u64);

impl Sequence {
    /// Before the first commit.
    pub const START: Self = Self(0);

    /// Takes the number that [`get`](Self::get) gave.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<Revision> for Sequence {
    fn from(revision: Revision) -> Self {
        Self(revision.0)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
