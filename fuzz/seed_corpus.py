"""Writes the messages and records of the vectors, and the cases of policies, as seeds."""

import json
from pathlib import Path

FUZZ = Path(__file__).parent
TESTDATA = FUZZ.parent / "tests" / "testdata"
WHOLE = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}


def messages():
    for path in (TESTDATA / "v1").glob("*.json"):
        vector = json.loads(path.read_text())
        sealed = vector.get("message", vector.get("sealed_record"))
        if sealed is not None:
            yield path.stem, bytes.fromhex(sealed)


def policies():
    for path in (TESTDATA / "policy").glob("*.json"):
        for index, rule in enumerate(json.loads(path.read_text())):
            statements = [complete(statement) for statement in rule["policy"]]
            policy = {"Version": "2012-10-17", "Statement": statements}
            yield f"{path.stem}_{index}", json.dumps(policy).encode()


def complete(statement):
    left_out = {
        member: value
        for member, value in WHOLE.items()
        if f"Not{member}" not in statement
    }
    return left_out | statement


def trails():
    vector = json.loads((TESTDATA / "audit" / "trail.json").read_text())
    for name in ("with_macs", "with_signatures"):
        yield name, "".join(line + "\n" for line in vector[name]).encode()


SEEDS = {"policy": policies, "audit_verify": trails}

for target in (FUZZ / "fuzz_targets").glob("*.rs"):
    corpus = FUZZ / "corpus" / target.stem
    corpus.mkdir(parents=True, exist_ok=True)
    for name, seed in SEEDS.get(target.stem, messages)():
        (corpus / name).write_bytes(seed)
