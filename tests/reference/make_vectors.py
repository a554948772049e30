"""Makes the known-answer vectors of waxseal format v1, or checks that those on disk are the ones it would make.

    make_vectors.py write DIR
    make_vectors.py check DIR
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import accepted
import handle_vectors
import handles
import record_vectors
import rejected_headers
import rejected_messages
from keys import HeldKey, open_passphrase_record
from records import make_header, open_record, parse_header, seal_record
from two_key_gcm import GcmKey
from vector_parts import pattern
from waxseal_reference import open_message, seal, unwrap_committed
from wire import Refused, canonical_context, parse


def main() -> int:
    parser = argparse.ArgumentParser(description="known-answer vectors of waxseal format v1")
    parser.add_argument("command", choices=["write", "check"])
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()

    files = make_files()
    if arguments.command == "write":
        arguments.directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (arguments.directory / name).write_bytes(content)
    differences = compare(files, arguments.directory)
    for difference in differences:
        print(difference, file=sys.stderr)
    print(f"{len(files)} vectors, {len(differences)} differences")
    return 1 if differences else 0


def make_files() -> dict[str, bytes]:
    files = {}
    makers = (accepted, handle_vectors, rejected_headers, rejected_messages, record_vectors)
    for vector in (vector for maker in makers for vector in maker.vectors()):
        name = f"{vector['name']}.json"
        if name in files:
            raise AssertionError(f"{name} is made twice")
        files[name] = (json.dumps(vector, indent=2) + "\n").encode()
        test(json.loads(files[name]))
    return files


def compare(files: dict[str, bytes], directory: Path) -> list[str]:
    found = {path.name: path.read_bytes() for path in directory.iterdir()} if directory.is_dir() else {}
    return [
        *(f"missing: {name}" for name in sorted(files.keys() - found.keys())),
        *(f"extra: {name}" for name in sorted(found.keys() - files.keys())),
        *(f"differs: {name}" for name in sorted(files.keys() & found.keys()) if files[name] != found[name]),
    ]


def test(vector: dict) -> None:
    """Whether the reference reader, given nothing but the file, finds what the file says."""
    name = vector["name"]
    try:
        found = read(vector)
    except Refused as refusal:
        expect_equal(name, (refusal.error, refusal.field), (vector.get("error"), vector.get("field")))
        return
    expect_equal(name, vector["expect"], "opens")
    if vector["kind"] == "passphrase":
        expect_equal(name, found, unhex(vector, "root_key"))
        return
    if vector["kind"] == "key":
        expect_key(vector, found)
        return
    if vector["kind"] == "record":
        expect_plaintext(vector, found)
        if vector.get("reproducible"):
            expect_equal(name, reseal_record(vector, found), (headers(vector), unhex(vector, "sealed_record")))
        return
    expect_round_trip(vector)
    if vector["kind"] == "record_header":
        expect_equal(name, found, unhex(vector, "data_key"))
        return
    expect_plaintext(vector, found)
    for other in vector.get("also_opens_with", []):
        expect_equal(name, read(vector | {"aad": other["aad"]}).hex(), other["plaintext"])
    if vector.get("reproducible"):
        expect_equal(name, reseal(vector, found), unhex(vector, "message"))
    if "raw_ciphertext" in vector:
        expect_raw_openings(vector)


def read(vector: dict) -> bytes | handles.OpenedHandle:
    if vector["kind"] == "passphrase":
        return open_passphrase_record(unhex(vector, "record"), vector["passphrase"])
    if vector["kind"] == "key":
        return handles.open_handle(unhex(vector, "root_key"), unhex(vector, "handle"), unhex(vector, "binding"))
    message, key = unhex(vector, "message"), held_key(vector)
    if vector["kind"] == "record":
        sealed = unhex(vector, "sealed_record")
        return open_record(sealed, headers(vector), key, vector["context"], unhex(vector, "aad"))
    if vector["kind"] == "record_header":
        parsed = parse(message)
        expect_equal(vector["name"], parsed.header.record, True)
        return unwrap_committed(parsed, key, canonical_context(vector["context"]))
    return open_message(message, key, vector["context"], unhex(vector, "aad"))


def expect_key(vector: dict, key: handles.OpenedHandle) -> None:
    name, message = vector["name"], unhex(vector, "message")
    expect_equal(name, handles.SPEC_NAMES[key.spec], vector["spec"])
    if "mac" in vector:
        expect_equal(name, key.mac(message), unhex(vector, "mac"))
    if "public_key" in vector:
        expect_equal(name, key.public_key(), unhex(vector, "public_key"))


def reseal(vector: dict, plaintext: bytes) -> bytes:
    return seal(
        plaintext,
        [held_key(vector)],
        unhex(vector, "data_key"),
        vector["context"],
        aad=unhex(vector, "aad"),
        suite=vector["suite"],
        salt=unhex(vector, "salt") or None,
    )


def reseal_record(vector: dict, plaintext: bytes) -> tuple[list[bytes], bytes]:
    data_key, context = unhex(vector, "data_key"), vector["context"]
    made = make_header(held_key(vector), data_key, context, unhex(vector, "salt"), vector["suite"])
    header = parse_header(made).header
    return [made], seal_record(plaintext, header, data_key, context, unhex(vector, "nonce"), unhex(vector, "aad"))


def headers(vector: dict) -> list[bytes]:
    return [bytes.fromhex(header) for header in vector["headers"]]


def held_key(vector: dict) -> HeldKey:
    root = unhex(vector, "root_key")
    if "handle" not in vector:
        return HeldKey.of_root(root)
    return handles.held_key(root, unhex(vector, "handle"), unhex(vector, "binding"))


def expect_round_trip(vector: dict) -> None:
    message = unhex(vector, "message")
    parsed = parse(message)
    expect_equal(vector["name"], parsed.header.committed_bytes() + parsed.commitment + parsed.body, message)


def expect_plaintext(vector: dict, found: bytes) -> None:
    if "plaintext" in vector:
        expect_equal(vector["name"], found, unhex(vector, "plaintext"))
        return
    expect_equal(vector["name"], found, pattern(vector["plaintext_len"]))
    expect_equal(vector["name"], hashlib.sha256(found).hexdigest(), vector["plaintext_sha256"])


def expect_raw_openings(vector: dict) -> None:
    for number in (1, 2):
        key = GcmKey(unhex(vector, f"raw_key_{number}"), unhex(vector, f"raw_nonce_{number}"))
        found = key.open(unhex(vector, "raw_ciphertext"))
        expect_equal(vector["name"], found, unhex(vector, f"raw_plaintext_{number}"))


def expect_equal(name: str, found, expected) -> None:
    if found != expected:
        raise AssertionError(f"{name}: found {found!r}, expected {expected!r}")


def unhex(vector: dict, field: str) -> bytes:
    return bytes.fromhex(vector.get(field, ""))


if __name__ == "__main__":
    sys.exit(main())
