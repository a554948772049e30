"""Software key handles of waxseal format v1: keys wrapped under a root key."""

import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from keys import ZERO_NONCE, HeldKey, expand, label
from wire import AEAD_TAG_LEN, KEY_ID_LEN, KEY_LEN, Refused

ROOT, UNBOUND, BOUND = 0, 1, 2
ROOT_HANDLE_LEN = 1 + KEY_ID_LEN
UNBOUND_HANDLE_LEN = 1 + 2 * KEY_ID_LEN + KEY_LEN + AEAD_TAG_LEN
BOUND_NAMED_LEN = 1 + 2 * KEY_ID_LEN + 1

WRAPPING = 1
MACS = {2: hashlib.sha256, 3: hashlib.sha384, 4: hashlib.sha512}
ED25519, P256, P384, RSA_2048, RSA_3072, RSA_4096 = range(5, 11)
PAIRS = range(ED25519, RSA_4096 + 1)
SPEC_NAMES = {
    WRAPPING: "SYMMETRIC_DEFAULT",
    2: "HMAC_256",
    3: "HMAC_384",
    4: "HMAC_512",
    ED25519: "ECC_NIST_EDWARDS25519",
    P256: "ECC_NIST_P256",
    P384: "ECC_NIST_P384",
    RSA_2048: "RSA_2048",
    RSA_3072: "RSA_3072",
    RSA_4096: "RSA_4096",
}


@dataclass(frozen=True)
class OpenedHandle:
    key_id: bytes
    spec: int
    material: bytes = field(repr=False)

    def mac(self, message: bytes) -> bytes:
        return hmac.digest(self.material, message, MACS[self.spec])

    def public_key(self) -> bytes:
        """The SubjectPublicKeyInfo in DER."""
        key = load_der_private_key(self.material, password=None)
        if not is_of_spec(key, self.spec):
            raise Refused("malformed", "handle")
        return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def is_of_spec(key, spec: int) -> bool:
    match key:
        case ed25519.Ed25519PrivateKey():
            return spec == ED25519
        case ec.EllipticCurvePrivateKey():
            return {P256: "secp256r1", P384: "secp384r1"}.get(spec) == key.curve.name
        case rsa.RSAPrivateKey():
            return {RSA_2048: 2048, RSA_3072: 3072, RSA_4096: 4096}.get(spec) == key.key_size
    return False


def held_key(root: bytes, handle: bytes, binding: bytes = b"") -> HeldKey:
    """The key of a handle for messages: a bare root key, or version 1 of its key id."""
    opened = open_handle(root, handle, binding)
    if opened.spec != WRAPPING:
        raise ValueError("the key does not wrap")
    return HeldKey(opened.key_id, opened.material)


def open_handle(root: bytes, handle: bytes, binding: bytes = b"") -> OpenedHandle:
    if handle[:1] == bytes([ROOT]):
        check_unbound(root, handle, binding, ROOT_HANDLE_LEN)
        return OpenedHandle(handle[1:], WRAPPING, root)
    if handle[:1] == bytes([UNBOUND]):
        check_unbound(root, handle, binding, UNBOUND_HANDLE_LEN)
        named, spec = handle[: BOUND_NAMED_LEN - 1], WRAPPING
    else:
        if handle[:1] != bytes([BOUND]) or len(handle) < BOUND_NAMED_LEN + AEAD_TAG_LEN:
            raise Refused("malformed", "handle")
        named, spec = handle[:BOUND_NAMED_LEN], handle[BOUND_NAMED_LEN - 1]
        if not material_fits(spec, len(handle) - BOUND_NAMED_LEN - AEAD_TAG_LEN):
            raise Refused("malformed", "handle")
        check_root(root, handle)
    try:
        aad = label("handle") + named + binding
        material = handle_cipher(root).decrypt(ZERO_NONCE, handle[len(named) :], aad)
    except InvalidTag:
        raise Refused("malformed", "handle") from None
    return OpenedHandle(handle[17:33], spec, material)


def material_fits(spec: int, length: int) -> bool:
    if spec in MACS:
        return MACS[spec]().digest_size <= length <= 128
    return length == KEY_LEN if spec == WRAPPING else spec in PAIRS and 1 <= length <= 4080


def check_unbound(root: bytes, handle: bytes, binding: bytes, length: int) -> None:
    if len(handle) != length or binding:
        raise Refused("malformed", "handle")
    check_root(root, handle)


def check_root(root: bytes, handle: bytes) -> None:
    if handle[1:17] != HeldKey.of_root(root).key_id:
        raise Refused("other_key")


def make_root_handle(root: bytes) -> bytes:
    return bytes([ROOT]) + HeldKey.of_root(root).key_id


def make_unbound_handle(root: bytes, key_id: bytes, version_key: bytes) -> bytes:
    """No longer written by the crate, and read for ever."""
    return wrap(root, bytes([UNBOUND]) + HeldKey.of_root(root).key_id + key_id, version_key, b"")


def make_handle(root: bytes, key_id: bytes, spec: int, material: bytes, binding: bytes = b"") -> bytes:
    return wrap(root, bytes([BOUND]) + HeldKey.of_root(root).key_id + key_id + bytes([spec]), material, binding)


def wrap(root: bytes, named: bytes, material: bytes, binding: bytes) -> bytes:
    return named + handle_cipher(root).encrypt(ZERO_NONCE, material, label("handle") + named + binding)


def handle_cipher(root: bytes) -> AESGCMSIV:
    return AESGCMSIV(expand(root, label("kek-handle")))
