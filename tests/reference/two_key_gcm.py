"""One AES-256-GCM ciphertext that opens under two keys, as anyone who knows both keys can make it.

GHASH is linear in every ciphertext block, so one free block is enough to make the two tags equal.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

BLOCK = 16
FIELD_POLYNOMIAL = 0xE1 << 120


@dataclass(frozen=True)
class GcmKey:
    key: bytes
    nonce: bytes

    def keystream(self, block: int) -> bytes:
        """What the plaintext block of this number is XORed with; counter 1 is the tag's."""
        return self._encrypt_block(self.nonce + (block + 2).to_bytes(4, "big"))

    def hash_key(self) -> int:
        return to_field(self._encrypt_block(bytes(BLOCK)))

    def tag_mask(self) -> int:
        return to_field(self._encrypt_block(self.nonce + (1).to_bytes(4, "big")))

    def tag(self, blocks: list[bytes]) -> bytes:
        """The tag of whole ciphertext blocks without AAD."""
        terms = [*map(to_field, blocks), len(blocks) * BLOCK * 8]
        ghash = 0
        for term in terms:
            ghash = multiply(ghash ^ term, self.hash_key())
        return from_field(ghash ^ self.tag_mask())

    def open(self, ciphertext: bytes) -> bytes:
        return AESGCM(self.key).decrypt(self.nonce, ciphertext, None)

    def _encrypt_block(self, block: bytes) -> bytes:
        encryptor = Cipher(algorithms.AES(self.key), modes.ECB()).encryptor()
        return encryptor.update(block) + encryptor.finalize()


def two_key_ciphertext(first: GcmKey, second: GcmKey, first_block: bytes, second_block: bytes) -> bytes:
    """Three blocks and a tag: block 0 reads `first_block` under `first`, block 1 `second_block` under `second`, and
    block 2 is whatever makes both tags the same."""
    blocks = [
        xor(first_block, first.keystream(0)),
        xor(second_block, second.keystream(1)),
        bytes(BLOCK),
    ]
    difference = to_field(first.tag(blocks)) ^ to_field(second.tag(blocks))
    # The last block is multiplied by the square of the hash key: once for itself, once for the length.
    weight = power(first.hash_key(), 2) ^ power(second.hash_key(), 2)
    blocks[2] = from_field(multiply(difference, invert(weight)))
    return b"".join(blocks) + first.tag(blocks)


def to_field(block: bytes) -> int:
    return int.from_bytes(block, "big")


def from_field(element: int) -> bytes:
    return element.to_bytes(BLOCK, "big")


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def multiply(a: int, b: int) -> int:
    """In GF(2^128) with GCM's order of bits: the highest bit of the number is the constant term (SP 800-38D, 6.3)."""
    product = 0
    for bit in range(127, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (FIELD_POLYNOMIAL if b & 1 else 0)
    return product


def power(base: int, exponent: int) -> int:
    result = 1 << 127
    while exponent:
        if exponent & 1:
            result = multiply(result, base)
        base = multiply(base, base)
        exponent >>= 1
    return result


def invert(element: int) -> int:
    return power(element, 2**128 - 2)
