"""What a KMS of waxseal format v1 keeps and gives out: records, import tokens, backups."""

import base64
import hashlib
import json
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key

from handles import held_key, open_handle
from keys import ZERO_NONCE, HeldKey, expand, label, sha256, wrap_aad
from wire import WRAPPED_LEN, Refused, Tag, WrappedKey, varint

TOKEN_FRONT_LEN = 43
STORE_ADDRESS = ("meta", b"waxseal/v1/store")
FIRST_LINE = b"waxseal kms backup 1\n"
BACKUP_AAD = label("kms-backup")


@dataclass(frozen=True)
class KmsKey(HeldKey):
    """A version of a KMS key: tag 2."""

    version: int = 1

    @property
    def prefix(self) -> bytes:
        return self.key_id + varint(self.version)

    def is_named_by(self, wrapped_key: WrappedKey) -> bool:
        return wrapped_key.tag == Tag.KMS and wrapped_key.entry[:-WRAPPED_LEN] == self.prefix

    def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        wrapped = self._cipher().encrypt(ZERO_NONCE, data_key, wrap_aad(Tag.KMS, self.prefix, context))
        return WrappedKey(Tag.KMS, self.prefix + wrapped)

    def unwrap(self, wrapped_key: WrappedKey, context: bytes) -> bytes:
        wrapped = wrapped_key.entry[-WRAPPED_LEN:]
        return self._cipher().decrypt(ZERO_NONCE, wrapped, wrap_aad(Tag.KMS, self.prefix, context))


def version_binding(key_id: bytes, version: int, spec: str, usage: str) -> bytes:
    names = b"".join(bytes([len(name)]) + name.encode() for name in (spec, usage))
    return label("kms-version") + key_id + varint(version) + names


def store_handle_binding(store_id: bytes) -> bytes:
    return label("kms-store") + store_id


def store_key_binding(store_id: bytes, provider: str) -> bytes:
    return label("kms-store-key") + store_id + sha256(provider.encode())


def record_tag(store_key: bytes, collection: str, record_id: bytes, tagged: bytes) -> bytes:
    name = collection.encode()
    place = bytes([len(name)]) + name + bytes([len(record_id)]) + record_id
    return expand(store_key, label("kms-record") + sha256(place + tagged))


def make_record(store_key: bytes, collection: str, record_id: bytes, body: dict) -> bytes:
    tagged = b"\1" + json.dumps(body, separators=(",", ":")).encode()
    return tagged + record_tag(store_key, collection, record_id, tagged)


def open_record_body(store_key: bytes, collection: str, record_id: bytes, record: bytes) -> dict:
    tagged, tag = record[:-32], record[-32:]
    if tagged[:1] != b"\1" or tag != record_tag(store_key, collection, record_id, tagged):
        raise Refused("decrypt")
    return json.loads(tagged[1:])


def material_digest(store_key: bytes, key_id: bytes, version: int, known_by: bytes) -> bytes:
    return expand(store_key, label("kms-material") + sha256(key_id + varint(version) + known_by))


def grants_digest(grant_ids: list[bytes]) -> bytes:
    return sha256(label("kms-grants") + b"".join(sorted(grant_ids)))


def grant_token(store_key: bytes, store_id: bytes, key_id: bytes, grant_id: bytes) -> bytes:
    named = b"\1" + store_id + key_id + grant_id
    return named + expand(store_key, label("kms-grant-token") + named)


def token_cipher(store_key: bytes, key_id: bytes) -> AESGCMSIV:
    return AESGCMSIV(expand(store_key, label("kms-import") + key_id))


def make_token(
    store_key: bytes, store_id: bytes, key_id: bytes, wrapping: int, size: int, valid_until: int, private_key: bytes
) -> bytes:
    front = b"\1" + store_id + key_id + bytes([wrapping, size]) + valid_until.to_bytes(8)
    return front + token_cipher(store_key, key_id).encrypt(ZERO_NONCE, private_key, label("kms-import-token") + front)


def unwrap_by_token(store_key: bytes, store_id: bytes, key_id: bytes, token: bytes, wrapped: bytes) -> bytes:
    """The material that was wrapped by RSA-OAEP for a token."""
    front = token[:TOKEN_FRONT_LEN]
    if front[:33] != b"\1" + store_id + key_id or front[33:34] != b"\1":
        raise Refused("malformed", "token")
    try:
        private_key = token_cipher(store_key, key_id).decrypt(
            ZERO_NONCE, token[TOKEN_FRONT_LEN:], label("kms-import-token") + front
        )
    except InvalidTag:
        raise Refused("decrypt") from None
    oaep = padding.OAEP(padding.MGF1(SHA256()), SHA256(), None)
    return load_der_private_key(private_key, password=None).decrypt(wrapped, oaep)


def wrap_by_oaep(public_key, material: bytes, seed: bytes) -> bytes:
    """RSA-OAEP (RFC 8017, section 7.1.1) with a given seed."""
    numbers = public_key.public_numbers()
    length = public_key.key_size // 8
    block = sha256(b"") + bytes(length - len(material) - 66) + b"\1" + material
    masked_block = xor(block, mgf1(seed, len(block)))
    masked_seed = xor(seed, mgf1(masked_block, len(seed)))
    return pow(int.from_bytes(b"\0" + masked_seed + masked_block), numbers.e, numbers.n).to_bytes(length)


def mgf1(seed: bytes, length: int) -> bytes:
    blocks = (hashlib.sha256(seed + i.to_bytes(4)).digest() for i in range(length // 32 + 1))
    return b"".join(blocks)[:length]


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


@dataclass(frozen=True)
class BackupContents:
    root_key: bytes = field(repr=False)
    store_key: bytes = field(repr=False)
    records: dict[tuple[str, bytes], bytes]

    def body(self, collection: str, record_id: bytes) -> dict:
        return open_record_body(self.store_key, collection, record_id, self.records[collection, record_id])

    def version_key(self, key_id: bytes, version: int = 1) -> KmsKey:
        """A version of a key that wraps, from its handle."""
        body = self.body("keys", key_id)
        handle = base64.b64decode(body["versions"][version - 1]["handle"])
        binding = version_binding(key_id, version, body["spec"], body["usage"])
        return KmsKey(key_id, open_handle(self.root_key, handle, binding).material, version)

    def check(self) -> None:
        """All tags, and that the store record gives the store key."""
        for collection, record_id in self.records:
            self.body(collection, record_id)
        body = self.body(*STORE_ADDRESS)
        store_id = bytes.fromhex(body["store"])
        key = held_key(self.root_key, base64.b64decode(body["handle"]), store_handle_binding(store_id))
        binding = store_key_binding(store_id, body["provider"])
        unwrapped = key._cipher().decrypt(ZERO_NONCE, base64.b64decode(body["wrapped"]), binding)
        if unwrapped != self.store_key:
            raise Refused("decrypt")


def check_grants(contents: BackupContents) -> None:
    """That each key has the grants that its record says, and no others."""
    found: dict[bytes, list[bytes]] = {}
    for collection, record_id in contents.records:
        if collection == "grants":
            body = contents.body(collection, record_id)
            if bytes.fromhex(body["key"] + body["grant"]) != record_id:
                raise Refused("malformed", "grant")
            found.setdefault(record_id[:16], []).append(record_id[16:])
    for collection, record_id in contents.records:
        if collection == "keys":
            grants = found.pop(record_id, [])
            said = contents.body(collection, record_id).get("grants", {}).get("digest", "")
            if base64.b64decode(said) != (grants_digest(grants) if grants else b""):
                raise Refused("malformed", "grants")
    if found:
        raise Refused("malformed", "grants")


def make_backup_payload(contents: BackupContents) -> bytes:
    parts = [FIRST_LINE, contents.root_key, contents.store_key]
    for (collection, record_id), record in contents.records.items():
        name = collection.encode()
        parts += [b"\1", bytes([len(name)]), name, bytes([len(record_id)]), record_id, len(record).to_bytes(4), record]
    return b"".join([*parts, b"\0", len(contents.records).to_bytes(8)])


def parse_backup_payload(payload: bytes) -> BackupContents:
    if not payload.startswith(FIRST_LINE):
        raise Refused("malformed", "backup")
    at = len(FIRST_LINE)

    def take(length: int) -> bytes:
        nonlocal at
        taken = payload[at : at + length]
        if len(taken) < length:
            raise Refused("malformed", "backup")
        at += length
        return taken

    root_key, store_key, records = take(32), take(32), {}
    while take(1) == b"\1":
        collection = take(take(1)[0]).decode("ascii")
        record_id = take(take(1)[0])
        if (collection, record_id) in records:
            raise Refused("malformed", "backup")
        records[collection, record_id] = take(int.from_bytes(take(4)))
    if int.from_bytes(take(8)) != len(records) or at != len(payload):
        raise Refused("malformed", "backup")
    return BackupContents(root_key, store_key, records)
