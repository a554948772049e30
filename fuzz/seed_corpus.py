"""Writes the messages and records of the vectors as seeds of every fuzz target."""

import json
from pathlib import Path

FUZZ = Path(__file__).parent
VECTORS = FUZZ.parent / "tests" / "testdata" / "v1"

for target in (FUZZ / "fuzz_targets").glob("*.rs"):
    corpus = FUZZ / "corpus" / target.stem
    corpus.mkdir(parents=True, exist_ok=True)
    for path in VECTORS.glob("*.json"):
        vector = json.loads(path.read_text())
        sealed = vector.get("message", vector.get("sealed_record"))
        if sealed is not None:
            (corpus / path.stem).write_bytes(bytes.fromhex(sealed))
