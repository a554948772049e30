//! The raw cipher beneath a message: no headers, no keys to wrap, nothing but the AEAD over
//! pieces as long as a message's chunks. It is what the message path is held against.

use aes_gcm::aead::{AeadInOut, Key, KeyInit, Nonce, inout::InOutBuf};

const PIECE_LEN: usize = 16 * 1024;
const TAG_LEN: usize = 16;

/// An AEAD with its key set up once, since a long payload does not notice that cost.
pub struct Engine<C>(C);

impl<C: AeadInOut + KeyInit> Engine<C> {
    pub fn new() -> Self {
        Self(C::new(&Key::<C>::default()))
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
            let buffer = InOutBuf::new(plain, ciphertext).expect("equal lengths");
            let computed = self
                .0
                .encrypt_inout_detached(&nonce::<C>(number), &[], buffer)
                .expect("a piece is short enough");
            tag.copy_from_slice(&computed);
        }
    }

    /// Opens what [`seal`](Self::seal) made.
    pub fn open(&self, sealed: &[u8], payload: &mut [u8]) {
        let pieces = sealed.chunks(PIECE_LEN + TAG_LEN);
        for (number, (sealed, plain)) in (0..).zip(pieces.zip(payload.chunks_mut(PIECE_LEN))) {
            let (ciphertext, tag) = sealed.split_at(plain.len());
            let buffer = InOutBuf::new(ciphertext, plain).expect("equal lengths");
            let tag = tag.try_into().expect("a tag follows");
            self.0
                .decrypt_inout_detached(&nonce::<C>(number), &[], buffer, tag)
                .expect("it was sealed with this key");
        }
    }
}

/// The piece's number: a nonce must differ from piece to piece for the work to be real.
fn nonce<C: AeadInOut>(number: u64) -> Nonce<C> {
    let mut nonce = Nonce::<C>::default();
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    nonce
}
