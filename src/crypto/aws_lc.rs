//! The engine of AWS: C and assembler, faster than Rust in bulk.

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::{AeadAlgorithm, KEY_LEN, NONCE_LEN, Rejected, TAG_LEN};

pub(super) struct Aead(LessSafeKey);

impl Aead {
    #[expect(clippy::expect_used, reason = "fails only when memory runs out")]
    pub(super) fn new(algorithm: AeadAlgorithm, key: &[u8; KEY_LEN]) -> Self {
        let algorithm = match algorithm {
            AeadAlgorithm::Aes256Gcm => &AES_256_GCM,
            AeadAlgorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(algorithm, key).expect("32 bytes suit both");
        Self(LessSafeKey::new(key))
    }

    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Rejected> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut tag = [0; TAG_LEN];
        self.0
            .seal_out_of_place_scatter(nonce, Aad::from(aad), plaintext, ciphertext, &[], &mut tag)
            .map_err(|_| Rejected)?;
        Ok(tag)
    }

    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        plaintext: &mut [u8],
    ) -> Result<(), Rejected> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.0
            .open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, plaintext)
            .map_err(|_| Rejected)
    }
}
