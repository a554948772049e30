"""Makes the vectors of token keys and of a sealed root key, or checks that those on disk are the ones it would make; or
opens messages that tokens sealed under the keys of the vectors.

    make_token_vectors.py write FILE
    make_token_vectors.py check FILE
    make_token_vectors.py open FILE NAME MESSAGE_HEX...
"""

import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

import tokens
from handles import WRAPPING, make_handle
from keys import ZERO_NONCE, HeldKey, expand, label
from rsa_keys import rsa_key
from tokens import AES_KW, CALLER_IV, CBC_HMAC, GCM_IV_LEN, OAEP_HASHES, TokenKey
from vector_parts import drawn, flip, put
from waxseal_reference import open_message, seal
from wire import KEY_ID_LEN, Refused, canonical_context

CONTEXT = {"tenant": "acme"}
PLAINTEXT = b"held by a token"
CKA_ID, MAC_ID = drawn("token", "CKA_ID", 16), drawn("token", "CKA_ID of the MAC key", 16)
BINDING = b"purpose"


def main(arguments: list[str]) -> int:
    match arguments:
        case ["write", file]:
            Path(file).write_text(make())
        case ["check", file]:
            if Path(file).read_text() != make():
                print(f"differs: {file}", file=sys.stderr)
                return 1
        case ["open", _, name, *messages]:
            key = keys()[name]
            for message in messages:
                print(open_message(bytes.fromhex(message), key, CONTEXT).hex())
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def keys() -> dict[str, TokenKey]:
    aes, mac = drawn("token", "AES key"), drawn("token", "MAC key")

    def key(mechanism: int) -> TokenKey:
        pair = rsa_key(2048) if mechanism in OAEP_HASHES else None
        random = drawn(f"mechanism {mechanism}", "random", 64)
        return TokenKey(mechanism, CKA_ID, b"" if pair else aes, mac if mechanism == CBC_HMAC else b"", pair, random=random)

    mechanisms = [*GCM_IV_LEN, AES_KW, *OAEP_HASHES, CBC_HMAC]
    return {f"mechanism_{mechanism}": key(mechanism) for mechanism in mechanisms}


def make() -> str:
    vectors = [vector(name, key) for name, key in keys().items()]
    numbers = rsa_key(2048).private_numbers()
    whole = {
        "comment": "Messages under keys of tokens, one for each mechanism, and a root key sealed by another provider.",
        "cka_id": CKA_ID.hex(),
        "mac_cka_id": MAC_ID.hex(),
        "aes_key": drawn("token", "AES key").hex(),
        "mac_key": drawn("token", "MAC key").hex(),
        "rsa_key": {
            name: number.to_bytes((number.bit_length() + 7) // 8).hex()
            for name, number in [
                ("n", numbers.public_numbers.n),
                ("e", numbers.public_numbers.e),
                ("d", numbers.d),
                ("p", numbers.p),
                ("q", numbers.q),
                ("dp", numbers.dmp1),
                ("dq", numbers.dmq1),
                ("qi", numbers.iqmp),
            ]
        },
        "binding": BINDING.hex(),
        "context": CONTEXT,
        "plaintext": PLAINTEXT.hex(),
        "vectors": vectors,
        "sealed_root_key": sealed_root_key(),
    }
    return json.dumps(whole, indent=2) + "\n"


def vector(name: str, key: TokenKey) -> dict:
    data_key = drawn(name, "data key")
    message = seal(PLAINTEXT, [key], data_key, CONTEXT)
    assert open_message(message, key, CONTEXT) == PLAINTEXT
    wrapped_key = key.wrap(data_key, canonical_context(CONTEXT))
    end = message.index(wrapped_key.entry) + len(wrapped_key.entry)
    start = end - len(wrapped_key.entry) + len(key.prefix)
    refused = {
        "other_context": (message, {"tenant": "other"}, "decrypt"),
        "first_byte": (flip(message, start), CONTEXT, "decrypt"),
        "last_byte": (flip(message, end - 1), CONTEXT, "decrypt"),
        "other_mechanism": (put(message, start - 1, bytes([200])), CONTEXT, "other_key"),
    }
    for changed, context, error in refused.values():
        assert refusal(changed, key, context) == error
    return {
        "name": name,
        "mechanism": key.mechanism,
        "data_key": data_key.hex(),
        "handle": tokens.make_handle(key.mechanism, CKA_ID, MAC_ID if key.mac else b"", BINDING).hex(),
        "reproducible": key.mechanism in (CALLER_IV, AES_KW),
        "message": message.hex(),
        "refused": [
            {"what": what, "message": changed.hex(), "context": context, "error": error}
            for what, (changed, context, error) in refused.items()
        ],
        "kms": kms_vector(name, key),
    }


def kms_vector(name: str, key: TokenKey) -> dict:
    """The same token key as a version of a KMS key: tag 4."""
    key_id = drawn(name, "KMS key id", KEY_ID_LEN)
    held = TokenKey(key.mechanism, b"", key.aes, key.mac, key.rsa, key_id, 300, key.random)
    data_key = drawn(name, "KMS data key")
    message = seal(PLAINTEXT, [held], data_key, CONTEXT)
    assert open_message(message, held, CONTEXT) == PLAINTEXT
    return {"key": key_id.hex(), "version": 300, "data_key": data_key.hex(), "message": message.hex()}


def refusal(message: bytes, key: TokenKey, context: dict[str, str]) -> str | None:
    try:
        open_message(message, key, context)
    except Refused as error:
        return error.error
    return None


def sealed_root_key() -> dict:
    """A root key that a software provider with another root key keeps."""
    outer, inner = drawn("sealed", "outer root key"), drawn("sealed", "inner root key")
    version_key = drawn("sealed", "version key")
    binding = label("sealed-root")
    handle = make_handle(outer, drawn("sealed", "key id", 16), WRAPPING, version_key, binding)
    key_id = HeldKey.of_root(inner).key_id
    cipher = AESGCMSIV(expand(version_key, label("kek-wrap")))
    wrapped = cipher.encrypt(ZERO_NONCE, inner, label("sealed-root-key") + key_id)
    parts = b"".join(len(part).to_bytes(2) + part for part in (handle, binding, wrapped))
    return {"outer_root_key": outer.hex(), "root_key": inner.hex(), "sealed": (b"\1" + key_id + parts).hex()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
