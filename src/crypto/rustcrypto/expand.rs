//! HKDF-Expand with SHA-256 (RFC 5869 section 2.3), over sha2's compression function.
//!
//! A small message spends most of its time in derivations. Here HMAC goes without the buffers of a
//! general implementation, and computations that do not depend on each other run in step: the
//! processor overlaps them, so two take little longer than one.

use std::array;
use std::slice::ChunksMut;

use sha2::block_api::compress256;
use zeroize::{Zeroizing, zeroize_bytes};

use super::sha256;
use crate::crypto::{HASH_LEN, Info, KEY_LEN, SecretArray};

const BLOCK_LEN: usize = 64;

type Block = [u8; BLOCK_LEN];
type State = [u32; 8];

/// SHA-256 before its first block (FIPS 180-4 section 5.3.3).
const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// What pads the outer hash of HMAC, whose message is a block and a hash: 768 bits.
const OUTER_PADDING: [u8; BLOCK_LEN - HASH_LEN] = {
    let mut padding = [0; BLOCK_LEN - HASH_LEN];
    padding[0] = 0x80;
    padding[BLOCK_LEN - HASH_LEN - 2] = 3;
    padding
};

/// HMAC-SHA-256 (RFC 2104) with its key taken in, and nothing else.
pub(in crate::crypto) struct Expand {
    inner: Zeroizing<State>,
    outer: Zeroizing<State>,
}

impl Expand {
    pub(in crate::crypto) fn new(key: &[u8; KEY_LEN]) -> Self {
        let mut inner_pad = [0x36; BLOCK_LEN];
        let mut outer_pad = [0x5c; BLOCK_LEN];
        for ((inner, outer), key) in inner_pad.iter_mut().zip(&mut outer_pad).zip(key) {
            *inner ^= key;
            *outer ^= key;
        }
        let mut expand = Self {
            inner: Zeroizing::new(INITIAL),
            outer: Zeroizing::new(INITIAL),
        };
        compress256(&mut expand.inner, &[inner_pad]);
        compress256(&mut expand.outer, &[outer_pad]);
        zeroize_bytes(&mut inner_pad);
        zeroize_bytes(&mut outer_pad);
        expand
    }

    /// Fills `output`, of at most 255 hashes.
    pub(in crate::crypto) fn derive(&self, info: &Info, output: &mut [u8]) {
        let mut hashes = output.chunks_mut(HASH_LEN);
        let Some(first) = hashes.next() else { return };
        let mut state = self.inner.clone();
        compress256(&mut state, Padded::info(None, info, 1).blocks());
        self.finish(&mut state);
        write(&state, first);
        self.derive_rest(info, state, hashes);
    }

    /// As [`derive`](Self::derive) for at most two hashes, and in step with them the hash for the
    /// info `label || SHA-256(hashed)`.
    pub(in crate::crypto) fn derive_with_hash(
        key: &[u8; KEY_LEN],
        info: &Info,
        output: &mut [u8],
        (label, hashed): (&[u8], [&[u8]; 2]),
    ) -> SecretArray<HASH_LEN> {
        // Written long before they are read: a processor that reads a block in large pieces waits
        // for small writes to it.
        let to_first = Padded::info(None, info, 1);
        let mut to_second = Padded::info(Some(&[0; HASH_LEN]), info, 2);
        let to_hash = Padded::new(hashed);

        let hmac = Self::new(key);
        let mut first = hmac.inner.clone();
        let hash = match &to_hash {
            Some(to_hash) => {
                let mut hash = INITIAL;
                in_step(
                    (&mut first, to_first.blocks()),
                    (&mut hash, to_hash.blocks()),
                );
                to_bytes(&hash)
            }
            None => {
                compress256(&mut first, to_first.blocks());
                sha256(&hashed)
            }
        };

        let mut of_hash = hmac.inner.clone();
        let mut committed = Info::new(label);
        committed.push(&hash);
        let outer = outer_block(&first);
        *first = *hmac.outer;
        in_step(
            (&mut first, &[outer]),
            (&mut of_hash, Padded::info(None, &committed, 1).blocks()),
        );
        hmac.finish(&mut of_hash);

        let (front, back) = output.split_at_mut(output.len().min(HASH_LEN));
        write(&first, front);
        if !back.is_empty() {
            to_second.put_feedback(&first);
            let mut second = hmac.inner.clone();
            compress256(&mut second, to_second.blocks());
            hmac.finish(&mut second);
            write(&second, back);
        }
        SecretArray::from(to_bytes(&of_hash))
    }

    /// Fills the hashes after the first, which is `last`.
    fn derive_rest(&self, info: &Info, mut last: Zeroizing<State>, rest: ChunksMut<'_, u8>) {
        for (counter, output) in (2..=u8::MAX).zip(rest) {
            let feedback = SecretArray::from(to_bytes(&last));
            let padded = Padded::info(Some(&feedback), info, counter);
            *last = *self.inner;
            compress256(&mut last, padded.blocks());
            self.finish(&mut last);
            write(&last, output);
        }
    }

    /// From the inner hash of HMAC to the outer.
    fn finish(&self, state: &mut State) {
        let block = outer_block(state);
        *state = *self.outer;
        compress256(state, &[block]);
    }
}

/// Takes in the blocks of two messages by turns.
fn in_step(one: (&mut State, &[Block]), other: (&mut State, &[Block])) {
    let mut others = other.1.iter();
    for block in one.1 {
        compress256(one.0, array::from_ref(block));
        if let Some(block) = others.next() {
            compress256(other.0, array::from_ref(block));
        }
    }
    compress256(other.0, others.as_slice());
}

/// A short message, or the rest of one, padded to whole blocks (FIPS 180-4 section 5.1.1).
struct Padded {
    blocks: [Block; 3],
    len: usize,
}

impl Padded {
    /// What HMAC takes in after its key for one hash of HKDF.
    #[inline]
    fn info(feedback: Option<&[u8; HASH_LEN]>, info: &Info, counter: u8) -> Self {
        let mut padded = Self {
            blocks: [[0; BLOCK_LEN]; 3],
            len: 0,
        };
        let bytes = padded.blocks.as_flattened_mut();
        // Copies of a length known when this is compiled take no call.
        let (rest, taken) = match (feedback, bytes.split_first_chunk_mut()) {
            (Some(feedback), Some((front, rest))) => {
                *front = *feedback;
                (rest, feedback.len())
            }
            _ => (bytes, 0),
        };
        if let Some(front) = rest.first_chunk_mut() {
            *front = info.bytes;
        }
        if let Some(end) = rest.get_mut(info.len) {
            *end = counter;
        }
        padded.pad(taken + info.len + 1, BLOCK_LEN);
        padded
    }

    /// The concatenation of the parts; nothing if it is long.
    #[inline]
    fn new(parts: [&[u8]; 2]) -> Option<Self> {
        let mut padded = Self {
            blocks: [[0; BLOCK_LEN]; 3],
            len: 0,
        };
        let [front, back] = parts;
        let (front_room, rest) = padded
            .blocks
            .as_flattened_mut()
            .split_at_mut_checked(front.len())?;
        let (back_room, end) = rest.split_at_mut_checked(back.len())?;
        front_room.copy_from_slice(front);
        back_room.copy_from_slice(back);
        if end.len() <= size_of::<u64>() {
            return None;
        }
        padded.pad(front.len() + back.len(), 0);
        Some(padded)
    }

    /// Pads the first `len` bytes, which follow `taken` bytes that were taken in. In place, like all
    /// that makes these blocks: moving them costs as much as a third of hashing them.
    #[inline]
    fn pad(&mut self, len: usize, taken: usize) {
        if let Some(end) = self.blocks.as_flattened_mut().get_mut(len) {
            *end = 0x80;
        }
        let bits = (taken as u64 + len as u64) * 8;
        let last = (len + size_of_val(&bits)) / BLOCK_LEN;
        let last_block = self.blocks.get_mut(last).map(Block::as_mut_slice);
        if let Some((_, end)) = last_block.and_then(<[u8]>::split_last_chunk_mut) {
            *end = bits.to_be_bytes();
        }
        self.len = last + 1;
    }

    fn put_feedback(&mut self, hash: &State) {
        if let Some(front) = self.blocks.as_flattened_mut().first_chunk_mut() {
            *front = to_bytes(hash);
        }
    }

    fn blocks(&self) -> &[Block] {
        self.blocks.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Padded {
    fn drop(&mut self) {
        zeroize_bytes(self.blocks.as_flattened_mut());
    }
}

/// What the outer hash of HMAC takes in after its key: the inner hash, padded.
fn outer_block(inner: &State) -> Block {
    let mut block = [0; BLOCK_LEN];
    let (hash, padding) = block.split_at_mut(HASH_LEN);
    write(inner, hash);
    padding.copy_from_slice(&OUTER_PADDING);
    block
}

/// Writes a hash, or as much of it as there is room for.
fn write(state: &State, output: &mut [u8]) {
    let hash = SecretArray::from(to_bytes(state));
    output
        .iter_mut()
        .zip(hash.iter())
        .for_each(|(to, from)| *to = *from);
}

fn to_bytes(state: &State) -> [u8; HASH_LEN] {
    let mut bytes = [0; HASH_LEN];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use hkdf::Hkdf;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    proptest! {
        #[test]
        fn as_hkdf(
            key: [u8; 32],
            info in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..32), 0..=4),
            hashed in prop::collection::vec(any::<u8>(), 0..400),
            len in 0usize..300,
            short_len in 0usize..=64,
        ) {
            let mut parts = Info::new(b"");
            info.iter().for_each(|part| parts.push(part));
            let expand = Expand::new(&key);
            let hkdf = Hkdf::<Sha256>::from_prk(&key).unwrap();
            let (mut output, mut expected) = (vec![0; len], vec![0; len]);
            expand.derive(&parts, &mut output);
            hkdf.expand(&info.concat(), &mut expected).unwrap();
            prop_assert_eq!(&output, &expected);

            let mut output = vec![0; short_len];
            let mut expected = vec![0; short_len];
            let of_hash = Expand::derive_with_hash(
                &key,
                &parts,
                &mut output,
                (b"label", [&hashed[..hashed.len() / 3], &hashed[hashed.len() / 3..]]),
            );
            hkdf.expand(&info.concat(), &mut expected).unwrap();
            let mut expected_of_hash = [0; 32];
            let hash = Sha256::digest(&hashed);
            hkdf.expand_multi_info(&[b"label", &hash], &mut expected_of_hash).unwrap();
            prop_assert_eq!(output, expected);
            prop_assert_eq!(*of_hash, expected_of_hash);
        }
    }
}
