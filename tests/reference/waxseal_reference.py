"""waxseal format v1: the second implementation, written from the text of the format and from no other code.

It seals and opens whole messages, from a 32-byte root key to plaintext. It is for checking, not for use: it keeps
everything in memory and erases nothing. `wire.py` holds the bytes, `keys.py` the derivations and keys.
"""

import argparse
import base64
import binascii
import hmac
import json
import os
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from keys import HeldKey, commitment, payload_key
from wire import AEAD_TAG_LEN, KEY_LEN, SALT_LEN, SUITES, Header, Parsed, Refused, canonical_context, check_aad, parse

CIPHERS = {1: AESGCM, 2: ChaCha20Poly1305}
CHUNK_LEN = 16384


def seal(
    plaintext: bytes,
    keys: list[HeldKey],
    data_key: bytes,
    context: dict[str, str],
    *,
    aad: bytes = b"",
    suite: int = 1,
    salt: bytes | None = None,
    pad: int | None = None,
) -> bytes:
    """Seals under every key of `keys`. `pad` is a length; None leaves the field out, 0 keeps it empty."""
    context = canonical_context(context)
    check_aad(aad)
    header = Header(suite, salt, [key.wrap(data_key, context) for key in keys], pad)
    message = assemble(header, data_key, context, seal_body(plaintext, data_key, header, context, aad))
    parse(message)  # the reader's limits bind the writer too
    return message


def open_message(message: bytes, key: HeldKey, context: dict[str, str], aad: bytes = b"") -> bytes:
    context = canonical_context(context)
    check_aad(aad)
    parsed = parse(message)
    if parsed.header.record:
        raise Refused("record_header")
    chunks = split_body(parsed.body)
    data_key = unwrap_committed(parsed, key, context)
    return open_chunks(chunks, data_key, parsed.header, context, aad)


def assemble(header: Header, data_key: bytes, context: bytes, body: bytes) -> bytes:
    committed = header.committed_bytes()
    return committed + commitment(data_key, context, committed) + body


def unwrap_committed(parsed: Parsed, key: HeldKey, context: bytes) -> bytes:
    """The data key of the first entry that unwraps; should the commitment not match it, no later entry is tried."""
    named = [wrapped_key for wrapped_key in parsed.header.wrapped_keys if key.is_named_by(wrapped_key)]
    if not named:
        raise Refused("other_key")
    for wrapped_key in named:
        try:
            data_key = key.unwrap(wrapped_key, context)
        except InvalidTag:
            continue
        expected = commitment(data_key, context, parsed.header.committed_bytes())
        if hmac.compare_digest(expected, parsed.commitment):
            return data_key
        break
    raise Refused("decrypt")


def seal_body(plaintext: bytes, data_key: bytes, header: Header, context: bytes, aad: bytes) -> bytes:
    key, base_nonce = payload_key(data_key, header, context, aad)
    cipher = CIPHERS[header.suite](key)
    # A plaintext of whole chunks is followed by an empty last one.
    starts = range(0, len(plaintext) + 1, CHUNK_LEN)
    chunks = (plaintext[start : start + CHUNK_LEN] for start in starts)
    return b"".join(cipher.encrypt(chunk_nonce(base_nonce, i), chunk, None) for i, chunk in enumerate(chunks))


def split_body(body: bytes) -> list[bytes]:
    piece = CHUNK_LEN + AEAD_TAG_LEN
    if len(body) % piece < AEAD_TAG_LEN:
        raise Refused("truncated")
    return [body[start : start + piece] for start in range(0, len(body), piece)]


def open_chunks(chunks: list[bytes], data_key: bytes, header: Header, context: bytes, aad: bytes) -> bytes:
    key, base_nonce = payload_key(data_key, header, context, aad)
    cipher = CIPHERS[header.suite](key)
    try:
        return b"".join(cipher.decrypt(chunk_nonce(base_nonce, i), chunk, None) for i, chunk in enumerate(chunks))
    except InvalidTag:
        raise Refused("decrypt") from None


def chunk_nonce(base_nonce: bytes, number: int) -> bytes:
    return bytes(a ^ b for a, b in zip(base_nonce, number.to_bytes(12, "big")))


def main() -> int:
    arguments = parse_arguments()
    try:
        with open(arguments.input, "rb") as source:
            given = source.read()
        made = run(arguments, given)
        with open(arguments.output, "wb") as target:
            target.write(made)
    except (Refused, OSError, ValueError) as error:
        print(f"{arguments.command}: {error}", file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="waxseal format v1, reference implementation")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("seal", "open", "inspect"):
        command = commands.add_parser(name)
        command.add_argument("--key-file", required=name != "inspect", help="32 raw bytes, or base64 or hex text")
        command.add_argument("--context", action="append", default=[], metavar="KEY=VALUE")
        command.add_argument("--aad", default="")
        if name == "seal":
            command.add_argument("--suite", type=int, choices=SUITES, default=1)
            command.add_argument("--shared", action="store_true", help="seal as with a shared data key: with a salt")
        command.add_argument("input", metavar="IN")
        command.add_argument("output", metavar="OUT")
    return parser.parse_args()


def run(arguments: argparse.Namespace, given: bytes) -> bytes:
    if arguments.command == "inspect":
        return (json.dumps(inspect(given), indent=2) + "\n").encode()
    with open(arguments.key_file, "rb") as source:
        key = HeldKey.of_root(decode_key(source.read()))
    context = context_of(arguments.context)
    aad = arguments.aad.encode()
    if arguments.command == "open":
        return open_message(given, key, context, aad)
    salt = os.urandom(SALT_LEN) if arguments.shared else None
    return seal(given, [key], os.urandom(KEY_LEN), context, aad=aad, suite=arguments.suite, salt=salt)


def inspect(message: bytes) -> dict:
    parsed = parse(message)
    header = parsed.header
    return {
        "kind": "record header" if header.record else "message",
        "suite": header.suite,
        "salt": header.salt.hex() if header.salt is not None else None,
        "wrapped_keys": [{"tag": key.tag, "entry": key.entry.hex()} for key in header.wrapped_keys],
        "pad": header.pad,
        "commitment": parsed.commitment.hex(),
        "body_len": len(parsed.body),
    }


def context_of(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    context = {key: value for key, _, value in split}
    if len(context) != len(pairs) or not all(equals for _, equals, _ in split):
        raise ValueError("--context wants KEY=VALUE, each key once")
    return context


def decode_key(content: bytes) -> bytes:
    if len(content) == KEY_LEN:
        return content
    text = content.strip()
    for decode in (binascii.unhexlify, lambda data: base64.b64decode(data, validate=True)):
        try:
            key = decode(text)
        except binascii.Error:
            continue
        if len(key) == KEY_LEN:
            return key
    raise ValueError("the key file holds neither 32 bytes nor their base64 or hex")


if __name__ == "__main__":
    sys.exit(main())
