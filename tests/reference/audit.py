"""Audit trails of waxseal format v1."""

import base64
import hmac
import json
from collections.abc import Callable
from hashlib import sha256 as sha256_hash

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keys import expand, label, sha256
from wire import Refused

NO_LINE = bytes(32)
CHAIN = ("eventVersion", "sequence", "prev", "eventType", "eventTime")

Signer = tuple[str, str, Callable[[bytes], bytes]]


def audit_key(store_key: bytes) -> bytes:
    return expand(store_key, label("kms-audit"))


def hash_value(key: bytes, name: str, value: str) -> str:
    hashed = sha256(len(name.encode()).to_bytes(2) + name.encode() + value.encode())
    return "hmac:" + expand(key, label("audit-context") + hashed, 16).hex()


def line_hash(line: bytes) -> bytes:
    return sha256(label("audit-line") + line)


def mac_signer(key: bytes) -> Signer:
    mac_key = expand(key, label("audit-mac"))
    return "trail-key", "HMAC_SHA_256", lambda signed: hmac.digest(mac_key, signed, sha256_hash)


def key_pair_signer(key: Ed25519PrivateKey) -> Signer:
    return signer_id(key.public_key()), "ED25519_SHA_512", key.sign


def signer_id(key: Ed25519PublicKey) -> str:
    return sha256(label("audit-signer") + spki(key))[:16].hex()


def spki(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Trail:
    """Writes one line after the other."""

    def __init__(self, trail: bytes, time: str) -> None:
        self.trail = trail.hex()
        self.lines: list[bytes] = []
        self.add("begin", {"eventTime": time, "trail": self.trail})

    def add(self, kind: str, members: dict) -> None:
        self.lines.append(to_json(self._chain(kind) | members))

    def checkpoint(self, time: str, signer: Signer) -> None:
        name, algorithm, sign = signer
        members = {"eventTime": time, "trail": self.trail, "signer": name, "algorithm": algorithm}
        unsigned = to_json(self._chain("checkpoint") | members)[:-1]
        signature = base64.b64encode(sign(label("audit-checkpoint") + unsigned))
        self.lines.append(unsigned + b',"signature":"' + signature + b'"}')

    def head(self) -> tuple[int, bytes]:
        return len(self.lines) - 1, line_hash(self.lines[-1])

    def _chain(self, kind: str) -> dict:
        prev = line_hash(self.lines[-1]) if self.lines else NO_LINE
        return {"eventVersion": 1, "sequence": len(self.lines), "prev": prev.hex(), "eventType": kind}


def verify(lines: list[bytes], verifiers: dict[str, Callable[[bytes, bytes], None]]) -> int:
    """Verifies a whole trail, and returns the sequence of its last checkpoint that a verifier took."""
    prev, trail, signed_through = NO_LINE, None, -1
    for sequence, line in enumerate(lines):
        members = json.loads(line)
        if (members["eventVersion"], members["sequence"], members["prev"]) != (1, sequence, prev.hex()):
            raise Refused("audit trail", f"line {sequence} does not follow")
        if tuple(members)[:5] != CHAIN:
            raise Refused("audit trail", f"line {sequence} is out of order")
        if members["eventType"] == "begin":
            trail = trail or members["trail"]
        if trail is None or members.get("trail", trail) != trail:
            raise Refused("audit trail", f"line {sequence} is of another trail")
        if members["eventType"] == "checkpoint":
            unsigned, _, _ = line.rpartition(b',"signature":"')
            signature = base64.b64decode(members["signature"], validate=True)
            verifiers[members["signer"]](signature, label("audit-checkpoint") + unsigned)
            signed_through = sequence
        prev = line_hash(line)
    return signed_through


def to_json(members: dict) -> bytes:
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()
