"""Makes the vector of audit trails, or checks that the one on disk is the one it would make.

    make_audit_vectors.py write FILE
    make_audit_vectors.py check FILE
"""

import hmac
import json
import sys
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import audit
from keys import expand, label
from vector_parts import drawn, write_or_check
from wire import Refused

TIME = "2026-01-01T00:00:00.000Z"
KEY_ID = bytes([0xAB] * 16)
CONTEXT = {"tenant": "acme", "\u00fc": 'say "hi"\n'}


def make() -> str:
    store_key = drawn("audit", "store key")
    key = audit.audit_key(store_key)
    key_pair = Ed25519PrivateKey.from_private_bytes(drawn("audit", "signing key"))
    with_macs = trail(key, audit.mac_signer(key))
    with_signatures = trail(key, audit.key_pair_signer(key_pair))

    mac_key = expand(key, label("audit-mac"))
    verifiers = {
        "trail-key": lambda made, signed: check(hmac.compare_digest(made, hmac.digest(mac_key, signed, sha256))),
        audit.signer_id(key_pair.public_key()): key_pair.public_key().verify,
    }
    for made in (with_macs, with_signatures):
        assert audit.verify(made.lines, verifiers) == len(made.lines) - 1
        assert refuses([*made.lines[:2], *made.lines[3:]], verifiers)
    sequence, hash_of_last = with_macs.head()
    vector = {
        "comment": "A trail with MACs, whose ids are bytes of 1, 2, 3 and so on, and the same with signatures.",
        "store_key": store_key.hex(),
        "audit_key": key.hex(),
        "public_key": audit.spki(key_pair.public_key()).hex(),
        "with_macs": [line.decode() for line in with_macs.lines],
        "with_signatures": [line.decode() for line in with_signatures.lines],
        "head": {"trail": with_macs.trail, "sequence": sequence, "hash": hash_of_last.hex(), "time": TIME},
    }
    return json.dumps(vector, indent=2) + "\n"


def trail(key: bytes, signer: audit.Signer) -> audit.Trail:
    made = audit.Trail(bytes([1] * 16), TIME)
    context = {name: audit.hash_value(key, name, CONTEXT[name]) for name in sorted(CONTEXT)}
    made.add(
        "record",
        {
            "eventTime": TIME,
            "eventID": bytes([2] * 16).hex(),
            "requestID": "request-1",
            "userIdentity": {"principalId": "svc:billing", "attributes": {"tenant": "acme"}},
            "eventName": "kms:GenerateDataKey",
            "keyId": KEY_ID.hex(),
            "keyVersion": 3,
            "requestParameters": {"keyId": "alias/cards", "encryptionContext": context},
            "outcome": "allowed",
            "decidedBy": "key-policy:AllowBilling",
        },
    )
    made.add(
        "record",
        {
            "eventTime": TIME,
            "eventID": bytes([3] * 16).hex(),
            "requestID": "request-2",
            "userIdentity": {"principalId": "ops:\u00e4"},
            "eventName": "kms:ScheduleKeyDeletion",
            "requestParameters": {"pendingWindowInDays": 7, "force": True, "tagKeys": ["a", "b"]},
            "outcome": "failed",
            "errorCode": "InvalidState",
            "dryRun": True,
            "source": {"address": "10.0.0.1"},
        },
    )
    made.checkpoint(TIME, signer)
    return made


def check(is_good: bool) -> None:
    if not is_good:
        raise Refused("audit trail", "the MAC of a checkpoint")


def refuses(lines: list[bytes], verifiers: dict) -> bool:
    try:
        audit.verify(lines, verifiers)
    except Refused:
        return True
    return False


if __name__ == "__main__":
    sys.exit(write_or_check(sys.argv[1:], make, __doc__))
