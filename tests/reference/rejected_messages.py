"""The vectors whose header reads well: for another key, or with something that does not belong to the rest."""

from vector_parts import (
    BODY,
    COMMITMENT,
    FLAGS,
    KEY_ID,
    TAG,
    WRAPPED,
    Sealing,
    broken,
    copy_for,
    drawn,
    flip,
    other_root,
    pattern,
    put,
    refused,
    wrap_under,
)
from wire import Tag, WrappedKey

PIECE = 16400


def vectors() -> list[dict]:
    return [
        *bodies(),
        *flipped_bits(),
        *header_changes(),
        *keys(),
        *reader_inputs(),
    ]


def bodies() -> list[dict]:
    def body(name: str, comment: str, refusal: str, length: int, edit, **settings) -> dict:
        def edit_message(message: bytes) -> bytes:
            return message[:BODY] + edit(message[BODY:])

        return broken(name, comment, refusal, Sealing(name, pattern(length), **settings), edit_message)

    return [
        body("body_flipped", "One bit of the ciphertext differs.", "decrypt", 20, lambda b: flip(b, 0)),
        body("body_flipped_suite_2", "The same with suite 2.", "decrypt", 20, lambda b: flip(b, 0), suite=2),
        body("tag_flipped", "One bit of the chunk's tag differs.", "decrypt", 20, lambda b: flip(b, -1)),
        body(
            "second_chunk_flipped",
            "One bit of the second chunk differs; the first alone would open.",
            "decrypt",
            16390,
            lambda b: flip(b, PIECE),
        ),
        body("trailing_byte", "One byte more than was sealed.", "decrypt", 20, lambda b: b + b"\0"),
        body(
            "trailing_byte_fills_chunk",
            "One byte more than the longest last chunk: the body ends on a full one.",
            "truncated",
            16383,
            lambda b: b + b"\0",
        ),
        body("body_of_5_bytes", "A body shorter than a tag.", "truncated", 20, lambda b: b[:5]),
        body("body_of_15_bytes", "A body one byte shorter than a tag.", "truncated", 20, lambda b: b[:15]),
        body("body_cut_in_chunk", "The last chunk is cut, yet longer than a tag.", "decrypt", 20, lambda b: b[:30]),
        body(
            "truncated_at_chunk_edge",
            "The last chunk is missing and the body ends on a full one.",
            "truncated",
            16390,
            lambda b: b[:PIECE],
        ),
        body(
            "truncated_empty_last_chunk",
            "The empty last chunk is missing.",
            "truncated",
            16384,
            lambda b: b[:PIECE],
        ),
        body(
            "truncated_to_5_stray_bytes",
            "Five bytes of the last chunk are left.",
            "truncated",
            16390,
            lambda b: b[: PIECE + 5],
        ),
        body(
            "chunks_swapped",
            "Two full chunks have changed places.",
            "decrypt",
            32770,
            lambda b: b[PIECE : 2 * PIECE] + b[:PIECE] + b[2 * PIECE :],
        ),
        body("chunk_dropped", "The first of two chunks is missing.", "decrypt", 16390, lambda b: b[PIECE:]),
        body(
            "chunk_dropped_from_middle",
            "The second of three chunks is missing.",
            "decrypt",
            32770,
            lambda b: b[:PIECE] + b[2 * PIECE :],
        ),
        body("chunk_repeated", "The first chunk comes twice.", "decrypt", 16390, lambda b: b[:PIECE] + b),
    ]


def flipped_bits() -> list[dict]:
    every = Sealing("every_held_entry_broken")
    every.before = (WrappedKey(Tag.SOFTWARE, flip(every.own.entry, -1)),)
    every.own = WrappedKey(Tag.SOFTWARE, flip(every.own.entry, -2))
    return [
        broken(
            "commitment_flipped",
            "One bit of the commitment differs.",
            "decrypt",
            Sealing("commitment_flipped"),
            lambda message: flip(message, COMMITMENT),
        ),
        broken(
            "commitment_last_bit_flipped",
            "The last bit of the commitment differs.",
            "decrypt",
            Sealing("commitment_last_bit_flipped"),
            lambda message: flip(message, COMMITMENT + 31),
        ),
        broken(
            "wrapped_flipped",
            "One bit of the wrapped data key differs.",
            "decrypt",
            Sealing("wrapped_flipped"),
            lambda message: flip(message, WRAPPED),
        ),
        broken(
            "salt_flipped",
            "One bit of the salt differs.",
            "decrypt",
            Sealing("salt_flipped", shared=True),
            lambda message: flip(message, 2),
        ),
        broken(
            "unknown_entry_flipped",
            "One bit differs in an entry that we do not read; the commitment covers it.",
            "decrypt",
            Sealing("unknown_entry_flipped", before=(WrappedKey(101, drawn("tag 101", "entry", 90)),)),
            lambda message: flip(message, 10),
        ),
        refused("every_held_entry_broken", "Two entries name our key and neither unwraps.", "decrypt", every),
    ]


def header_changes() -> list[dict]:
    # Where COMMITMENT points, a pad or a second entry begins if there is one.
    def shorten_pad(message: bytes) -> bytes:
        return message[:COMMITMENT] + b"\0\x07" + message[COMMITMENT + 3 :]

    two = Sealing("entry_removed")
    two.after = (copy_for("recipient 1", two),)
    swapped = Sealing("entries_swapped")
    swapped.after = (copy_for("recipient 1", swapped),)
    fewer = Sealing("flag_fewer_entries")
    fewer.after = (copy_for("recipient 1", fewer),)

    def change_suite(message: bytes) -> bytes:
        return flip(message, 0, 0x03)

    return [
        broken("suite_1_to_2", "Suite 1, changed to 2.", "decrypt", Sealing("suite_1_to_2"), change_suite),
        broken("suite_2_to_1", "Suite 2, changed to 1.", "decrypt", Sealing("suite_2_to_1", suite=2), change_suite),
        broken(
            "flag_pad_removed",
            "The pad flag is cleared, so that the pad's length is read as commitment.",
            "decrypt",
            Sealing("flag_pad_removed", pad=0),
            lambda message: flip(message, FLAGS, 0x04),
        ),
        broken(
            "flag_fewer_entries",
            "The count says one wrapped key where there are two, so that the second is read as commitment and body.",
            "decrypt",
            fewer,
            lambda message: flip(message, FLAGS, 0x10),
        ),
        broken(
            "pad_added",
            "A pad is added to a sealed header and the commitment left as it was.",
            "decrypt",
            Sealing("pad_added"),
            lambda message: flip(message, FLAGS, 0x04)[:COMMITMENT] + b"\0\0" + message[COMMITMENT:],
        ),
        broken(
            "pad_shortened",
            "One byte of the pad is taken away and the commitment left as it was.",
            "decrypt",
            Sealing("pad_shortened", pad=8),
            shorten_pad,
        ),
        broken(
            "entry_removed",
            "Another recipient's wrapped key is taken away and the commitment left as it was.",
            "decrypt",
            two,
            lambda message: flip(message, FLAGS, 0x10)[:COMMITMENT] + message[COMMITMENT + 67 :],
        ),
        broken(
            "entries_swapped",
            "Two wrapped keys have changed places.",
            "decrypt",
            swapped,
            lambda message: message[:2] + message[69:136] + message[2:69] + message[136:],
        ),
        broken(
            "tag_changed_to_kms",
            "Our entry under tag 2: a bare root key goes by tag 1 alone.",
            "other_key",
            Sealing("tag_changed_to_kms"),
            lambda message: put(message, TAG, b"\x02"),
        ),
        broken(
            "tag_changed_to_unknown",
            "Our entry under tag 101, which is skipped, so that none is left.",
            "other_key",
            Sealing("tag_changed_to_unknown"),
            lambda message: put(message, TAG, b"\x65"),
        ),
    ]


def keys() -> list[dict]:
    renamed = Sealing("key_id_swapped")
    renamed_message = put(renamed.message(), KEY_ID, other_root("another root").key_id)
    another = drawn("another root", "root key")
    versioned = Sealing("key_version_2")
    prefix = versioned.held.key_id + b"\x02"
    versioned.own = wrap_under(versioned.held, Tag.SOFTWARE, prefix, versioned.data_key, versioned.canonical)
    no_copy = Sealing("no_software_entry", own=WrappedKey(Tag.NAMED, b"\x04acme\x01r" + drawn("acme", "wrapped", 48)))
    return [
        refused(
            "other_root",
            "No wrapped key names the reader's root key.",
            "other_key",
            Sealing("other_root"),
            root_key=another,
        ),
        refused(
            "key_id_swapped",
            "The key id was replaced by another root key's, and we hold the first.",
            "other_key",
            renamed,
            renamed_message,
        ),
        refused(
            "key_id_swapped_other",
            "The bytes of key_id_swapped with the root key that the entry now names: it does not unwrap.",
            "decrypt",
            renamed,
            renamed_message,
            root_key=another,
        ),
        refused(
            "key_version_2",
            "Our key id with key version 2, properly wrapped: a bare root key is version 1 and holds no other.",
            "other_key",
            versioned,
        ),
        refused("no_software_entry", "One entry, a named provider's.", "other_key", no_copy),
    ]


def reader_inputs() -> list[dict]:
    def other_context(name: str, comment: str, sealed: dict[str, str], given: dict[str, str]) -> dict:
        return refused(name, comment, "decrypt", Sealing(name, context=sealed), context=given)

    def other_aad(name: str, comment: str, sealed: bytes, given: bytes | None, **settings) -> dict:
        return refused(name, comment, "decrypt", Sealing(name, aad=sealed, **settings), aad=given)

    over_context = [
        ("context_65_pairs", "One pair too many.", {f"k{i:02}": str(i) for i in range(65)}),
        ("context_8193_bytes", "One byte too many.", {"k": "v" * 8186}),
        ("context_empty_key", "A key may not be empty.", {"": "a"}),
    ]
    return [
        other_context("wrong_context", "Another value.", {"tenant": "a"}, {"tenant": "b"}),
        other_context("missing_context", "No context where there was one.", {"tenant": "a"}, {}),
        other_context("added_context", "A pair that was not there.", {"tenant": "a"}, {"tenant": "a", "x": ""}),
        other_context("context_key_as_value", "Key and value changed places.", {"tenant": "a"}, {"a": "tenant"}),
        other_context(
            "context_values_swapped",
            "Two values changed places.",
            {"from": "alice", "to": "bob"},
            {"from": "bob", "to": "alice"},
        ),
        other_context("context_boundary_moved", "The same letters, split elsewhere.", {"ab": "c"}, {"a": "bc"}),
        other_context("context_normalised", "A letter composed.", {"k": "e\u0301"}, {"k": "\u00e9"}),
        other_aad("wrong_aad", "Other associated data.", b"row 42", b"row 43"),
        other_aad("wrong_aad_suite_2", "The same with suite 2.", b"row 42", b"row 43", suite=2),
        other_aad("missing_aad", "No associated data where there was some.", b"row 42", None),
        other_aad("added_aad", "Associated data where there was none.", b"", b"row 42"),
        *(
            refused(name, f"{comment} It was sealed all the same.", "context", Sealing(name, context=context))
            for name, comment, context in over_context
        ),
    ]
