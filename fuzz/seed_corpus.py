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


def read(name):
    return json.loads((TESTDATA / name).read_text())


def backups():
    for name in ("backup", "access"):
        yield name, bytes.fromhex(read(f"kms/{name}.json")["backup"])


def import_tokens():
    vector = read("kms/backup.json")
    yield "token", bytes.fromhex(vector["token"])
    yield "material", b"material" + bytes.fromhex(vector["wrapped_material"])


def handles():
    for vector in read("tokens/tokens.json")["vectors"]:
        handle = bytes.fromhex(vector["handle"])
        yield vector["name"], handle
        # The target makes a check of its own.
        yield f"{vector['name']}_without_check", handle[:-16]


def journals():
    journal = bytes.fromhex(read("rewrap/rewrap.json")["journal"]["journal"])
    yield "journal", journal
    yield "journal_without_hash", journal[:-32]


SEEDS = {
    "audit_verify": trails,
    "handles": handles,
    "import_token": import_tokens,
    "policy": policies,
    "restore": backups,
    "rewrap_journal": journals,
}

for target in (FUZZ / "fuzz_targets").glob("*.rs"):
    corpus = FUZZ / "corpus" / target.stem
    corpus.mkdir(parents=True, exist_ok=True)
    for name, seed in SEEDS.get(target.stem, messages)():
        (corpus / name).write_bytes(seed)
