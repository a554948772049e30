"""Vectors of software key handles, and of messages under their keys."""

import hmac
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from handles import MACS, SPEC_NAMES, WRAPPING, make_handle, make_root_handle, make_unbound_handle
from rsa_keys import rsa_key
from vector_parts import Sealing, accepted, drawn, flip, put, refused, vector

ROOT, KEY_ID = drawn("key handles", "root key"), drawn("key handles", "key id", 16)
BINDING = b"what the key is for"
MESSAGE = b"a message to sign"


def vectors() -> list[dict]:
    return [*messages(), *bound_messages(), *mac_keys(), *key_pairs(), *refused_handles()]


def messages() -> list[dict]:
    root = drawn("handles", "root key")
    key_id, version_key = drawn("handles", "key id", 16), drawn("handles", "version key")
    of_key, of_root = make_unbound_handle(root, key_id, version_key), make_root_handle(root)
    under_handle = Sealing("handle_key", root=root, handle=of_key)
    under_root = Sealing("handle_other_key", root=root)
    return [
        accepted("handle_key", "A message under the version key inside a software handle.", under_handle),
        accepted(
            "handle_key_shared_suite_2",
            "The same key, with suite 2, a salt and associated data.",
            Sealing("handle_key_shared_suite_2", root=root, handle=of_key, suite=2, shared=True, aad=b"row 42"),
        ),
        accepted(
            "handle_of_root",
            "The root key's own handle stands for the bare root key.",
            Sealing("handle_of_root", root=root, handle=of_root),
        ),
        refused(
            "handle_key_bare_root",
            "The bare root key does not open what was sealed under a handle of it.",
            "other_key",
            under_handle,
            kind="message",
            handle=None,
        ),
        refused(
            "handle_other_key",
            "A handle's key does not open what was sealed under the bare root key.",
            "other_key",
            under_root,
            kind="handle",
            handle=of_key,
        ),
    ]


def bound_messages() -> list[dict]:
    version_key = drawn("key handles", "version key")

    def under(name: str, binding: bytes) -> Sealing:
        handle = make_handle(ROOT, KEY_ID, WRAPPING, version_key, binding)
        return Sealing(name, root=ROOT, handle=handle, binding=binding)

    return [
        accepted(
            "handle_bound",
            "A message under the key of a handle that is bound to a purpose.",
            under("handle_bound", BINDING),
        ),
        accepted(
            "handle_bound_to_nothing", "The same key, bound to nothing.", under("handle_bound_to_nothing", b"")
        ),
        accepted(
            "handle_bound_300_bytes",
            "The same key, bound to 300 bytes.",
            under("handle_bound_300_bytes", bytes(range(256)) + bytes(44)),
        ),
    ]


def mac_keys() -> list[dict]:
    made = []
    for spec, digest in MACS.items():
        name = SPEC_NAMES[spec].lower()
        for suffix, length in {"": digest().digest_size, "_128_bytes": 128}.items():
            key = drawn("key handles", name + suffix, length)
            mac = hmac.digest(key, MESSAGE, digest)
            comment = f"A key of {length} bytes for HMAC-SHA-{digest().digest_size * 8}."
            made.append(opens(f"key_{name}{suffix}", comment, spec, key, message=MESSAGE, mac=mac))
    return made


def key_pairs() -> list[dict]:
    pkcs1 = padding.PKCS1v15()
    edwards = ed25519.Ed25519PrivateKey.from_private_bytes(drawn("key handles", "ed25519"))
    p256, p384 = nist_key(ec.SECP256R1()), nist_key(ec.SECP384R1())
    deterministic = {SHA256: ec.ECDSA(SHA256(), deterministic_signing=True)}
    deterministic[SHA384] = ec.ECDSA(SHA384(), deterministic_signing=True)
    made = [
        pair("key_ed25519", 5, edwards, "ED25519_SHA_512", edwards.sign),
        pair("key_p256", 6, p256, "ECDSA_SHA_256", lambda message: p256.sign(message, deterministic[SHA256])),
        pair("key_p384", 7, p384, "ECDSA_SHA_384", lambda message: p384.sign(message, deterministic[SHA384])),
    ]
    for spec, bits in {8: 2048, 9: 3072, 10: 4096}.items():
        key = rsa_key(bits)
        signature = key.sign(MESSAGE, pkcs1, SHA256())
        algorithm = "RSASSA_PKCS1_V1_5_SHA_256"
        made.append(pair(f"key_rsa_{bits}", spec, key, algorithm, lambda _message, signature=signature: signature))
    return made


def nist_key(curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    scalar = drawn("key handles", curve.name, curve.key_size // 8)
    return ec.derive_private_key(int.from_bytes(scalar), curve)


def pair(name: str, spec: int, key, algorithm: str, sign: Callable[[bytes], bytes]) -> dict:
    material = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public_key = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    comment = f"A key pair; {algorithm} is deterministic, so the signature is the only one."
    signed = {"algorithm": algorithm, "message": MESSAGE, "public_key": public_key, "signature": sign(MESSAGE)}
    return opens(name, comment, spec, material, **signed)


def opens(name: str, comment: str, spec: int, material: bytes, **fields) -> dict:
    return vector(
        name=name,
        comment=comment,
        kind="key",
        expect="opens",
        root_key=ROOT,
        handle=make_handle(ROOT, KEY_ID, spec, material, BINDING),
        binding=BINDING,
        spec=SPEC_NAMES[spec],
        **fields,
    )


def refused_handles() -> list[dict]:
    version_key = drawn("key handles", "version key")
    bound = make_handle(ROOT, KEY_ID, WRAPPING, version_key, BINDING)
    unbound = make_unbound_handle(ROOT, KEY_ID, version_key)
    other_root = drawn("another", "root key")
    mac_key = make_handle(ROOT, KEY_ID, 2, drawn("key handles", "hmac_256"), BINDING)

    def malformed(name: str, comment: str, handle: bytes, binding: bytes = BINDING) -> dict:
        fields = {"error": "malformed", "field": "handle", "root_key": ROOT}
        return handle_refused(name, comment, handle, binding, **fields)

    return [
        malformed("key_other_binding", "Bound to another purpose than stated.", bound, BINDING + b"!"),
        malformed("key_binding_left_out", "No purpose is stated for a key that has one.", bound, b""),
        malformed("key_unbound_with_binding", "A purpose is stated for a key that was made for none.", unbound),
        malformed("key_root_with_binding", "A purpose is stated for the root key.", make_root_handle(ROOT)),
        malformed("key_spec_changed", "The spec is another that fits the length.", put(bound, 33, b"\2")),
        malformed("key_spec_changed_back", "A MAC key is not a wrapping key.", put(mac_key, 33, b"\1")),
        malformed("key_spec_zero", "There is no spec 0.", put(bound, 33, b"\0")),
        malformed("key_spec_11", "There is no spec 11.", put(bound, 33, b"\x0b")),
        malformed("key_id_changed", "Another key id.", flip(bound, 17)),
        malformed("key_wrapped_changed", "A bit of the wrapped key is flipped.", flip(bound, 40)),
        malformed("key_tag_changed", "A bit of the tag is flipped.", flip(bound, -1)),
        malformed("key_cut", "A byte is missing.", bound[:-1]),
        malformed("key_trailing_byte", "A byte too many.", bound + b"\0"),
        malformed("key_kind_3", "There is no kind 3.", put(bound, 0, b"\3")),
        malformed("key_empty", "No bytes at all.", b""),
        malformed("key_short_mac_key", "A MAC key of 31 bytes.", make_handle(ROOT, KEY_ID, 2, bytes(31), BINDING)),
        malformed("key_long_mac_key", "A MAC key of 129 bytes.", make_handle(ROOT, KEY_ID, 2, bytes(129), BINDING)),
        handle_refused(
            "key_other_root",
            "Under another root key.",
            make_handle(other_root, KEY_ID, WRAPPING, version_key, BINDING),
            BINDING,
            error="other_key",
            root_key=ROOT,
        ),
    ]


def handle_refused(name: str, comment: str, handle: bytes, binding: bytes, **fields) -> dict:
    return vector(
        name=name, comment=comment, kind="key", expect="refused", handle=handle, binding=binding or None, **fields
    )
