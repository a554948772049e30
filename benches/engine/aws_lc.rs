//! The ciphers of AWS-LC, which seal and open payloads where they are compiled in.

use aws_lc_rs::aead::{
    AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};

use super::Cipher;

pub type Aes256Gcm = AwsLc<0>;
pub type ChaCha20Poly1305 = AwsLc<1>;

const ALGORITHMS: [&Algorithm; 2] = [&AES_256_GCM, &CHACHA20_POLY1305];

pub struct AwsLc<const INDEX: usize>(LessSafeKey);

impl<const INDEX: usize> Cipher for AwsLc<INDEX> {
    fn new() -> Self {
        let key = UnboundKey::new(ALGORITHMS[INDEX], &[0; 32]).expect("32 bytes suit both");
        Self(LessSafeKey::new(key))
    }

    fn seal(&self, number: u64, plain: &[u8], ciphertext: &mut [u8], tag: &mut [u8]) {
        self.0
            .seal_out_of_place_scatter(nonce(number), Aad::empty(), plain, ciphertext, &[], tag)
            .expect("a piece is short enough");
    }

    fn open(&self, number: u64, ciphertext: &[u8], tag: &[u8], plain: &mut [u8]) {
        self.0
            .open_separate_gather(nonce(number), Aad::empty(), ciphertext, tag, plain)
            .expect("it was sealed with this key");
    }
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}
