//! The raw cipher beneath a message: no headers, no keys to wrap, nothing but the AEAD over
//! pieces as long as a message's chunks. It is what the message path is held against:
//! the cipher of AWS-LC with the feature `aws-lc`, and else RustCrypto's.

#[cfg(feature = "aws-lc")]
mod aws_lc;

use aes_gcm::aead::{AeadInOut, Key, KeyInit, Nonce, inout::InOutBuf};
#[cfg(feature = "aws-lc")]
pub use aws_lc::{Aes256Gcm, ChaCha20Poly1305};
#[cfg(not(feature = "aws-lc"))]
pub use {aes_gcm::Aes256Gcm, chacha20poly1305::ChaCha20Poly1305};

const PIECE_LEN: usize = 16 * 1024;
const TAG_LEN: usize = 16;

/// An AEAD that encrypts from one buffer to another.
pub trait Cipher {
    fn new() -> Self;
    fn seal(&self, number: u64, plain: &[u8], ciphertext: &mut [u8], tag: &mut [u8]);
    fn open(&self, number: u64, ciphertext: &[u8], tag: &[u8], plain: &mut [u8]);
}

/// A cipher with its key set up once, since a long payload does not notice that cost.
pub struct Engine<C>(C);

impl<C: Cipher> Engine<C> {
    pub fn new() -> Self {
        Self(C::new())
    }

    pub fn sealed_len(payload_len: usize) -> usize {
        payload_len + payload_len.div_ceil(PIECE_LEN) * TAG_LEN
    }

    /// Seals `payload` to `sealed`, each piece followed by its tag.
    pub fn seal(&self, payload: &[u8], sealed: &mut [u8]) {
        let pieces = payload.chunks(PIECE_LEN);
        for (number, (plain, sealed)) in
            (0..).zip(pieces.zip(sealed.chunks_mut(PIECE_LEN + TAG_LEN)))
        {
            let (ciphertext, tag) = sealed.split_at_mut(plain.len());
            self.0.seal(number, plain, ciphertext, tag);
        }
    }

    /// Opens what [`seal`](Self::seal) made.
    pub fn open(&self, sealed: &[u8], payload: &mut [u8]) {
        let pieces = sealed.chunks(PIECE_LEN + TAG_LEN);
        for (number, (sealed, plain)) in (0..).zip(pieces.zip(payload.chunks_mut(PIECE_LEN))) {
            let (ciphertext, tag) = sealed.split_at(plain.len());
            self.0.open(number, ciphertext, tag, plain);
        }
    }
}

impl<C: AeadInOut + KeyInit> Cipher for C {
    fn new() -> Self {
        <C as KeyInit>::new(&Key::<C>::default())
    }

    fn seal(&self, number: u64, plain: &[u8], ciphertext: &mut [u8], tag: &mut [u8]) {
        let buffer = InOutBuf::new(plain, ciphertext).expect("equal lengths");
        let computed = self
            .encrypt_inout_detached(&nonce::<C>(number), &[], buffer)
            .expect("a piece is short enough");
        tag.copy_from_slice(&computed);
    }

    fn open(&self, number: u64, ciphertext: &[u8], tag: &[u8], plain: &mut [u8]) {
        let buffer = InOutBuf::new(ciphertext, plain).expect("equal lengths");
        let tag = tag.try_into().expect("a tag follows");
        self.decrypt_inout_detached(&nonce::<C>(number), &[], buffer, tag)
            .expect("it was sealed with this key");
    }
}

/// The piece's number: a nonce must differ from piece to piece for the work to be real.
fn nonce<C: AeadInOut>(number: u64) -> Nonce<C> {
    let mut nonce = Nonce::<C>::default();
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    nonce
}
