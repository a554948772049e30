//! The ciphers of AWS-LC, which seal and open payloads where they are compiled in.

use aws_lc_rs::aead::{
    AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};

use super::Cipher;

pub struct Aes256Gcm(LessSafeKey);

pub struct ChaCha20Poly1305(LessSafeKey);

impl Cipher for Aes256Gcm {
    fn new() -> Self {
        Self(key(&AES_256_GCM))
    }

    fn seal(&self, number: u64, plain: &[u8], ciphertext: &mut [u8], tag: &mut [u8]) {
        seal(&self.0, number, plain, ciphertext, tag);
    }

    fn open(&self, number: u64, ciphertext: &[u8], tag: &[u8], plain: &mut [u8]) {
        open(&self.0, number, ciphertext, tag, plain);
    }
}

impl Cipher for ChaCha20Poly1305 {
    fn new() -> Self {
        Self(key(&CHACHA20_POLY1305))
    }

    fn seal(&self, number: u64, plain: &[u8], ciphertext: &mut [u8], tag: &mut [u8]) {
        seal(&self.0, number, plain, ciphertext, tag);
    }

    fn open(&self, number: u64, ciphertext: &[u8], tag: &[u8], plain: &mut [u8]) {
        open(&self.0, number, ciphertext, tag, plain);
    }
}

fn key(algorithm: &'static Algorithm) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(algorithm, &[0; 32]).expect("32 bytes suit both"))
}

fn seal(key: &LessSafeKey, number: u64, plain: &[u8], ciphertext: &mut [u8], tag: &mut [u8]) {
    key.seal_out_of_place_scatter(nonce(number), Aad::empty(), plain, ciphertext, &[], tag)
        .expect("a piece is short enough");
}

fn open(key: &LessSafeKey, number: u64, ciphertext: &[u8], tag: &[u8], plain: &mut [u8]) {
    key.open_separate_gather(nonce(number), Aad::empty(), ciphertext, tag, plain)
        .expect("it was sealed with this key");
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}
