"""The derivations of waxseal format v1, and the keys that a software reader holds: a bare root key, a version key, the
root key behind a passphrase."""

import hashlib
import hmac
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from wire import COMMITMENT_LEN, KEY_ID_LEN, KEY_LEN, WRAPPED_LEN, Header, Refused, Tag, WrappedKey, varint

ZERO_NONCE = bytes(12)


def label(name: str) -> bytes:
    return b"waxseal/v1/" + name.encode("ascii") + b"\0"


def expand(key: bytes, info: bytes, length: int = KEY_LEN) -> bytes:
    return HKDFExpand(SHA256(), length, info).derive(key)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def commitment(data_key: bytes, context: bytes, committed: bytes) -> bytes:
    return expand(data_key, label("commit") + sha256(sha256(context) + committed), COMMITMENT_LEN)


def payload_key(data_key: bytes, header: Header, context: bytes, aad: bytes) -> tuple[bytes, bytes]:
    """The key and the base nonce of the body."""
    mode = (1 if header.salt is not None else 0) | (2 if aad else 0)
    info = (
        label("payload")
        + header.version_suite
        + bytes([mode])
        + (header.salt or b"")
        + sha256(context)
        + (sha256(aad) if aad else b"")
    )
    derived = expand(data_key, info, KEY_LEN + 12)
    return derived[:KEY_LEN], derived[KEY_LEN:]


def record_key(data_key: bytes, header: Header, context: bytes) -> bytes:
    return expand(data_key, label("record") + header.version_suite + header.salt + sha256(context))


@dataclass(frozen=True)
class HeldKey:
    """A bare root key, or the version key inside a handle: version 1 of its key id, tag 1."""

    key_id: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def of_root(cls, root: bytes) -> "HeldKey":
        return cls(expand(root, label("key-id"), KEY_ID_LEN), root)

    @property
    def prefix(self) -> bytes:
        return self.key_id + varint(1)

    def is_named_by(self, wrapped_key: WrappedKey) -> bool:
        return wrapped_key.tag == Tag.SOFTWARE and wrapped_key.entry[:-WRAPPED_LEN] == self.prefix

    def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        wrapped = self._cipher().encrypt(ZERO_NONCE, data_key, wrap_aad(Tag.SOFTWARE, self.prefix, context))
        return WrappedKey(Tag.SOFTWARE, self.prefix + wrapped)

    def unwrap(self, wrapped_key: WrappedKey, context: bytes) -> bytes:
        wrapped = wrapped_key.entry[-WRAPPED_LEN:]
        return self._cipher().decrypt(ZERO_NONCE, wrapped, wrap_aad(Tag.SOFTWARE, self.prefix, context))

    def wrap_for(self, tag: int, prefix: bytes, data_key: bytes, context: bytes) -> bytes:
        """Bound to the tag and prefix of an entry in which the key stands in another place."""
        return self._cipher().encrypt(ZERO_NONCE, data_key, wrap_aad(tag, prefix, context))

    def unwrap_for(self, tag: int, prefix: bytes, wrapped: bytes, context: bytes) -> bytes:
        return self._cipher().decrypt(ZERO_NONCE, wrapped, wrap_aad(tag, prefix, context))

    def _cipher(self) -> AESGCMSIV:
        return AESGCMSIV(expand(self.secret, label("kek-wrap")))


def wrap_aad(tag: int, prefix: bytes, context: bytes) -> bytes:
    return label("wrap") + bytes([tag]) + prefix + sha256(context)


def make_passphrase_record(passphrase: str, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
    root = stretch(passphrase, salt, memory_kib, passes, lanes)
    return struct.pack(">BIII", 1, memory_kib, passes, lanes) + salt + passphrase_check(root)


def open_passphrase_record(record: bytes, passphrase: str) -> bytes:
    if len(record) != 45 or record[0] != 1:
        raise Refused("malformed", "record")
    memory_kib, passes, lanes = struct.unpack(">III", record[1:13])
    if not (1 <= lanes <= 16 and 1 <= passes <= 64 and 8 * lanes <= memory_kib <= 2 << 20):
        raise Refused("malformed", "record")
    root = stretch(passphrase, record[13:29], memory_kib, passes, lanes)
    if not hmac.compare_digest(passphrase_check(root), record[29:]):
        raise Refused("wrong_passphrase")
    return root


def stretch(passphrase: str, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
    kdf = Argon2id(salt=salt, length=KEY_LEN, iterations=passes, lanes=lanes, memory_cost=memory_kib)
    return kdf.derive(passphrase.encode())


def passphrase_check(root: bytes) -> bytes:
    return expand(root, label("passphrase-check"), 16)
