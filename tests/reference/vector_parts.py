"""What the vectors are put together from: a writer with fixed keys, ways to break its message, the shape of a file."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from handles import held_key
from keys import ZERO_NONCE, HeldKey, commitment, expand, label, wrap_aad
from waxseal_reference import open_message, seal_body
from wire import KEY_LEN, SALT_LEN, Header, WrappedKey, encode_context

# Offsets in a fresh message with one wrapped key of tag 1.
FLAGS, TAG, LENGTH, KEY_ID, KEY_VERSION, WRAPPED, COMMITMENT, BODY = 1, 2, 3, 4, 20, 21, 69, 101

FIELDS = [
    "name",
    "comment",
    "kind",
    "expect",
    "error",
    "field",
    "passphrase",
    "record",
    "root_key",
    "handle",
    "binding",
    "spec",
    "algorithm",
    "context",
    "aad",
    "plaintext",
    "plaintext_len",
    "plaintext_sha256",
    "data_key",
    "salt",
    "suite",
    "reproducible",
    "also_opens_with",
    "raw_key_1",
    "raw_nonce_1",
    "raw_plaintext_1",
    "raw_key_2",
    "raw_nonce_2",
    "raw_plaintext_2",
    "raw_ciphertext",
    "message",
    "public_key",
    "mac",
    "signature",
    "headers",
    "nonce",
    "sealed_record",
]
LONGEST_SPELLED_OUT = 1000


def write_or_check(arguments: list[str], make: Callable[[], str], usage: str | None) -> int:
    """What is asked for on the command line of a file of vectors; returns the exit status."""
    match arguments:
        case ["write", file]:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(make())
        case ["check", file]:
            if Path(file).read_text() != make():
                print(f"differs: {file}", file=sys.stderr)
                return 1
        case _:
            print(usage, file=sys.stderr)
            return 2
    return 0


def drawn(seed: str, what: str, length: int = 32) -> bytes:
    """Stands in for randomness, so that the same vectors come out of every run."""
    blocks = (hashlib.sha256(f"{seed}/{what}/{i}".encode()).digest() for i in range(length // 32 + 1))
    return b"".join(blocks)[:length]


def pattern(length: int) -> bytes:
    return bytes((i * 31 + 7) % 251 for i in range(length))


@dataclass
class Sealing:
    """A message to be. The seed gives its root key, data key and salt; limits are not enforced, so it can be bad."""

    seed: str
    plaintext: bytes = pattern(20)
    context: dict[str, str] = field(default_factory=lambda: {"tenant": "a"})
    aad: bytes = b""
    suite: int = 1
    shared: bool = False
    record: bool = False
    pad: int | None = None
    before: tuple = ()
    after: tuple = ()
    root: bytes = b""
    data_key: bytes = b""
    salt: bytes = b""
    handle: bytes | None = None
    binding: bytes = b""
    own: WrappedKey | None = None

    def __post_init__(self):
        self.root = self.root or drawn(self.seed, "root key")
        self.data_key = self.data_key or drawn(self.seed, "data key")
        self.salt = self.salt or drawn(self.seed, "salt", SALT_LEN)
        self.own = self.own or self.held.wrap(self.data_key, self.canonical)

    @property
    def held(self) -> HeldKey:
        return held_key(self.root, self.handle, self.binding) if self.handle else HeldKey.of_root(self.root)

    @property
    def canonical(self) -> bytes:
        return encode_context(self.context)

    def header(self) -> Header:
        salt = self.salt if self.shared or self.record else None
        return Header(self.suite, salt, [*self.before, self.own, *self.after], self.pad, self.record)

    def body(self) -> bytes:
        if self.record:
            return b""
        return seal_body(self.plaintext, self.data_key, self.header(), self.canonical, self.aad)

    def message(self, committed: bytes | None = None, body: bytes | None = None) -> bytes:
        """The message, or one with other header bytes or another body whose commitment fits all the same."""
        committed = self.header().committed_bytes() if committed is None else committed
        body = self.body() if body is None else body
        return committed + commitment(self.data_key, self.canonical, committed) + body


@dataclass(frozen=True)
class RawEntry:
    """Bytes where a wrapped key belongs."""

    raw: bytes

    def to_bytes(self) -> bytes:
        return self.raw


def wrap_under(held: HeldKey, tag: int, prefix: bytes, data_key: bytes, context: bytes) -> WrappedKey:
    """Wraps properly under a prefix that the key itself would not write."""
    cipher = AESGCMSIV(expand(held.secret, label("kek-wrap"), KEY_LEN))
    return WrappedKey(tag, prefix + cipher.encrypt(ZERO_NONCE, data_key, wrap_aad(tag, prefix, context)))


def copy_for(recipient: str, sealing: Sealing, data_key: bytes | None = None) -> WrappedKey:
    """The wrapped key of another recipient, who holds a root key of its own."""
    return other_root(recipient).wrap(data_key or sealing.data_key, sealing.canonical)


def other_root(recipient: str) -> HeldKey:
    return HeldKey.of_root(drawn(recipient, "root key"))


def flip(data: bytes, at: int, mask: int = 1) -> bytes:
    at %= len(data)
    return put(data, at, bytes([data[at] ^ mask]))


def put(data: bytes, at: int, replacement: bytes) -> bytes:
    return data[:at] + replacement + data[at + len(replacement) :]


def accepted(name: str, comment: str, sealing: Sealing, message: bytes | None = None, **fields) -> dict:
    """`fields` are added to what the sealing says, or replace it."""
    written_by_seal = not sealing.before and not sealing.after and sealing.pad is None and message is None
    described = {
        "name": name,
        "comment": comment,
        "kind": kind_of(sealing),
        "expect": "opens",
        "data_key": sealing.data_key,
        "salt": sealing.header().salt,
        "suite": sealing.suite,
        "message": sealing.message() if message is None else message,
    }
    if not sealing.record:
        described |= plaintext_fields(sealing.plaintext) | {"reproducible": written_by_seal or None}
    return vector(**described | reader_of(sealing) | fields)


def refused(name: str, comment: str, refusal: str, sealing: Sealing, message: bytes | None = None, **fields) -> dict:
    """`refusal` is an error class, and its field if it has one; `fields` replace what the sealing says."""
    error, _, field_name = refusal.partition(" ")
    described = {
        "name": name,
        "comment": comment,
        "kind": kind_of(sealing),
        "expect": "refused",
        "error": error,
        "field": field_name or None,
        "message": sealing.message() if message is None else message,
    }
    return vector(**described | reader_of(sealing) | fields)


def broken(name: str, comment: str, refusal: str, sealing: Sealing, edit: Callable[[bytes], bytes]) -> dict:
    """Refused because of `edit` alone: the message before it opens."""
    whole = sealing.message()
    if open_message(whole, sealing.held, sealing.context, sealing.aad) != sealing.plaintext:
        raise AssertionError(f"{name}: the message does not open before it is broken")
    return refused(name, comment, refusal, sealing, edit(whole))


def kind_of(sealing: Sealing) -> str:
    if sealing.record:
        return "record_header"
    return "handle" if sealing.handle else "message"


def reader_of(sealing: Sealing) -> dict:
    return {
        "root_key": sealing.root,
        "handle": sealing.handle,
        "binding": sealing.binding or None,
        "context": sealing.context,
        "aad": sealing.aad or None,
    }


def plaintext_fields(plaintext: bytes) -> dict:
    if len(plaintext) <= LONGEST_SPELLED_OUT:
        return {"plaintext": plaintext}
    if plaintext != pattern(len(plaintext)):
        raise AssertionError("a plaintext left out must be the pattern")
    return {"plaintext_len": len(plaintext), "plaintext_sha256": hashlib.sha256(plaintext).digest()}


def vector(**fields) -> dict:
    unknown = fields.keys() - set(FIELDS)
    if unknown:
        raise AssertionError(f"not in the schema: {unknown}")
    return {name: as_json(fields[name]) for name in FIELDS if fields.get(name) is not None}


def as_json(value):
    match value:
        case bytes():
            return value.hex()
        case list():
            return [as_json(item) for item in value]
    return value
