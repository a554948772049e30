"""Wraps that `keys.py` has none of: for the public key of a recipient (tags 5 and 6), and in shares (tag 7)."""

import base64
from dataclasses import dataclass, field
from itertools import combinations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHAKE256, Hash
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keys import HeldKey, label, sha256, wrap_aad
from wire import KEY_ID_LEN, SHARE_LEN, Reader, Refused, Tag, WrappedKey

ALGORITHMS = {"x25519": (Tag.X25519, KEM.X25519), "x-wing": (Tag.X_WING, KEM.MLKEM768_X25519)}


@dataclass(frozen=True)
class Recipient:
    algorithm: str
    secret: bytes = field(repr=False)

    @property
    def tag(self) -> int:
        return ALGORITHMS[self.algorithm][0]

    def public_key(self) -> bytes:
        if self.algorithm == "x25519":
            return raw(X25519PrivateKey.from_private_bytes(self.secret))
        seed, x25519 = self._halves()
        return raw(MLKEM768PrivateKey.from_seed_bytes(seed)) + raw(X25519PrivateKey.from_private_bytes(x25519))

    @property
    def key_id(self) -> bytes:
        hashed = label("recipient-id") + self.algorithm.encode() + b"\0" + self.public_key()
        return sha256(hashed)[:KEY_ID_LEN]

    def text(self, half: str) -> str:
        key = self.public_key() if half == "public" else self.secret
        return f"waxseal-{self.algorithm}-{half}:{self.key_id.hex()}:{base64.b64encode(key).decode()}"

    def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        info = wrap_aad(self.tag, self.key_id, context)
        return WrappedKey(self.tag, self.key_id + self._suite().encrypt(data_key, self._key().public_key(), info))

    def is_named_by(self, wrapped_key: WrappedKey) -> bool:
        return wrapped_key.tag == self.tag and wrapped_key.entry.startswith(self.key_id)

    def unwrap(self, wrapped_key: WrappedKey, context: bytes) -> bytes:
        info = wrap_aad(self.tag, self.key_id, context)
        return self._suite().decrypt(wrapped_key.entry[KEY_ID_LEN:], self._key(), info)

    def _suite(self) -> Suite:
        return Suite(ALGORITHMS[self.algorithm][1], KDF.HKDF_SHA256, AEAD.AES_256_GCM)

    def _halves(self) -> tuple[bytes, bytes]:
        """X-Wing: the seed of ML-KEM-768, 64 bytes, and the private key of X25519, out of one seed."""
        expanded = Hash(SHAKE256(96))
        expanded.update(self.secret)
        expanded = expanded.finalize()
        return expanded[:64], expanded[64:]

    def _key(self):
        if self.algorithm == "x25519":
            return X25519PrivateKey.from_private_bytes(self.secret)
        seed, x25519 = self._halves()
        return MLKEM768X25519PrivateKey(
            MLKEM768PrivateKey.from_seed_bytes(seed), X25519PrivateKey.from_private_bytes(x25519)
        )


def raw(private_key) -> bytes:
    return private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def wrap_shares(
    data_key: bytes, threshold: int, keys: list[HeldKey], group: bytes, coefficients: list[bytes], context: bytes
) -> list[WrappedKey]:
    """One share for each key; `coefficients` are those of x, x^2 and so on, `threshold` - 1 of them."""
    wrapped = []
    for number, key in enumerate(keys, 1):
        share = bytes(evaluate([secret, *rest], number) for secret, *rest in zip(data_key, *coefficients, strict=True))
        place = group + bytes([threshold, len(keys), number])
        prefix = place + bytes([Tag.SOFTWARE]) + key.prefix
        inner = key.wrap_for(Tag.SHARE, prefix, share, context)
        wrapped.append(WrappedKey(Tag.SHARE, prefix + inner))
    return wrapped


@dataclass(frozen=True)
class Holders:
    """Several held keys together, for messages in shares."""

    keys: list[HeldKey]

    def is_named_by(self, wrapped_key: WrappedKey) -> bool:
        return any(self._is_held(wrapped_key, key) for key in self.keys)

    def data_key(self, wrapped_keys: list[WrappedKey], context: bytes) -> bytes:
        groups: dict[bytes, dict[int, bytes]] = {}
        for wrapped_key in wrapped_keys:
            for key in self.keys:
                if not self._is_held(wrapped_key, key):
                    continue
                place, wrapped = wrapped_key.entry[:SHARE_LEN], wrapped_key.entry[-48:]
                prefix = wrapped_key.entry[:-48]
                try:
                    share = key.unwrap_for(Tag.SHARE, prefix, wrapped, context)
                except InvalidTag:
                    continue
                groups.setdefault(place[:-1], {})[place[-1]] = share
        for group, shares in groups.items():
            threshold = group[-2]
            if len(shares) >= threshold:
                found = {combine(dict(some)) for some in combinations(shares.items(), threshold)}
                if len(found) != 1:
                    raise Refused("decrypt")
                return found.pop()
        raise Refused("too_few_shares" if any(map(self.is_named_by, wrapped_keys)) else "other_key")

    @staticmethod
    def _is_held(wrapped_key: WrappedKey, key: HeldKey) -> bool:
        if wrapped_key.tag != Tag.SHARE:
            return False
        reader = Reader(wrapped_key.entry[SHARE_LEN:])
        return reader.byte() == Tag.SOFTWARE and reader.take(reader.left() - 48) == key.prefix


def multiply(a: int, b: int) -> int:
    """In GF(2^8) modulo x^8 + x^4 + x^3 + x + 1: as polynomials, then reduced."""
    product = 0
    for bit in range(8):
        product ^= (a << bit) * (b >> bit & 1)
    for bit in range(14, 7, -1):
        product ^= (0x11B << bit - 8) * (product >> bit & 1)
    return product


def inverse(a: int) -> int:
    return next(b for b in range(1, 256) if multiply(a, b) == 1)


def evaluate(polynomial: list[int], x: int) -> int:
    value, power = 0, 1
    for coefficient in polynomial:
        value ^= multiply(coefficient, power)
        power = multiply(power, x)
    return value


def combine(shares: dict[int, bytes]) -> bytes:
    secret = bytes(32)
    for x, share in shares.items():
        weight = 1
        for other in shares.keys() - {x}:
            weight = multiply(weight, multiply(other, inverse(x ^ other)))
        secret = bytes(a ^ multiply(b, weight) for a, b in zip(secret, share, strict=True))
    return secret
