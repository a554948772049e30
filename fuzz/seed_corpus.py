"""Writes the messages of the vectors as seeds of every fuzz target."""

import json
from pathlib import Path

FUZZ = Path(__file__).parent
VECTORS = FUZZ.parent / "tests" / "testdata" / "v1"

for target in (FUZZ / "fuzz_targets").glob("*.rs"):
    corpus = FUZZ / "corpus" / target.stem
    corpus.mkdir(parents=True, exist_ok=True)
    for path in VECTORS.glob("*.json"):
        message = json.loads(path.read_text()).get("message")
        if message is not None:
            (corpus / path.stem).write_bytes(bytes.fromhex(message))
