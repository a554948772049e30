"""Makes the vector of policies and grants, or checks that the one on disk is the one it would make.

    make_access_vector.py write FILE
    make_access_vector.py check FILE
"""

import json
import sys

import kms
from handles import WRAPPING, make_handle
from keys import HeldKey
from make_kms_vectors import CREATED, SPEC, USAGE, encode, open_backup, store_record, version_binding
from vector_parts import drawn, write_or_check
from waxseal_reference import seal

EXPIRES = "2026-01-02T00:00:00.000Z"
CONTEXT = {"tenant": "acme"}
PLAINTEXT = b"what the grant lets read"


def make() -> str:
    def draw(what: str, length: int = 32) -> bytes:
        return drawn("access", what, length)

    root_key, one_time, store_key = draw("root key"), draw("one-time root key"), draw("store key")
    store_id, key_id = draw("store id", 16), draw("key id", 16)
    version_key = draw("version key")
    grant_ids = sorted(draw(f"grant {number}", 16) for number in range(2))

    policy = {"generation": 1, "policy": all_to("ops:alice")}
    store = store_record(one_time, store_id, store_key, draw("store version key"), {"policy": policy})
    handle = make_handle(one_time, draw("handle id", 16), WRAPPING, version_key, version_binding(key_id))
    grants = {"digest": encode(kms.grants_digest(grant_ids)), "expires": EXPIRES}
    records = {
        kms.STORE_ADDRESS: store,
        ("keys", key_id): key_record(store_key, key_id, handle, grants),
    }
    for grant_id, constraint, end in zip(
        grant_ids,
        (None, {"kind": "EncryptionContextSubset", "context": CONTEXT}),
        ({"expires": EXPIRES}, {}),
        strict=True,
    ):
        records["grants", key_id + grant_id] = grant_record(store_key, key_id, grant_id, constraint, end)
    contents = kms.BackupContents(one_time, store_key, records)
    backup = seal(
        kms.make_backup_payload(contents), [HeldKey.of_root(root_key)], draw("data key"), {}, aad=kms.BACKUP_AAD
    )
    opened = open_backup(backup, root_key)
    kms.check_grants(opened)

    vector = {
        "comment": "A backup of a store with a policy and a key with two grants, and the token of the second.",
        "root_key": root_key.hex(),
        "backup": backup.hex(),
        "key": key_id.hex(),
        "grants": [grant_id.hex() for grant_id in grant_ids],
        "token": kms.grant_token(store_key, store_id, key_id, grant_ids[1]).hex(),
        "context": CONTEXT,
        "sealed": seal(PLAINTEXT, [kms.KmsKey(key_id, version_key)], draw("message key"), CONTEXT).hex(),
        "plaintext": PLAINTEXT.decode(),
    }
    return json.dumps(vector, indent=2) + "\n"


def all_to(principal: str) -> dict:
    return {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "kms:*", "Resource": "*"},
    }


def key_record(store_key: bytes, key_id: bytes, handle: bytes, grants: dict) -> bytes:
    version = {
        "number": 1,
        "state": "ENABLED",
        "cause": "CREATED",
        "created": CREATED,
        "promoted": CREATED,
        "provider": "software",
        "handle": encode(handle),
        "wraps": 0,
    }
    body = {
        "key": key_id.hex(),
        "generation": 3,
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
        "versions": [version],
        "policy": all_to("ops:alice"),
        "grants": grants,
    }
    return kms.make_record(store_key, "keys", key_id, body)


def grant_record(store_key: bytes, key_id: bytes, grant_id: bytes, constraint: dict | None, end: dict) -> bytes:
    body = {"grant": grant_id.hex(), "key": key_id.hex(), "grantee": "svc:export", "operations": ["Decrypt"]}
    if constraint:
        body |= {"constraint": constraint}
    body |= {"retiring_principal": "svc:lead", "name": "export", "issued_by": "ops:alice", "created": CREATED}
    return kms.make_record(store_key, "grants", key_id + grant_id, body | end)


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], make, __doc__))
