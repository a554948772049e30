//! AES-256-GCM-SIV (RFC 8452) with one nonce for life, over aes and polyval.
//!
//! The keys of a message come from the key and the nonce; with one nonce they are derived once,
//! where a general implementation derives them for every message. Only short plaintexts are taken.

use aes::Aes256Enc;
use aes::cipher::consts::U16;
use aes::cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit,
};
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;
use zeroize::{Zeroize, zeroize_bytes};

use crate::crypto::{KEY_LEN, NONCE_LEN, Rejected, SecretArray, TAG_LEN, constant_time_eq};

const BLOCK_LEN: usize = 16;

type AesBlock = Block<Aes256Enc>;

/// The keys that RFC 8452 derives from a key and a nonce, and the nonce.
pub(in crate::crypto) struct Siv {
    authentication: Polyval,
    encryption: Aes256Enc,
    nonce: [u8; NONCE_LEN],
}

impl Siv {
    /// Derives the keys of all messages with this nonce (RFC 8452 section 4).
    pub(in crate::crypto) fn new(key: &[u8; KEY_LEN], nonce: [u8; NONCE_LEN]) -> Self {
        let generating = Aes256Enc::new(key.into());
        let mut keys = SecretArray::<{ BLOCK_LEN + KEY_LEN }>::zeroed();
        for (counter, half) in (0u32..).zip(keys.chunks_exact_mut(BLOCK_LEN / 2)) {
            let mut block = [0; BLOCK_LEN];
            let (count, rest) = block.split_at_mut(4);
            count.copy_from_slice(&counter.to_le_bytes());
            rest.copy_from_slice(&nonce);
            let mut block = AesBlock::from(block);
            generating.encrypt_block(&mut block);
            half.copy_from_slice(block.split_at(half.len()).0);
            block.zeroize();
        }
        let (authentication, encryption) = keys.split_at(BLOCK_LEN);
        let mut authentication_key = SecretArray::<BLOCK_LEN>::zeroed();
        authentication_key.copy_from_slice(authentication);
        let mut encryption_key = SecretArray::<KEY_LEN>::zeroed();
        encryption_key.copy_from_slice(encryption);
        Self {
            authentication: Polyval::new((&*authentication_key).into()),
            encryption: Aes256Enc::new((&*encryption_key).into()),
            nonce,
        }
    }

    /// Encrypts `buffer` in place and returns the tag.
    pub(in crate::crypto) fn seal(&self, aad: &[u8], buffer: &mut [u8]) -> [u8; TAG_LEN] {
        let mut tag = self.unencrypted_tag(aad, buffer);
        self.encryption.encrypt_with_backend(Sealing {
            buffer,
            tag: &mut tag,
        });
        tag.into()
    }

    /// Decrypts `buffer` in place; it holds zeros when the tag does not verify.
    pub(in crate::crypto) fn open(
        &self,
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Rejected> {
        let mut computed = AesBlock::default();
        self.encryption.encrypt_with_backend(Opening {
            siv: self,
            aad,
            buffer,
            tag,
            computed: &mut computed,
        });
        if constant_time_eq(&computed, tag) {
            return Ok(());
        }
        buffer.zeroize();
        Err(Rejected)
    }

    fn unencrypted_tag(&self, aad: &[u8], plaintext: &[u8]) -> AesBlock {
        let mut lengths = [0; BLOCK_LEN];
        let (of_aad, of_plaintext) = lengths.split_at_mut(BLOCK_LEN / 2);
        of_aad.copy_from_slice(&(aad.len() as u64 * 8).to_le_bytes());
        of_plaintext.copy_from_slice(&(plaintext.len() as u64 * 8).to_le_bytes());
        let mut polyval = self.authentication.clone();
        polyval.update_padded(aad);
        polyval.update_padded(plaintext);
        polyval.update(&[lengths.into()]);
        let mut tag: AesBlock = polyval.finalize();
        for (byte, nonce) in tag.iter_mut().zip(self.nonce) {
            *byte ^= nonce;
        }
        clear_top_bit(&mut tag);
        tag
    }
}

/// All that sealing asks of the cipher, in one call: see `gcm.rs`.
struct Sealing<'a> {
    buffer: &'a mut [u8],
    /// The tag, which is still to be encrypted.
    tag: &'a mut AesBlock,
}

impl BlockSizeUser for Sealing<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Sealing<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        backend.encrypt_block(self.tag.into());
        apply_keystream(backend, self.tag, self.buffer);
    }
}

/// As [`Sealing`].
struct Opening<'a> {
    siv: &'a Siv,
    aad: &'a [u8],
    buffer: &'a mut [u8],
    tag: &'a [u8; TAG_LEN],
    /// What the tag should be.
    computed: &'a mut AesBlock,
}

impl BlockSizeUser for Opening<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Opening<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        apply_keystream(backend, self.tag.into(), self.buffer);
        *self.computed = self.siv.unencrypted_tag(self.aad, self.buffer);
        backend.encrypt_block(self.computed.into());
    }
}

/// AES in counter mode from the tag on, with a 32-bit little-endian counter at the front.
#[inline(always)]
fn apply_keystream<B>(backend: &B, tag: &AesBlock, buffer: &mut [u8])
where
    B: BlockCipherEncBackend<BlockSize = U16>,
{
    let [c0, c1, c2, c3, rest @ ..] = <[u8; TAG_LEN]>::from(*tag);
    let first = u32::from_le_bytes([c0, c1, c2, c3]);
    let mut keystream = [AesBlock::default(); 2];
    let pairs = buffer.chunks_mut(2 * BLOCK_LEN);
    for (pair, bytes) in (0u32..).zip(pairs) {
        for (half, block) in (0u32..).zip(&mut keystream) {
            let counter = first.wrapping_add(2 * pair + half).to_le_bytes();
            let (count, tail) = block.split_at_mut(counter.len());
            count.copy_from_slice(&counter);
            tail.copy_from_slice(&rest);
            set_top_bit(block);
            backend.encrypt_block(block.into());
        }
        for (byte, key) in bytes.iter_mut().zip(keystream.iter().flatten()) {
            *byte ^= key;
        }
    }
    keystream.iter_mut().for_each(|block| zeroize_bytes(block));
}

fn clear_top_bit(block: &mut AesBlock) {
    if let Some(last) = block.last_mut() {
        *last &= 0x7f;
    }
}

fn set_top_bit(block: &mut AesBlock) {
    if let Some(last) = block.last_mut() {
        *last |= 0x80;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes_gcm_siv::Aes256GcmSiv;
    use aes_gcm_siv::aead::AeadInOut;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_aes_gcm_siv(
            key: [u8; 32],
            nonce: [u8; 12],
            aad in prop::collection::vec(any::<u8>(), 0..100),
            plaintext in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let siv = Siv::new(&key, nonce);
            let mut buffer = plaintext.clone();
            let tag = siv.seal(&aad, &mut buffer);
            let mut expected = plaintext.clone();
            let expected_tag = Aes256GcmSiv::new(&key.into())
                .encrypt_inout_detached(&nonce.into(), &aad, expected.as_mut_slice().into())
                .unwrap();
            prop_assert_eq!(&buffer, &expected);
            prop_assert_eq!(tag, <[u8; 16]>::from(expected_tag));
            siv.open(&aad, &mut buffer, &tag).unwrap();
            prop_assert_eq!(buffer, plaintext);
        }
    }
}
