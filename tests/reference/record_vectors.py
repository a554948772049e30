"""The vectors of records: kind `record`, and a record given as a message."""

from handles import make_unbound_handle
from keys import record_key
from records import open_record, seal_record
from two_key_gcm import GcmKey, two_key_ciphertext
from vector_parts import (
    Sealing,
    copy_for,
    drawn,
    flip,
    other_root,
    pattern,
    plaintext_fields,
    put,
    reader_of,
    refused,
    vector,
)
from wire import NONCE_LEN, Record, WrappedKey

ID = bytes.fromhex("a1b2c3d4")
NONCE, CIPHERTEXT = 4, 16


def vectors() -> list[dict]:
    return [
        *sizes_and_aads(),
        *headers_that_open(),
        *several_headers(),
        *two_openings(),
        *changed_records(),
        *reader_inputs(),
        *wrong_headers(),
        *other_inputs(),
    ]


def header_for(seed: str, **settings) -> Sealing:
    """A record header whose id is `ID`, with a payload and an aad for one record under it."""
    salt = ID + drawn(seed, "salt", 20)
    return Sealing(seed, record=True, **{"salt": salt, "aad": b"row 42"} | settings)


def sealed(sealing: Sealing) -> bytes:
    return seal_record(
        sealing.plaintext, sealing.header(), sealing.data_key, sealing.context, nonce_of(sealing), sealing.aad
    )


def nonce_of(sealing: Sealing) -> bytes:
    return drawn(sealing.seed, "nonce", NONCE_LEN)


def opens(name: str, comment: str, sealing: Sealing, headers: list[bytes] | None = None, **fields) -> dict:
    own_way = headers is None and not fields and not sealing.before and not sealing.after and sealing.pad is None
    described = {
        "name": name,
        "comment": comment,
        "kind": "record",
        "expect": "opens",
        "data_key": sealing.data_key,
        "salt": sealing.salt,
        "suite": sealing.suite,
        "reproducible": own_way or None,
        "headers": headers or [sealing.message()],
        "nonce": nonce_of(sealing),
        "sealed_record": sealed(sealing),
    }
    return vector(**described | reader_of(sealing) | plaintext_fields(sealing.plaintext) | fields)


def fails(name: str, comment: str, refusal: str, sealing: Sealing, **fields) -> dict:
    """Refused because of `fields` alone: without them, the record opens."""
    whole = {"headers": [sealing.message()], "sealed_record": sealed(sealing)}
    found = open_record(whole["sealed_record"], whole["headers"], sealing.held, sealing.context, sealing.aad)
    if found != sealing.plaintext:
        raise AssertionError(f"{name}: the record does not open before it is broken")
    made = refused(name, comment, refusal, sealing, **{"kind": "record"} | whole | fields)
    return {field: value for field, value in made.items() if field != "message"}


def sizes_and_aads() -> list[dict]:
    cases = {
        "record": ("A record of 20 bytes: 32 more than its plaintext.", {}),
        "record_no_aad": ("Without associated data.", {"aad": b""}),
        "record_empty": ("An empty plaintext.", {"plaintext": b""}),
        "record_empty_no_aad": ("An empty plaintext without associated data.", {"plaintext": b"", "aad": b""}),
        "record_1000_bytes": ("1000 bytes of plaintext, 256 of associated data.", {
            "plaintext": pattern(1000),
            "aad": bytes(range(256)),
        }),
    }
    return [
        opens(f"{name}_suite_{suite}", comment, header_for(f"{name}_suite_{suite}", suite=suite, **settings))
        for suite in (1, 2)
        for name, (comment, settings) in cases.items()
    ]


def headers_that_open() -> list[dict]:
    root = drawn("record_handle", "root key")
    handle = make_unbound_handle(root, drawn("record_handle", "key id", 16), drawn("record_handle", "version key"))
    unknown = WrappedKey(101, drawn("tag 101", "entry", 90))
    two = header_for("record_two_wrapped_keys", suite=2, pad=7, after=(unknown,))
    two.before = (copy_for("recipient 1", two),)
    return [
        opens(
            "record_handle", "Under the key of a software handle.", header_for("record_handle", root=root, handle=handle)
        ),
        opens(
            "record_high_id",
            "The highest header id there can be.",
            header_for("record_high_id", salt=b"\xff" * 4 + drawn("record_high_id", "salt", 20)),
        ),
        opens("record_two_wrapped_keys", "The header has other wrapped keys beside ours, and a pad.", two),
    ]


def several_headers() -> list[dict]:
    own = header_for("record_several_headers")
    other = header_for("record_several_headers", salt=ID + bytes(20), data_key=drawn("other", "data key"))
    other_context = header_for("record_several_headers", salt=ID + bytes(20), context={"tenant": "b"})
    foreign = header_for("another tenant")
    seven = [header_for("record_several_headers", salt=ID + bytes([i] * 20)).message() for i in range(7)]

    def beside(name: str, comment: str, headers: list[bytes]) -> dict:
        return opens(name, comment, own, headers)

    return [
        beside("record_two_candidates", "Another header has the same id.", [other.message(), own.message()]),
        beside("record_two_candidates_reversed", "The other comes last.", [own.message(), other.message()]),
        beside("record_eight_candidates", "The most headers there can be.", [*seven, own.message()]),
        beside("record_header_twice", "The same header twice is one.", [own.message(), own.message()]),
        beside(
            "record_header_rewrapped",
            "A header and its rewrapped copy give the same record key, and count as one.",
            [own.message(), rewrapped(own).message()],
        ),
        beside(
            "record_beside_other_root",
            "Another tenant's header with the same id, under a root key that we do not hold.",
            [foreign.message(), own.message()],
        ),
        beside(
            "record_beside_other_context",
            "A header with the same id, in another context: no candidate.",
            [other_context.message(), own.message()],
        ),
        beside(
            "record_beside_cut_header",
            "Beside a header that was cut.",
            [own.message()[:100], own.message()],
        ),
        beside(
            "record_beside_other_id",
            "Beside a header with another id, that should not be there.",
            [header_for("x", salt=flip(own.salt, 3)).message(), own.message()],
        ),
    ]


def rewrapped(sealing: Sealing) -> Sealing:
    """The same data key and salt, for one recipient more."""
    copy = header_for(sealing.seed)
    copy.after = (copy_for("recipient 1", copy),)
    return copy


def two_openings() -> list[dict]:
    first = header_for("record_two_openings", aad=b"", plaintext=b"")
    second = header_for("record_two_openings", aad=b"", data_key=drawn("record_two_openings", "other data key"))
    nonce = nonce_of(first)
    keys = [GcmKey(record_key(each.data_key, each.header(), each.canonical), nonce) for each in (first, second)]
    both = Record(ID, nonce, two_key_ciphertext(*keys, b"pay alice 100.00", b"pay carol 999.99")).to_bytes()
    first.plaintext = keys[0].open(both[CIPHERTEXT:])
    return [
        opens(
            "record_two_openings_one_header",
            "The bytes of record_two_openings where only the first header is there: the record commits to nothing.",
            first,
            sealed_record=both,
        ),
        fails(
            "record_two_openings",
            "A record that is valid AES-256-GCM under the record keys of two headers with its id: exactly one may open.",
            "decrypt",
            first,
            headers=[first.message(), second.message()],
            sealed_record=both,
        ),
    ]


def changed_records() -> list[dict]:
    def changed(name: str, comment: str, refusal: str, edit, **settings) -> dict:
        sealing = header_for(name, **settings)
        return fails(name, comment, refusal, sealing, sealed_record=edit(sealed(sealing)))

    return [
        changed("record_nonce_flipped", "One bit of the nonce differs.", "decrypt", lambda r: flip(r, NONCE)),
        changed("record_ciphertext_flipped", "One bit differs.", "decrypt", lambda r: flip(r, CIPHERTEXT)),
        changed(
            "record_ciphertext_flipped_suite_2",
            "The same with suite 2.",
            "decrypt",
            lambda r: flip(r, CIPHERTEXT),
            suite=2,
        ),
        changed("record_tag_flipped", "One bit of the tag differs.", "decrypt", lambda r: flip(r, -1)),
        changed(
            "record_id_flipped",
            "One bit of the header id differs, so that the header is not the record's.",
            "unknown_header",
            lambda r: flip(r, 3),
        ),
        changed("record_mark_cleared", "The first bit is not 1.", "not_a_record", lambda r: flip(r, 0, 0x80)),
        changed("record_cut", "The last byte is missing.", "decrypt", lambda r: r[:-1]),
        changed("record_trailing_byte", "One byte more.", "decrypt", lambda r: r + b"\0"),
        changed("record_short", "31 bytes are too few for any record.", "truncated", lambda r: r[:31]),
        changed("record_cut_to_id", "Only the header id.", "truncated", lambda r: r[:4]),
        changed("record_cut_to_nothing", "No bytes at all.", "truncated", lambda r: b""),
        changed(
            "order_record_mark_before_length",
            "A first byte below 0x80, and cut: the first byte is looked at first.",
            "not_a_record",
            lambda r: flip(r, 0, 0x80)[:20],
        ),
    ]


def reader_inputs() -> list[dict]:
    def other_aad(name: str, comment: str, sealed_with: bytes, given: bytes | None) -> dict:
        return fails(name, comment, "decrypt", header_for(name, aad=sealed_with), aad=given)

    return [
        other_aad("record_wrong_aad", "Other associated data.", b"row 42", b"row 43"),
        other_aad("record_missing_aad", "No associated data where there was some.", b"row 42", None),
        other_aad("record_added_aad", "Associated data where there was none.", b"", b"row 42"),
        fails(
            "record_wrong_context",
            "Another context: the header is there, and its wrapped key does not unwrap.",
            "decrypt",
            header_for("record_wrong_context"),
            context={"tenant": "b"},
        ),
        fails(
            "record_other_root",
            "The header names another root key than the reader's.",
            "other_key",
            header_for("record_other_root"),
            root_key=other_root("another root").secret,
        ),
    ]


def wrong_headers() -> list[dict]:
    def given(name: str, comment: str, refusal: str, *headers_of) -> dict:
        own = header_for(name)
        return fails(name, comment, refusal, own, headers=[make(own) for make in headers_of])

    def other_data_key(own: Sealing) -> bytes:
        return header_for(own.seed, data_key=drawn(own.seed, "other data key")).message()

    def other_salt(own: Sealing) -> bytes:
        return header_for(own.seed, salt=flip(own.salt, -1)).message()

    def other_id(own: Sealing) -> bytes:
        return header_for(own.seed, salt=flip(own.salt, 3)).message()

    def cut(own: Sealing) -> bytes:
        return own.message()[:-1]

    def foreign(_own: Sealing) -> bytes:
        return header_for("another tenant").message()

    def of_a_message(own: Sealing) -> bytes:
        return Sealing(own.seed, shared=True, salt=own.salt).message()

    def low_bit(own: Sealing) -> bytes:
        return Sealing(own.seed, record=True, salt=flip(own.salt, 0, 0x80)).message()

    return [
        given("record_no_header", "No header at all.", "unknown_header"),
        given("record_other_id", "A header with another id.", "unknown_header", other_id),
        given("record_other_header", "A header with the same id and another data key.", "decrypt", other_data_key),
        given("record_other_salt", "A header with the same id and data key, and another salt.", "decrypt", other_salt),
        given("record_header_cut", "The header lacks its last byte.", "truncated", cut),
        given(
            "record_header_and_trailing_byte",
            "A byte follows the header.",
            "malformed body",
            lambda own: own.message() + b"\0",
        ),
        given("record_header_of_message", "A message, sealed with the same salt.", "message_header", of_a_message),
        given("record_header_without_mark", "The first bit of its salt is not 1.", "malformed salt", low_bit),
        given(
            "record_header_commitment_flipped",
            "One bit of the header's commitment differs.",
            "decrypt",
            lambda own: flip(own.message(), -1),
        ),
        given(
            "record_header_suite_changed",
            "The header says suite 2 where it was made for suite 1.",
            "decrypt",
            lambda own: put(own.message(), 0, b"\x12"),
        ),
        given(
            "record_cut_header_tells_most",
            "Of three headers that do not help, the one that was damaged says what to do.",
            "truncated",
            other_data_key,
            foreign,
            cut,
        ),
        given(
            "record_decrypt_before_other_key",
            "Of a header under another root key and one with another data key, the second is ours.",
            "decrypt",
            foreign,
            other_data_key,
        ),
        given(
            "record_nine_headers",
            "One more than are looked at, ours among them.",
            "limit candidates",
            Sealing.message,
            *[lambda own, i=i: header_for(own.seed, salt=ID + bytes([i] * 20)).message() for i in range(8)],
        ),
    ]


def other_inputs() -> list[dict]:
    message = Sealing("message_as_record")
    record = header_for("record_as_message")
    header = header_for("header_as_record")
    return [
        fails(
            "message_as_record", "A message.", "not_a_record", header_for("x"), sealed_record=message.message()
        ),
        fails("header_as_record", "A record header.", "not_a_record", header, sealed_record=header.message()),
        refused(
            "record_as_message",
            "A record, but given to the opening of messages.",
            "not_a_message",
            record,
            sealed(record),
            kind="message",
        ),
    ]
