"""Makes the vector of a backup and an import token, or checks that the one on disk is the one it would make; or opens
a backup that the crate made.

    make_kms_vectors.py write FILE
    make_kms_vectors.py check FILE
    make_kms_vectors.py open BACKUP ROOT_KEY_HEX
"""

import base64
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import kms
from handles import WRAPPING, make_handle
from keys import ZERO_NONCE, HeldKey, expand, label
from rsa_keys import rsa_key
from vector_parts import drawn
from waxseal_reference import open_message, seal

CREATED = "2026-01-01T00:00:00.000Z"
VALID_UNTIL = 1_767_225_600_000 + 86_400_000
CONTEXT = {"tenant": "acme"}
PLAINTEXT = b"what came through it all"
SPEC, USAGE = "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"


def main(arguments: list[str]) -> int:
    match arguments:
        case ["write", file]:
            Path(file).write_text(make())
        case ["check", file]:
            if Path(file).read_text() != make():
                print(f"differs: {file}", file=sys.stderr)
                return 1
        case ["open", file, root_key]:
            contents = open_backup(Path(file).read_bytes(), bytes.fromhex(root_key))
            for collection, record_id in contents.records:
                print(f"{collection}/{record_id.hex()}")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def make() -> str:
    def draw(what: str, length: int = 32) -> bytes:
        return drawn("kms", what, length)

    root_key, one_time, store_key = draw("root key"), draw("one-time root key"), draw("store key")
    store_id, key_id, import_id = draw("store id", 16), draw("key id", 16), draw("import key id", 16)
    version_key, material = draw("version key"), draw("material")

    records = {kms.STORE_ADDRESS: store_record(one_time, store_id, store_key, draw("store version key"))}
    handle = make_handle(one_time, draw("handle id", 16), WRAPPING, version_key, version_binding(key_id))
    digest = kms.material_digest(store_key, import_id, 1, material)
    records["keys", key_id] = key_record(
        store_key, key_id, "PROVIDER", "ENABLED", {"promoted": CREATED}, {"handle": encode(handle), "wraps": 0}
    )
    records["keys", import_id] = key_record(
        store_key, import_id, "EXTERNAL", "PENDING_IMPORT", {"promoted": CREATED}, {"digest": encode(digest), "wraps": 0}
    )
    alias = b"alias/cards"
    records["aliases", alias] = kms.make_record(
        store_key, "aliases", alias, {"alias": alias.decode(), "key": key_id.hex()}
    )
    contents = kms.BackupContents(one_time, store_key, records)
    payload = kms.make_backup_payload(contents)
    backup = seal(payload, [HeldKey.of_root(root_key)], draw("data key"), {}, aad=kms.BACKUP_AAD)

    sealed = seal(PLAINTEXT, [kms.KmsKey(key_id, version_key)], draw("message key"), CONTEXT)
    pair = rsa_key(2048)
    private_key = pair.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    token = kms.make_token(store_key, store_id, import_id, 1, 1, VALID_UNTIL, private_key)
    wrapped = kms.wrap_by_oaep(pair.public_key(), material, draw("seed"))
    other = kms.wrap_by_oaep(pair.public_key(), draw("other material"), draw("other seed"))

    opened = open_backup(backup, root_key)
    assert open_message(sealed, opened.version_key(key_id), CONTEXT) == PLAINTEXT
    assert kms.unwrap_by_token(store_key, store_id, import_id, token, wrapped) == material
    vector = {
        "comment": "A backup, a message under a key in it, and a token for another key in it, with wrapped material.",
        "root_key": root_key.hex(),
        "backup": backup.hex(),
        "key": key_id.hex(),
        "alias": alias.decode(),
        "context": CONTEXT,
        "sealed": sealed.hex(),
        "plaintext": PLAINTEXT.decode(),
        "import_key": import_id.hex(),
        "token": token.hex(),
        "valid_until": "2026-01-02T00:00:00.000Z",
        "wrapped_material": wrapped.hex(),
        "other_wrapped_material": other.hex(),
        "digest": encode(digest),
    }
    return json.dumps(vector, indent=2) + "\n"


def store_record(
    one_time: bytes, store_id: bytes, store_key: bytes, version_key: bytes, more: dict | None = None
) -> bytes:
    handle_id = drawn("kms", "store handle id", 16)
    handle = make_handle(one_time, handle_id, WRAPPING, version_key, kms.store_handle_binding(store_id))
    cipher = AESGCMSIV(expand(version_key, label("kek-wrap")))
    wrapped = cipher.encrypt(ZERO_NONCE, store_key, kms.store_key_binding(store_id, "software"))
    body = {
        "store": store_id.hex(),
        "created": CREATED,
        "provider": "software",
        "handle": encode(handle),
        "wrapped": encode(wrapped),
    }
    return kms.make_record(store_key, *kms.STORE_ADDRESS, body | (more or {}))


def key_record(store_key: bytes, key_id: bytes, origin: str, state: str, before: dict, after: dict) -> bytes:
    version = {"number": 1, "state": state, "cause": "CREATED", "created": CREATED}
    body = {
        "key": key_id.hex(),
        "generation": 2,
        "spec": SPEC,
        "usage": USAGE,
        "origin": origin,
        "provider": "software",
        "created": CREATED,
        "state": {"name": state},
        "description": "",
        "tags": {},
        "aliases": ["alias/cards"] if origin == "PROVIDER" else [],
        "primary": 1,
        "versions": [version | before | {"provider": "software"} | after],
    }
    return kms.make_record(store_key, "keys", key_id, body)


def version_binding(key_id: bytes) -> bytes:
    return kms.version_binding(key_id, 1, SPEC, USAGE)


def open_backup(backup: bytes, root_key: bytes) -> kms.BackupContents:
    payload = open_message(backup, HeldKey.of_root(root_key), {}, kms.BACKUP_AAD)
    contents = kms.parse_backup_payload(payload)
    contents.check()
    return contents


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
