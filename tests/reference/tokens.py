"""Keys of tokens, tags 3 and 4 of waxseal format v1: what the mechanisms of section 7.2 do, with keys that are known."""

import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from keys import expand, label, sha256, wrap_aad
from wire import KEY_LEN, Tag, WrappedKey, varint

GCM_IV_LEN = {1: 12, 2: 12, 3: 12, 4: 12, 5: 16}
CALLER_IV, AES_KW, CBC_HMAC = 1, 16, 48
OAEP_HASHES = {32: hashes.SHA1(), 33: hashes.SHA256(), 34: hashes.SHA384(), 35: hashes.SHA512()}
BLOCK, MAC_LEN = 16, 32


@dataclass(frozen=True)
class TokenKey:
    """A key of a token. `aes` and `mac` are 32 bytes each, where the mechanism has them; `rsa` is the private key.

    It is the KMS's key `kms_key_id`, version `kms_version`, if there is such an id (tag 4); else it is named by its
    CKA_ID (tag 3)."""

    mechanism: int
    cka_id: bytes = b""
    aes: bytes = field(default=b"", repr=False)
    mac: bytes = field(default=b"", repr=False)
    rsa: RSAPrivateKey | None = field(default=None, repr=False)
    kms_key_id: bytes = b""
    kms_version: int = 1
    random: bytes = field(default=b"", repr=False)
    """Stands in for randomness: the IV that a token would make, or the seed of OAEP."""

    @property
    def tag(self) -> Tag:
        return Tag.KMS_TOKEN if self.kms_key_id else Tag.PKCS11

    @property
    def prefix(self) -> bytes:
        if self.kms_key_id:
            return self.kms_key_id + varint(self.kms_version) + bytes([self.mechanism])
        return bytes([len(self.cka_id)]) + self.cka_id + bytes([self.mechanism])

    def is_named_by(self, wrapped_key: WrappedKey) -> bool:
        return wrapped_key.tag == self.tag and wrapped_key.entry.startswith(self.prefix)

    def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        aad = wrap_aad(self.tag, self.prefix, context)
        return WrappedKey(self.tag, self.prefix + self._wrapped(data_key, aad))

    def unwrap(self, wrapped_key: WrappedKey, context: bytes) -> bytes:
        aad = wrap_aad(self.tag, self.prefix, context)
        wrapped = wrapped_key.entry[len(self.prefix) :]
        if self.mechanism in GCM_IV_LEN:
            return self._open_gcm(wrapped, aad)
        secret = self._secret(wrapped, aad)
        data_key, digest = secret[:KEY_LEN], secret[KEY_LEN:]
        if len(secret) != 64 or not hmac.compare_digest(digest, sha256(aad)):
            raise InvalidTag
        return data_key

    def _wrapped(self, data_key: bytes, aad: bytes) -> bytes:
        secret = data_key + sha256(aad)
        if self.mechanism in GCM_IV_LEN:
            iv = self.random[: GCM_IV_LEN[self.mechanism]]
            if self.mechanism == CALLER_IV:
                iv = expand(data_key, label("wrap-iv") + sha256(aad), 12)
            return iv + AESGCM(self.aes).encrypt(iv, data_key, aad)
        if self.mechanism == AES_KW:
            return aes_key_wrap(self.aes, secret)
        if self.mechanism == CBC_HMAC:
            iv, padded = self.random[:BLOCK], secret + bytes([BLOCK]) * BLOCK
            encryptor = Cipher(AES(self.aes), CBC(iv)).encryptor()
            authentic = iv + encryptor.update(padded) + encryptor.finalize()
            return authentic + self._mac(authentic, aad)
        return oaep_encrypt(self.rsa.public_key(), secret, OAEP_HASHES[self.mechanism].name, self.random)

    def _open_gcm(self, wrapped: bytes, aad: bytes) -> bytes:
        iv_len = GCM_IV_LEN[self.mechanism]
        if len(wrapped) != iv_len + KEY_LEN + 16:
            raise InvalidTag
        return AESGCM(self.aes).decrypt(wrapped[:iv_len], wrapped[iv_len:], aad)

    def _secret(self, wrapped: bytes, aad: bytes) -> bytes:
        if self.mechanism == AES_KW:
            try:
                return aes_key_unwrap(self.aes, wrapped)
            except InvalidUnwrap:
                raise InvalidTag from None
        if self.mechanism == CBC_HMAC:
            authentic, given = wrapped[:-MAC_LEN], wrapped[-MAC_LEN:]
            if len(wrapped) != 128 or not hmac.compare_digest(given, self._mac(authentic, aad)):
                raise InvalidTag
            decryptor = Cipher(AES(self.aes), CBC(authentic[:BLOCK])).decryptor()
            padded = decryptor.update(authentic[BLOCK:]) + decryptor.finalize()
            if padded[64:] != bytes([BLOCK]) * BLOCK:
                raise InvalidTag
            return padded[:64]
        used = OAEP_HASHES[self.mechanism]
        try:
            return self.rsa.decrypt(wrapped, padding.OAEP(padding.MGF1(used), used, None))
        except ValueError:
            raise InvalidTag from None

    def _mac(self, authentic: bytes, aad: bytes) -> bytes:
        return hmac.digest(self.mac, sha256(aad) + authentic, "sha256")


def oaep_encrypt(public_key, message: bytes, hash_name: str, random: bytes) -> bytes:
    """RSA-OAEP (RFC 8017, section 7.1.1) with a seed from `random`."""
    hash_len = hashlib.new(hash_name).digest_size
    length = public_key.key_size // 8
    seed = random[:hash_len]
    pad = bytes(length - len(message) - 2 * hash_len - 2)
    block = hashlib.new(hash_name, b"").digest() + pad + b"\1" + message
    masked_block = xor(block, mgf1(seed, len(block), hash_name))
    masked_seed = xor(seed, mgf1(masked_block, hash_len, hash_name))
    numbers = public_key.public_numbers()
    return pow(int.from_bytes(b"\0" + masked_seed + masked_block), numbers.e, numbers.n).to_bytes(length)


def mgf1(seed: bytes, length: int, hash_name: str) -> bytes:
    hash_len = hashlib.new(hash_name).digest_size
    blocks = (hashlib.new(hash_name, seed + i.to_bytes(4)).digest() for i in range(length // hash_len + 1))
    return b"".join(blocks)[:length]


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def handle_check(named: bytes, binding: bytes) -> bytes:
    """The check of a token key's handle (section 23)."""
    return sha256(label("token-handle") + named + binding)[:16]


def make_handle(mechanism: int, cka_id: bytes, mac_id: bytes, binding: bytes) -> bytes:
    """The handle of a token key that wraps."""
    ids = b"".join(bytes([len(each)]) + each for each in (cka_id, mac_id))
    named = bytes([1, 1, mechanism]) + ids
    return named + handle_check(named, binding)
