//! HKDF-Expand with SHA-256 (RFC 5869 section 2.3), over sha2's compression function.
//!
//! A small message spends most of its time in derivations. Here HMAC goes without the buffers of a
//! general implementation, and computations that do not depend on each other run in step: the
//! processor overlaps them, so two take little longer than one.

use std::{array, slice};

use sha2::block_api::compress256;
use zeroize::{Zeroizing, zeroize_bytes};

use super::sha256;
use crate::crypto::{ExpandKey, HASH_LEN, Info, KEY_LEN, SecretArray};

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
        let mut padded = Padded::new();
        let mut state = Zeroizing::new(INITIAL);
        for (counter, output) in (1..=u8::MAX).zip(output.chunks_mut(HASH_LEN)) {
            padded.put_info(info, counter);
            if counter > 1 {
                padded.put(0, &to_bytes(&state));
            }
            *state = *self.inner;
            compress256(&mut state, padded.blocks());
            self.finish(&mut state);
            write(&state, output);
        }
    }

    /// As [`derive`](Self::derive) for at most two hashes, and in step with them the hash for the
    /// info `label || SHA-256(hashed)`.
    #[inline(always)]
    pub(in crate::crypto) fn derive_with_hash<const N: usize>(
        key: ExpandKey<'_>,
        info: &Info,
        label: &[u8],
        hashed: (&[u8; HASH_LEN], &[u8]),
    ) -> (SecretArray<N>, SecretArray<HASH_LEN>) {
        // Written in place, since moving blocks costs as much as a third of hashing them; and long
        // before they are read: a processor that reads a block in large pieces waits for small
        // writes to it.
        let (mut to_first, mut to_second) = (Padded::new(), Padded::new());
        to_first.put_info(info, 1);
        to_second.put_info(info, 2);
        let (mut to_hash, mut to_commit) = (Padded::new(), Padded::new());
        let is_short = to_hash.put_short(hashed);
        let mut committed = Info::new(label);
        committed.push(&[0; HASH_LEN]);
        to_commit.put_info(&committed, 1);

        let new;
        let hmac = match key {
            ExpandKey::New(key) => {
                new = Self::new(key);
                &new
            }
            ExpandKey::Kept(kept) => &kept.0,
        };
        let mut of_hash = OfHash {
            hmac,
            to_hash: to_hash.blocks().iter(),
            to_commit: &mut to_commit,
            place: label.len(),
            state: Zeroizing::new(INITIAL),
            next: Stage::Hash,
        };
        if !is_short {
            of_hash.commit_to(&sha256(&[hashed.0, hashed.1]));
        }

        let mut output = SecretArray::<N>::zeroed();
        let mut state = hmac.inner.clone();
        for (number, hash) in output.chunks_mut(HASH_LEN).enumerate() {
            let padded = if number == 0 {
                &to_first
            } else {
                to_second.put(0, &to_bytes(&state));
                *state = *hmac.inner;
                &to_second
            };
            for block in padded.blocks() {
                compress256(&mut state, array::from_ref(block));
                of_hash.step();
            }
            hmac.finish(&mut state);
            of_hash.step();
            write(&state, hash);
        }
        (output, of_hash.finish())
    }

    /// From the inner hash of HMAC to the outer.
    fn finish(&self, state: &mut State) {
        let block = outer_block(state);
        *state = *self.outer;
        compress256(state, &[block]);
    }
}

/// The hash for `label || SHA-256(hashed)`, computed in steps of one block each.
struct OfHash<'a> {
    hmac: &'a Expand,
    to_hash: slice::Iter<'a, Block>,
    to_commit: &'a mut Padded,
    /// Where the hash goes in `to_commit`.
    place: usize,
    state: Zeroizing<State>,
    next: Stage,
}

#[derive(PartialEq)]
enum Stage {
    Hash,
    Inner,
    Outer,
    Done,
}

impl OfHash<'_> {
    #[inline(always)]
    fn step(&mut self) {
        match self.next {
            Stage::Hash => {
                if let Some(block) = self.to_hash.next() {
                    compress256(&mut self.state, array::from_ref(block));
                }
                if self.to_hash.as_slice().is_empty() {
                    self.commit_to(&to_bytes(&self.state));
                }
            }
            Stage::Inner => {
                compress256(&mut self.state, self.to_commit.blocks());
                self.next = Stage::Outer;
            }
            Stage::Outer => {
                self.hmac.finish(&mut self.state);
                self.next = Stage::Done;
            }
            Stage::Done => {}
        }
    }

    fn commit_to(&mut self, hash: &[u8; HASH_LEN]) {
        self.to_commit.put(self.place, hash);
        *self.state = *self.hmac.inner;
        self.next = Stage::Inner;
    }

    fn finish(mut self) -> SecretArray<HASH_LEN> {
        while self.next != Stage::Done {
            self.step();
        }
        SecretArray::from(to_bytes(&self.state))
    }
}

/// A short message, or the rest of one, padded to whole blocks (FIPS 180-4 section 5.1.1).
struct Padded {
    blocks: [Block; 3],
    len: usize,
}

impl Padded {
    #[inline(always)]
    fn new() -> Self {
        Self {
            blocks: [[0; BLOCK_LEN]; 3],
            len: 0,
        }
    }

    /// What HMAC takes in after its key for one hash of HKDF: the hash before it, for which there is
    /// room unless it is the first, the info and the number of the hash.
    #[inline(always)]
    fn put_info(&mut self, info: &Info, counter: u8) {
        let room = if counter == 1 { 0 } else { HASH_LEN };
        self.put(room, &info.bytes);
        self.put(room + info.len, &[counter]);
        self.pad(room + info.len + 1, BLOCK_LEN);
    }

    /// The concatenation of two parts, if they are short.
    #[inline(always)]
    fn put_short(&mut self, (front, back): (&[u8; HASH_LEN], &[u8])) -> bool {
        const MAX_LEN: usize = 3 * BLOCK_LEN - 1 - size_of::<u64>();

        let len = HASH_LEN + back.len();
        self.put(0, front);
        match self.blocks.as_flattened_mut().get_mut(HASH_LEN..len) {
            Some(room) if len <= MAX_LEN => room.copy_from_slice(back),
            _ => return false,
        }
        self.pad(len, 0);
        true
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, place: usize, bytes: &[u8; N]) {
        let rest = self.blocks.as_flattened_mut().get_mut(place..);
        // A copy of a length known when this is compiled takes no call.
        if let Some(room) = rest.and_then(<[u8]>::first_chunk_mut) {
            *room = *bytes;
        }
    }

    /// Pads the first `len` bytes, which follow `taken` bytes that were taken in.
    #[inline(always)]
    fn pad(&mut self, len: usize, taken: usize) {
        let bits = (taken as u64 + len as u64) * 8;
        let blocks = (len + size_of_val(&bits)) / BLOCK_LEN + 1;
        self.put(len, &[0x80]);
        self.put(blocks * BLOCK_LEN - size_of_val(&bits), &bits.to_be_bytes());
        self.len = blocks;
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
            front: [u8; 32],
        ) {
            let mut parts = Info::new(b"");
            info.iter().for_each(|part| parts.push(part));
            let expand = Expand::new(&key);
            let hkdf = Hkdf::<Sha256>::from_prk(&key).unwrap();
            let (mut output, mut expected) = (vec![0; len], vec![0; len]);
            expand.derive(&parts, &mut output);
            hkdf.expand(&info.concat(), &mut expected).unwrap();
            prop_assert_eq!(&output, &expected);

            let mut expected = [0; 64];
            hkdf.expand(&info.concat(), &mut expected).unwrap();
            let mut expected_of_hash = [0; 32];
            let hash = Sha256::new().chain_update(front).chain_update(&hashed).finalize();
            hkdf.expand_multi_info(&[b"label", &hash], &mut expected_of_hash).unwrap();
            let (new, kept) = (ExpandKey::New(&key), crate::crypto::Expand::new(&key));
            let (output, of_hash) =
                Expand::derive_with_hash::<64>(new, &parts, b"label", (&front, &hashed));
            prop_assert_eq!(*output, expected);
            prop_assert_eq!(*of_hash, expected_of_hash);
            let (output, _) =
                Expand::derive_with_hash::<44>(ExpandKey::Kept(&kept), &parts, b"label", (&front, &hashed));
            prop_assert_eq!(&output[..], &expected[..44]);
            let (output, of_hash) =
                Expand::derive_with_hash::<32>(new, &parts, b"label", (&front, &hashed));
            prop_assert_eq!(&output[..], &expected[..32]);
            prop_assert_eq!(*of_hash, expected_of_hash);
        }
    }
}
