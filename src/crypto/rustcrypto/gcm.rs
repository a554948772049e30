//! AES-256-GCM (NIST SP 800-38D) with nonces of 96 bits and tags of 128, over aes and ghash.
//!
//! The cipher is called once for a whole text: it then chooses the processor's instructions, and lays
//! the round keys out for them, once, where a call for each step does so three times.

use aes::Aes256Enc;
use aes::cipher::array::Array;
use aes::cipher::consts::{U4, U16};
use aes::cipher::typenum::Unsigned;
use aes::cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    KeyInit, ParBlocks,
};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use zeroize::zeroize_bytes;

use crate::crypto::{KEY_LEN, NONCE_LEN, Rejected, TAG_LEN, constant_time_eq};

const BLOCK_LEN: usize = 16;

/// From this length on, blocks are encrypted as many at a time as the processor can.
const WIDE_LEN: usize = 1024;

/// The longest text, in bytes (SP 800-38D section 5.2.1.1): the counter has 32 bits.
const MAX_LEN: u64 = (1 << 36) - 32;

type AesBlock = Block<Aes256Enc>;

pub(in crate::crypto) struct Gcm(Aes256Enc);

impl Gcm {
    #[inline(always)]
    pub(in crate::crypto) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Aes256Enc::new(key.into()))
    }

    /// Encrypts `plaintext` to `ciphertext`, a buffer of the same length, and returns the tag.
    pub(in crate::crypto) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Rejected> {
        self.pass(Text {
            nonce,
            aad,
            input: plaintext,
            output: ciphertext,
            hashes: Side::Output,
        })
    }

    /// Decrypts `ciphertext` to `plaintext`, a buffer of the same length, which is to be erased
    /// where the tag does not verify.
    pub(in crate::crypto) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        plaintext: &mut [u8],
    ) -> Result<(), Rejected> {
        let computed = self.pass(Text {
            nonce,
            aad,
            input: ciphertext,
            output: plaintext,
            hashes: Side::Input,
        })?;
        match constant_time_eq(&computed, tag) {
            true => Ok(()),
            false => Err(Rejected),
        }
    }

    // Inlined with another cipher beside it, it is a twentieth slower.
    #[inline(never)]
    fn pass(&self, text: Text<'_>) -> Result<[u8; TAG_LEN], Rejected> {
        let len = text.input.len();
        if len != text.output.len() || len as u64 > MAX_LEN {
            return Err(Rejected);
        }
        let mut tag = AesBlock::default();
        if len < WIDE_LEN {
            let pass = Pass::<false> {
                text,
                tag: &mut tag,
            };
            self.0.encrypt_with_backend(pass);
        } else {
            let pass = Pass::<true> {
                text,
                tag: &mut tag,
            };
            self.0.encrypt_with_backend(pass);
        }
        Ok(tag.into())
    }
}

/// What is encrypted, or decrypted.
struct Text<'a> {
    nonce: &'a [u8; NONCE_LEN],
    aad: &'a [u8],
    input: &'a [u8],
    output: &'a mut [u8],
    hashes: Side,
}

/// Where the ciphertext is.
enum Side {
    Input,
    Output,
}

/// All of GCM in one call to the cipher; `WIDE` where there are blocks for it.
struct Pass<'a, const WIDE: bool> {
    text: Text<'a>,
    tag: &'a mut AesBlock,
}

impl<const WIDE: bool> BlockSizeUser for Pass<'_, WIDE> {
    type BlockSize = U16;
}

impl<const WIDE: bool> BlockCipherEncClosure for Pass<'_, WIDE> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Text {
            nonce,
            aad,
            mut input,
            mut output,
            hashes,
        } = self.text;
        let mut counter = Counter::new(nonce);
        let mut hash_key = AesBlock::default();
        backend.encrypt_block((&mut hash_key).into());
        let mut mask = counter.next();
        backend.encrypt_block((&mut mask).into());
        let mut ghash = GHash::new(&hash_key);
        ghash.update_padded(aad);
        let lengths = lengths(aad, input);

        if WIDE {
            let batch_len = BLOCK_LEN * B::ParBlocksSize::USIZE;
            let wide_len = input.len() - input.len() % batch_len;
            let wide;
            (wide, input) = input.split_at(wide_len);
            let wide_output;
            (wide_output, output) = output.split_at_mut(wide_len);
            let mut keystream = ParBlocks::<B>::default();
            for (input, output) in wide
                .chunks_exact(batch_len)
                .zip(wide_output.chunks_exact_mut(batch_len))
            {
                keystream.fill_with(|| counter.next());
                backend.encrypt_par_blocks((&mut keystream).into());
                xor(input, &keystream, output);
                ghash.update_padded(hashes.of(input, output));
            }
            zeroize_bytes(Array::slice_as_flattened_mut(&mut keystream));
        }
        let mut keystream = Array::<AesBlock, U4>::default();
        for (input, output) in input
            .chunks(BLOCK_LEN * keystream.len())
            .zip(output.chunks_mut(BLOCK_LEN * keystream.len()))
        {
            for block in &mut keystream {
                *block = counter.next();
                backend.encrypt_block(block.into());
            }
            xor(input, &keystream, output);
        }
        ghash.update_padded(hashes.of(input, output));
        ghash.update(&[lengths]);

        let mut tag = ghash.finalize();
        tag.iter_mut()
            .zip(&mask)
            .for_each(|(tag, mask)| *tag ^= mask);
        *self.tag = tag;
        zeroize_bytes(Array::slice_as_flattened_mut(&mut keystream));
        zeroize_bytes(&mut hash_key);
        zeroize_bytes(&mut mask);
    }
}

impl Side {
    #[inline(always)]
    fn of<'a>(&self, input: &'a [u8], output: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Input => input,
            Self::Output => output,
        }
    }
}

/// The counter blocks, the first of which masks the tag. As numbers: as bytes, the processor would wait
/// for what it has just written.
struct Counter {
    nonce: u128,
    next: u32,
}

impl Counter {
    #[inline(always)]
    fn new(nonce: &[u8; NONCE_LEN]) -> Self {
        let mut block = [0; BLOCK_LEN];
        block.split_at_mut(NONCE_LEN).0.copy_from_slice(nonce);
        Self {
            nonce: u128::from_be_bytes(block),
            next: 1,
        }
    }

    #[inline(always)]
    fn next(&mut self) -> AesBlock {
        let block = self.nonce | u128::from(self.next);
        self.next = self.next.wrapping_add(1);
        block.to_be_bytes().into()
    }
}

/// The last block that is hashed: the lengths in bits.
fn lengths(aad: &[u8], text: &[u8]) -> AesBlock {
    let mut lengths = [0; BLOCK_LEN];
    let (of_aad, of_text) = lengths.split_at_mut(BLOCK_LEN / 2);
    of_aad.copy_from_slice(&(aad.len() as u64 * 8).to_be_bytes());
    of_text.copy_from_slice(&(text.len() as u64 * 8).to_be_bytes());
    lengths.into()
}

/// Block by block: byte by byte, the compiler makes short texts a third slower.
#[inline(always)]
fn xor(input: &[u8], keystream: &[AesBlock], output: &mut [u8]) {
    let (input, input_rest) = input.as_chunks::<BLOCK_LEN>();
    let (output, output_rest) = output.as_chunks_mut::<BLOCK_LEN>();
    let mut keystream = keystream.iter();
    for ((output, input), key) in output.iter_mut().zip(input).zip(&mut keystream) {
        let block = u128::from_ne_bytes(*input) ^ u128::from_ne_bytes((*key).into());
        *output = block.to_ne_bytes();
    }
    let rest = output_rest.iter_mut().zip(input_rest);
    for ((output, input), key) in rest.zip(keystream.flatten()) {
        *output = input ^ key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes_gcm::Aes256Gcm;
    use aes_gcm::aead::AeadInOut;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_aes_gcm(
            key: [u8; 32],
            nonce: [u8; 12],
            aad in prop::collection::vec(any::<u8>(), 0..100),
            plaintext in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                prop::collection::vec(any::<u8>(), 900..5000),
            ],
            flip: prop::sample::Index,
        ) {
            let gcm = Gcm::new(&key);
            let mut sealed = vec![0; plaintext.len()];
            let tag = gcm.seal(&nonce, &aad, &plaintext, &mut sealed).unwrap();
            let mut expected = plaintext.clone();
            let expected_tag = Aes256Gcm::new(&key.into())
                .encrypt_inout_detached(&nonce.into(), &aad, expected.as_mut_slice().into())
                .unwrap();
            prop_assert_eq!(&sealed, &expected);
            prop_assert_eq!(tag, <[u8; 16]>::from(expected_tag));

            let mut opened = vec![0; plaintext.len()];
            gcm.open(&nonce, &aad, &sealed, &tag, &mut opened).unwrap();
            prop_assert_eq!(&opened, &plaintext);
            let mut changed = [sealed.as_slice(), &tag, &aad, &nonce].concat();
            let index = flip.index(changed.len());
            changed[index] ^= 1;
            let (changed, rest) = changed.split_at(sealed.len());
            let (tag, rest) = rest.split_at(16);
            let (aad, nonce) = rest.split_at(aad.len());
            let refused = gcm.open(
                nonce.try_into().unwrap(), aad, changed, tag.try_into().unwrap(), &mut opened,
            );
            prop_assert_eq!(refused, Err(Rejected));
        }
    }

    #[test]
    fn texts_of_other_lengths_are_refused() {
        let gcm = Gcm::new(&[1; 32]);
        let sealed = gcm.seal(&[2; 12], &[], &[3; 5], &mut [0; 6]);
        assert_eq!(sealed, Err(Rejected));
    }
}
