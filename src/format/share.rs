//! One of the shares that a data key was divided into.

use std::fmt;

use serde::Serialize;

use super::codec::Reader;
use super::{FormatError, KeyId, MAX_WRAPPED_KEYS};

/// Which share of a data key: `threshold` of the `shares` of a group give the data key back.
///
/// It stands in the entry of the share, and the share's wrapped form is bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Share {
    group: KeyId,
    threshold: u8,
    shares: u8,
    number: u8,
}

impl Share {
    /// The bytes of a share's place in an entry.
    pub(crate) const LEN: usize = 19;

    /// Share `number`, from 1, of `shares`, of which `threshold` are needed. Nothing unless
    /// 2 <= `threshold` <= `shares` <= 16 and 1 <= `number` <= `shares`.
    pub(crate) fn new(group: KeyId, threshold: u8, shares: u8, number: u8) -> Option<Self> {
        let is_valid = threshold >= 2
            && threshold <= shares
            && usize::from(shares) <= MAX_WRAPPED_KEYS
            && (1..=shares).contains(&number);
        is_valid.then_some(Self {
            group,
            threshold,
            shares,
            number,
        })
    }

    /// What the shares of one data key have in common, and no others: a random id.
    #[must_use]
    pub fn group(&self) -> KeyId {
        self.group
    }

    /// How many shares give the data key back.
    #[must_use]
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// How many shares there were.
    #[must_use]
    pub fn shares(&self) -> u8 {
        self.shares
    }

    /// The number of this one, from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Whether both are shares of one data key.
    pub(crate) fn is_of_group(&self, other: &Self) -> bool {
        Self { number: 0, ..*self }
            == Self {
                number: 0,
                ..*other
            }
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (group, rest) = bytes.split_at_mut(16);
        group.copy_from_slice(self.group.as_bytes());
        rest.copy_from_slice(&[self.threshold, self.shares, self.number]);
        bytes
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        let group = KeyId::from_bytes(*reader.take_array(FIELD)?);
        let [threshold, shares, number] = *reader.take_array(FIELD)?;
        Self::new(group, threshold, shares, number).ok_or(FormatError::Malformed {
            field: FIELD,
            reason: "its numbers are not those of a share",
        })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            threshold,
            shares,
            number,
        } = self;
        write!(
            f,
            "share {number} of {shares} ({threshold} needed) of group {group}"
        )
    }
}

const FIELD: &str = "wrapped key";
