"""The bytes of waxseal format v1: headers, contexts and limits. No key and no cipher comes near this file."""

import struct
from dataclasses import dataclass
from enum import IntEnum

VERSION = 1
SUITES = (1, 2)
FLAG_SALT, FLAG_RECORD, FLAG_PAD, FLAG_RESERVED = 1, 2, 4, 8

KEY_LEN, KEY_ID_LEN, SALT_LEN, COMMITMENT_LEN, AEAD_TAG_LEN = 32, 16, 24, 32, 16
WRAPPED_LEN = KEY_LEN + AEAD_TAG_LEN
U32_MAX = 2**32 - 1

MAX_ENTRY, MAX_HEADER, MAX_PAD = 16383, 65535, 4096
MAX_CONTEXT, MAX_CONTEXT_PAIRS, MAX_AAD = 8192, 64, 65536
SHARE_LEN, MAX_WRAPPED_KEYS = 19, 16
HEADER_ID_LEN, NONCE_LEN, MAX_RECORD = 4, 12, 1048576


class Tag(IntEnum):
    SOFTWARE = 1
    KMS = 2
    PKCS11 = 3
    KMS_TOKEN = 4
    X25519 = 5
    X_WING = 6
    SHARE = 7
    SUBJECT = 8
    NAMED = 127


class Refused(Exception):
    """Why an input is not accepted: a class of error and, for `malformed` and `limit`, the field."""

    def __init__(self, error: str, field: str | None = None):
        super().__init__(f"{error}: {field}" if field else error)
        self.error = error
        self.field = field


@dataclass(frozen=True)
class WrappedKey:
    tag: int
    entry: bytes

    def to_bytes(self) -> bytes:
        return bytes([self.tag]) + varint(len(self.entry)) + self.entry


@dataclass(frozen=True)
class Header:
    suite: int
    salt: bytes | None
    wrapped_keys: list[WrappedKey]
    pad: int | None = None
    record: bool = False

    @property
    def version_suite(self) -> bytes:
        return bytes([VERSION << 4 | self.suite])

    def committed_bytes(self) -> bytes:
        """H: the header up to the commitment. Checks nothing, so that bad headers can be made too."""
        flags = (
            (FLAG_SALT if self.salt is not None else 0)
            | (FLAG_RECORD if self.record else 0)
            | (FLAG_PAD if self.pad is not None else 0)
            | (len(self.wrapped_keys) - 1) << 4
        )
        keys = b"".join(wrapped_key.to_bytes() for wrapped_key in self.wrapped_keys)
        pad = b"" if self.pad is None else struct.pack(">H", self.pad) + bytes(self.pad)
        return self.version_suite + bytes([flags]) + (self.salt or b"") + keys + pad


@dataclass(frozen=True)
class Parsed:
    header: Header
    commitment: bytes
    body: bytes


def parse(message: bytes) -> Parsed:
    reader = Reader(message)
    suite = parse_version_suite(reader.byte())
    flags = reader.byte()
    record = bool(flags & FLAG_RECORD)
    if flags & FLAG_RESERVED or (record and not flags & FLAG_SALT):
        raise Refused("malformed", "flags")
    salt = reader.take(SALT_LEN) if flags & FLAG_SALT else None
    if record and salt[0] < 0x80:
        raise Refused("malformed", "salt")
    wrapped_keys = [parse_wrapped_key(reader) for _ in range((flags >> 4) + 1)]
    if len(set(wrapped_keys)) != len(wrapped_keys):
        raise Refused("malformed", "entries")
    pad = parse_pad(reader) if flags & FLAG_PAD else None
    if reader.position + COMMITMENT_LEN > MAX_HEADER:
        raise Refused("limit", "header")
    header_commitment = reader.take(COMMITMENT_LEN)
    body = reader.rest()
    if record and body:
        raise Refused("malformed", "body")
    return Parsed(Header(suite, salt, wrapped_keys, pad, record), header_commitment, body)


@dataclass(frozen=True)
class Record:
    header_id: bytes
    nonce: bytes
    ciphertext_and_tag: bytes

    def to_bytes(self) -> bytes:
        return self.header_id + self.nonce + self.ciphertext_and_tag


def parse_record(record: bytes) -> Record:
    reader = Reader(record)
    if record and record[0] < 0x80:
        raise Refused("not_a_record")
    header_id, nonce = reader.take(HEADER_ID_LEN), reader.take(NONCE_LEN)
    if reader.left() < AEAD_TAG_LEN:
        raise Refused("truncated")
    check_record_plaintext(reader.left() - AEAD_TAG_LEN)
    return Record(header_id, nonce, reader.rest())


def check_record_plaintext(length: int) -> None:
    if length > MAX_RECORD:
        raise Refused("limit", "record")


def parse_version_suite(byte: int) -> int:
    version, suite = byte >> 4, byte & 0x0F
    if byte >= 0x80 or version == 0:
        raise Refused("not_a_message")
    if version != VERSION:
        raise Refused("unsupported_version")
    if suite not in SUITES:
        raise Refused("unsupported_suite")
    return suite


def parse_wrapped_key(reader: "Reader") -> WrappedKey:
    tag = reader.byte()
    if not 1 <= tag <= 127:
        raise Refused("malformed", "tag")
    length = reader.varint("length")
    if length == 0:
        raise Refused("malformed", "length")
    if length > MAX_ENTRY:
        raise Refused("limit", "entry")
    entry = reader.take(length)
    if not has_known_layout(tag, entry):
        raise Refused("malformed", "entry")
    return WrappedKey(tag, entry)


def has_known_layout(tag: int, entry: bytes) -> bool:
    """Whether `entry` is `prefix || wrapped` as its tag lays it out; true of any entry whose tag is not known."""
    reader = Reader(entry)
    try:
        match tag:
            case Tag.SOFTWARE | Tag.KMS:
                reader.take(KEY_ID_LEN)
                return reader.varint("entry") >= 1 and reader.left() == WRAPPED_LEN
            case Tag.PKCS11:
                cka_id, mechanism = reader.counted(), reader.byte()
                return len(cka_id) >= 1 and mechanism != 0 and reader.left() >= 1
            case Tag.KMS_TOKEN:
                reader.take(KEY_ID_LEN)
                version, mechanism = reader.varint("entry"), reader.byte()
                return version >= 1 and mechanism != 0 and reader.left() >= 1
            case Tag.X25519:
                return len(entry) == KEY_ID_LEN + 32 + WRAPPED_LEN
            case Tag.X_WING:
                return len(entry) == KEY_ID_LEN + 1120 + WRAPPED_LEN
            case Tag.SUBJECT:
                return len(entry) == 2 * KEY_ID_LEN + WRAPPED_LEN
            case Tag.SHARE:
                threshold, shares, number = reader.take(SHARE_LEN)[KEY_ID_LEN:]
                inner = reader.byte()
                return (
                    2 <= threshold <= shares <= MAX_WRAPPED_KEYS
                    and 1 <= number <= shares
                    and 1 <= inner <= 127
                    and inner != Tag.SHARE
                    and reader.left() >= 1
                    and has_known_layout(inner, reader.rest())
                )
            case Tag.NAMED:
                provider, reference = reader.counted(), reader.counted()
                printable = all(0x21 <= byte <= 0x7E for byte in provider)
                return len(provider) >= 1 and printable and len(reference) >= 1 and reader.left() >= 1
    except Refused:
        return False
    return True


def parse_pad(reader: "Reader") -> int:
    (length,) = struct.unpack(">H", reader.take(2))
    if length > MAX_PAD:
        raise Refused("limit", "pad")
    if any(reader.take(length)):
        raise Refused("malformed", "pad")
    return length


class Reader:
    def __init__(self, data: bytes):
        self.data = data
        self.position = 0

    def left(self) -> int:
        return len(self.data) - self.position

    def take(self, length: int) -> bytes:
        if length > self.left():
            raise Refused("truncated")
        self.position += length
        return self.data[self.position - length : self.position]

    def byte(self) -> int:
        return self.take(1)[0]

    def counted(self) -> bytes:
        return self.take(self.byte())

    def rest(self) -> bytes:
        return self.take(self.left())

    def varint(self, name: str) -> int:
        value = 0
        for group in range(5):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * group
            if byte < 0x80:
                if value > U32_MAX or (group and byte == 0):
                    break
                return value
        raise Refused("malformed", name)


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def canonical_context(context: dict[str, str]) -> bytes:
    encoded = encode_context(context)
    if len(context) > MAX_CONTEXT_PAIRS or len(encoded) > MAX_CONTEXT or "" in context:
        raise Refused("context")
    return encoded


def encode_context(context: dict[str, str]) -> bytes:
    """The canonical bytes without the limits; UTF-8 keys are sorted as bytes, not as text."""
    try:
        pairs = sorted((key.encode(), value.encode()) for key, value in context.items())
        parts = [struct.pack(">H", len(part)) + part for pair in pairs for part in pair]
        return struct.pack(">H", len(pairs)) + b"".join(parts)
    except (UnicodeEncodeError, struct.error):
        raise Refused("context") from None


def check_aad(aad: bytes) -> None:
    if len(aad) > MAX_AAD:
        raise Refused("limit", "aad")
