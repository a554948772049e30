"""Makes the vectors of rewraps, of their journals and of subjects, or checks that those on disk are the ones it would
make.

    make_rewrap_vectors.py write FILE
    make_rewrap_vectors.py check FILE
"""

import base64
import json
import struct
import sys
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

import kms
from handles import WRAPPING, make_handle
from keys import ZERO_NONCE, HeldKey, commitment, expand, label, sha256, wrap_aad
from make_kms_vectors import CREATED, SPEC, USAGE, store_record
from vector_parts import drawn, write_or_check
from waxseal_reference import open_message, seal, unwrap_committed
from wire import COMMITMENT_LEN, WRAPPED_LEN, Header, Tag, WrappedKey, canonical_context, parse, varint

CONTEXT = {"tenant": "acme", "purpose": "backup"}
ERASED = "2026-02-01T00:00:00.000Z"
CREATED_MILLIS, ERASED_MILLIS = 1_767_225_600_000, 1_769_904_000_000
NAME = "person:123"


def make() -> str:
    vectors = {"rewraps": rewraps(), "journal": journal_vector(), "subject": subject()}
    return json.dumps(vectors, indent=2) + "\n"


def draw(what: str, length: int = 32) -> bytes:
    return drawn("rewrap", what, length)


# Rewraps


def rewraps() -> dict:
    roots = [draw(f"root key {number}") for number in range(3)]
    first, second, third = (HeldKey.of_root(root) for root in roots)
    message = seal(b"the payload", [first], draw("data key"), CONTEXT)
    with_pad = rewrap(message, first, lambda keys: keys, pad=150)

    def wrapped(key: HeldKey) -> WrappedKey:
        return key.wrap(draw("data key"), canonical_context(CONTEXT))

    added = rewrap(message, first, lambda keys: [*keys, wrapped(second)])
    cases = [
        ("from one key to another", message, {"to": 1}, rewrap(message, first, lambda _: [wrapped(second)])),
        ("one key more, and a longer header", message, {"add": [1]}, added),
        (
            "one key more where there is room",
            with_pad,
            {"add": [1]},
            rewrap(with_pad, first, lambda keys: [*keys, wrapped(second)], pad=150 - 67),
        ),
        (
            "two keys more, and hardly room",
            with_pad,
            {"add": [1, 2]},
            rewrap(with_pad, first, lambda keys: [*keys, wrapped(second), wrapped(third)], pad=150 - 2 * 67),
        ),
        ("one key less makes room", added, {"remove": [1]}, rewrap(added, first, lambda keys: keys[:1], pad=65)),
        (
            "one key for another in its place",
            added,
            {"to": 2},
            rewrap(added, first, lambda keys: [wrapped(third), keys[1]]),
        ),
        ("nothing to do", added, {"add": [1]}, added),
    ]
    for _, _, _, after in cases:
        holder = next(key for key in (first, second, third) if opens(after, key))
        assert open_message(after, holder, CONTEXT) == b"the payload"
    return {
        "comment": "Keys are numbered from 0; number 0 opens. `to` replaces its entry, `add` and `remove` keep it.",
        "root_keys": [root.hex() for root in roots],
        "context": CONTEXT,
        "cases": [
            {"comment": comment, "message": before.hex(), "change": change, "rewrapped": after.hex()}
            for comment, before, change, after in cases
        ],
    }


def opens(message: bytes, key: HeldKey) -> bool:
    return any(key.is_named_by(wrapped_key) for wrapped_key in parse(message).header.wrapped_keys)


def rewrap(message: bytes, key: HeldKey, change, pad: int | None = None) -> bytes:
    """Section 10: verifies the old header, and writes a new one before the same body."""
    parsed = parse(message)
    context = canonical_context(CONTEXT)
    data_key = unwrap_committed(parsed, key, context)
    header = replace(parsed.header, wrapped_keys=change(parsed.header.wrapped_keys), pad=pad)
    committed = header.committed_bytes()
    return committed + commitment(data_key, context, committed) + parsed.body


# Journals


def journal_vector() -> dict:
    cases = rewraps()["cases"]
    overwrites = [
        (name, header_of(bytes.fromhex(case["message"])), header_of(bytes.fromhex(case["rewrapped"])))
        for name, case in [("f1", cases[0]), ("2026/ä.sealed", cases[2])]
    ]
    return {
        "overwrites": [{"name": name, "old": old.hex(), "new": new.hex()} for name, old, new in overwrites],
        "journal": make_journal(overwrites).hex(),
    }


def header_of(message: bytes) -> bytes:
    parsed = parse(message)
    return message[: len(message) - len(parsed.body)]


def make_journal(overwrites: list[tuple[str, bytes, bytes]]) -> bytes:
    written = b"waxseal rewrap 1\n"
    for name, old, new in overwrites:
        assert len(old) == len(new)
        path = name.encode()
        written += b"\1" + struct.pack(">H", len(path)) + path + struct.pack(">H", len(old)) + old + new
    written += b"\0"
    return written + sha256(written)


# Subjects


@dataclass(frozen=True)
class SubjectKey(HeldKey):
    """The key of a subject: tag 8. `key_id` is that of the KMS key."""

    subject: bytes = b""

    @property
    def prefix(self) -> bytes:
        return self.key_id + self.subject

    def is_named_by(self, wrapped_key: WrappedKey) -> bool:
        return wrapped_key.tag == Tag.SUBJECT and wrapped_key.entry[:-WRAPPED_LEN] == self.prefix

    def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        wrapped = self._cipher().encrypt(ZERO_NONCE, data_key, wrap_aad(Tag.SUBJECT, self.prefix, context))
        return WrappedKey(Tag.SUBJECT, self.prefix + wrapped)

    def unwrap(self, wrapped_key: WrappedKey, context: bytes) -> bytes:
        wrapped = wrapped_key.entry[-WRAPPED_LEN:]
        return self._cipher().decrypt(ZERO_NONCE, wrapped, wrap_aad(Tag.SUBJECT, self.prefix, context))


def subject() -> dict:
    root_key, store_key, store_id = draw("store root key"), draw("store key"), draw("store id", 16)
    key_id, version_key = draw("kms key id", 16), draw("version key")
    subject_id, seed, gone_id = draw("subject id", 16), draw("seed"), draw("erased subject id", 16)

    cipher = AESGCMSIV(expand(version_key, label("kek-wrap")))
    binding = label("kms-subject-seed") + key_id + varint(1) + subject_id
    wrapped_seed = cipher.encrypt(ZERO_NONCE, seed, binding)
    digest = sha256(draw("erased wrapped seed", 48))
    record_id = expand(store_key, label("kms-subject") + key_id + sha256(NAME.encode()))
    gone = {
        "subject": gone_id.hex(),
        "created": CREATED,
        "erased": ERASED,
        "by": "privacy:desk",
        "digest": encode(digest),
    }
    live = {"subject": subject_id.hex(), "created": CREATED, "version": 1, "seed": encode(wrapped_seed)}
    body = {"key": key_id.hex(), "live": live, "erased": [gone]}
    hashed = (
        store_id
        + key_id
        + gone_id
        + struct.pack(">QQ", CREATED_MILLIS, ERASED_MILLIS)
        + sha256(record_id)
        + sha256(digest)
        + b"privacy:desk"
    )
    tag = expand(store_key, label("kms-erasure") + sha256(hashed))
    proof = {
        "store": store_id.hex(),
        "key": key_id.hex(),
        **{member: gone[member] for member in ("subject", "created", "erased", "by")},
        "name": encode(record_id),
        "digest": encode(digest),
        "tag": encode(tag),
    }
    handle_binding = kms.version_binding(key_id, 1, SPEC, USAGE)
    handle = make_handle(root_key, draw("handle id", 16), WRAPPING, version_key, handle_binding)
    records = [
        ("meta", b"waxseal/v1/store", store_record(root_key, store_id, store_key, draw("store version key"))),
        ("keys", key_id, key_record(store_key, key_id, handle)),
        ("subjects", record_id, kms.make_record(store_key, "subjects", record_id, body)),
    ]
    key, gone_key = SubjectKey(key_id, seed, subject_id), SubjectKey(key_id, draw("erased seed"), gone_id)
    sealed = seal(b"born 1971", [key], draw("subject data key"), CONTEXT)
    assert open_message(sealed, key, CONTEXT) == b"born 1971"
    return {
        "root_key": root_key.hex(),
        "records": [
            {"collection": collection, "id": record_id.hex(), "bytes": record.hex()}
            for collection, record_id, record in records
        ],
        "key": key_id.hex(),
        "name": NAME,
        "context": CONTEXT,
        "sealed": sealed.hex(),
        "plaintext": "born 1971",
        "erased": seal(b"gone", [gone_key], draw("erased data key"), CONTEXT).hex(),
        "proof": proof,
    }


def key_record(store_key: bytes, key_id: bytes, handle: bytes) -> bytes:
    version = {"number": 1, "state": "ENABLED", "cause": "CREATED", "created": CREATED, "promoted": CREATED}
    body = {
        "key": key_id.hex(),
        "generation": 1,
        "spec": SPEC,
        "usage": USAGE,
        "origin": "PROVIDER",
        "provider": "software",
        "created": CREATED,
        "state": {"name": "ENABLED"},
        "description": "",
        "tags": {},
        "aliases": [],
        "primary": 1,
        "versions": [version | {"provider": "software", "handle": encode(handle), "wraps": 0}],
    }
    return kms.make_record(store_key, "keys", key_id, body)


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], make, __doc__))
