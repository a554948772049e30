"""Makes the vectors of recipients and shares, or checks those on disk.

    make_keyring_vectors.py write DIR
    make_keyring_vectors.py check DIR

What is encrypted to a public key is different each time, so `check` opens what the files have; it makes shares anew.
"""

import argparse
import json
import sys
from itertools import combinations
from pathlib import Path

from keys import HeldKey, commitment
from keyrings import ALGORITHMS, Holders, Recipient, wrap_shares
from vector_parts import drawn
from waxseal_reference import assemble, open_chunks, seal_body, split_body, unwrap_committed
from wire import Header, Parsed, Refused, canonical_context, parse

CONTEXT = {"tenant": "acme"}
PLAINTEXT = b"for several, or for one who cannot be asked"


def main() -> int:
    parser = argparse.ArgumentParser(description="vectors of recipients and shares")
    parser.add_argument("command", choices=["write", "check"])
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    made = {f"recipient_{name.replace('-', '_')}.json": recipient(name) for name in ALGORITHMS}
    made["shares.json"] = shares()
    if arguments.command == "write":
        arguments.directory.mkdir(parents=True, exist_ok=True)
        for name, vector in made.items():
            (arguments.directory / name).write_text(json.dumps(vector, indent=2) + "\n")
    found = {path.name: json.loads(path.read_bytes()) for path in arguments.directory.glob("*.json")}
    if found.keys() != made.keys():
        raise AssertionError(f"there are {sorted(found)}")
    for name, vector in found.items():
        differing = {key for key in made[name] if key != "message" and made[name][key] != vector[key]}
        if differing:
            raise AssertionError(f"{name}: {sorted(differing)} are others")
    check_shares(found["shares.json"])
    if found["shares.json"] != made["shares.json"]:
        raise AssertionError("shares.json: another message")
    for name, vector in found.items():
        if name.startswith("recipient_"):
            check_recipient(vector)
    print(f"{len(found)} vectors of keyrings")
    return 0


def recipient(algorithm: str) -> dict:
    key = Recipient(algorithm, drawn(algorithm, "private key"))
    return {
        "comment": "Encrypted to the public key of a recipient.",
        "algorithm": algorithm,
        "private_key": key.secret.hex(),
        "key_id": key.key_id.hex(),
        "public_text": key.text("public"),
        "private_text": key.text("private"),
        "context": CONTEXT,
        "plaintext": PLAINTEXT.hex(),
        "message": seal(drawn(algorithm, "data key"), lambda data_key, context: [key.wrap(data_key, context)]).hex(),
    }


def shares() -> dict:
    keys = [HeldKey.of_root(drawn("shares", f"root key {number}")) for number in range(4)]
    group = drawn("shares", "group", 16)
    coefficients = [drawn("shares", f"coefficient {number}") for number in (1, 2)]
    message = seal(
        drawn("shares", "data key"),
        lambda data_key, context: wrap_shares(data_key, 3, keys, group, coefficients, context),
    )
    return {
        "comment": "Three of four root keys open it.",
        "root_keys": [key.secret.hex() for key in keys],
        "threshold": 3,
        "group": group.hex(),
        "data_key": drawn("shares", "data key").hex(),
        "context": CONTEXT,
        "plaintext": PLAINTEXT.hex(),
        "message": message.hex(),
    }


def seal(data_key: bytes, wrap) -> bytes:
    context = canonical_context(CONTEXT)
    header = Header(1, None, wrap(data_key, context), None)
    return assemble(header, data_key, context, seal_body(PLAINTEXT, data_key, header, context, b""))


def check_recipient(vector: dict) -> None:
    key = Recipient(vector["algorithm"], bytes.fromhex(vector["private_key"]))
    context = canonical_context(vector["context"])
    parsed = parse(bytes.fromhex(vector["message"]))
    expect_plaintext(vector, parsed, unwrap_committed(parsed, key, context), context)


def check_shares(vector: dict) -> None:
    keys = [HeldKey.of_root(bytes.fromhex(root)) for root in vector["root_keys"]]
    context = canonical_context(vector["context"])
    parsed = parse(bytes.fromhex(vector["message"]))
    for count in range(len(keys) + 1):
        for some in combinations(keys, count):
            try:
                data_key = Holders(list(some)).data_key(parsed.header.wrapped_keys, context)
            except Refused as refusal:
                expected = "other_key" if count == 0 else "too_few_shares"
                if count >= vector["threshold"] or refusal.error != expected:
                    raise
                continue
            if count < vector["threshold"]:
                raise AssertionError("too few shares are enough")
            expect_plaintext(vector, parsed, data_key, context)


def expect_plaintext(vector: dict, parsed: Parsed, data_key: bytes, context: bytes) -> None:
    if commitment(data_key, context, parsed.header.committed_bytes()) != parsed.commitment:
        raise AssertionError("another commitment")
    opened = open_chunks(split_body(parsed.body), data_key, parsed.header, context, b"")
    if opened.hex() != vector["plaintext"]:
        raise AssertionError("another plaintext")


if __name__ == "__main__":
    sys.exit(main())
