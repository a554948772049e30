"""The vectors that open, and those whose refusal only makes sense beside them."""

from keys import make_passphrase_record, open_passphrase_record, payload_key
from two_key_gcm import GcmKey, two_key_ciphertext
from vector_parts import Sealing, accepted, copy_for, drawn, flip, pattern, refused, vector
from wire import Tag, WrappedKey, varint

KNOWN_ANSWER = bytes.fromhex(
    "1100014192a8c6503eed569a94f2dd09d7b044110189cc51b9ed425c05e77cb317d3bed9dae0aeccdb535dd3fb739521c1682cc4"
    "ae225615748887de025edf0610377f11653aae6a4c814ecea532b15ec030841d798bfb9ac2b7089b31aa2b43fd7cf9cb56b31ff3"
    "1647cac05bc223d636bd80a148"
)


def vectors() -> list[dict]:
    return [
        known_answer(),
        *sizes(),
        *associated_data(),
        *contexts(),
        *shared_data_keys(),
        *passphrases(),
        *other_recipients(),
        subject_copy(),
        *pads(),
        *record_headers(),
        *two_data_keys(),
        aad_two_openings(),
        *two_key_body(),
    ]


def known_answer() -> dict:
    sealing = Sealing("known_answer", b"", root=bytes(range(32)), data_key=bytes(range(32, 64)))
    made = accepted("known_answer", "The known answer in the text of the format.", sealing)
    if sealing.message() != KNOWN_ANSWER:
        raise AssertionError("the known answer of the format does not come out")
    return made


def sizes() -> list[dict]:
    comments = {
        0: "An empty plaintext is one empty chunk.",
        1: "One byte of plaintext.",
        64: "64 bytes of plaintext.",
        16383: "The longest plaintext of one chunk.",
        16384: "One full chunk is followed by an empty last one.",
        16385: "One full chunk and one byte.",
        32768: "Two full chunks and an empty last one.",
    }
    lengths_by_suite = {1: [0, 1, 64, 16383, 16384, 16385, 32768], 2: [0, 1, 64, 16384, 16385, 32768]}
    return [
        accepted(name, comments[length], Sealing(name, pattern(length), suite=suite))
        for suite, lengths in lengths_by_suite.items()
        for length in lengths
        for name in [f"size_{length}_suite_{suite}"]
    ]


def associated_data() -> list[dict]:
    return [
        accepted("aad_suite_1", "Associated data is bound to the body.", Sealing("aad_suite_1", aad=b"row 42")),
        accepted("aad_suite_2", "The same with suite 2.", Sealing("aad_suite_2", aad=b"row 42", suite=2)),
        accepted(
            "aad_shared",
            "Associated data and a salt: mode 3 of the payload derivation.",
            Sealing("aad_shared", aad=b"row 42", shared=True),
        ),
        accepted(
            "aad_binary",
            "Associated data is bytes, here 256 that are not text.",
            Sealing("aad_binary", aad=bytes(range(256))),
        ),
        accepted(
            "aad_empty",
            "Empty associated data is the same as none.",
            Sealing("aad_empty"),
            aad=b"",
        ),
    ]


def contexts() -> list[dict]:
    cases = {
        "context_empty": ("The empty context, 00 00 in canonical form.", {}),
        "context_empty_value": ("A value may be empty; a key may not.", {"tenant": "", "region": "eu"}),
        "context_64_pairs": ("The most pairs there can be.", {f"k{i:02}": str(i) for i in reversed(range(64))}),
        "context_8192_bytes": ("The longest context: 8192 bytes with all prefixes.", {"k": "v" * 8185}),
        "context_order": (
            "Keys are sorted as bytes: upper case before lower, length last, and U+FF5E before U+1F600, which sorts "
            "first in UTF-16.",
            {"b": "1", "a": "2", "aa": "3", "Z": "4", "\u00e9": "5", "\uff5e": "6", "\U0001f600": "7", "a\0": "8"},
        ),
        "context_not_normalised": (
            "A letter with an accent and the same letter with a combining accent are two keys.",
            {"\u00e9": "composed", "e\u0301": "decomposed"},
        ),
    }
    return [accepted(name, comment, Sealing(name, context=context)) for name, (comment, context) in cases.items()]


def shared_data_keys() -> list[dict]:
    def one_of_two(number: int, salt: bytes) -> Sealing:
        return Sealing("shared_one_data_key", pattern(40 + number), shared=True, salt=salt)

    same = "Two messages under one data key, root key and context, apart by their salt; its top bit means nothing here."
    return [
        accepted("shared_suite_1", "A shared data key: a salt follows.", Sealing("shared_suite_1", shared=True)),
        accepted("shared_suite_2", "The same with suite 2.", Sealing("shared_suite_2", shared=True, suite=2)),
        accepted("shared_empty", "A salt and an empty plaintext.", Sealing("shared_empty", b"", shared=True)),
        accepted("shared_one_data_key_first", same, one_of_two(1, bytes(24))),
        accepted("shared_one_data_key_second", same, one_of_two(2, b"\xff" * 24)),
    ]


def passphrases() -> list[dict]:
    horse = "correct horse battery staple"

    def made(name: str, passphrase: str, memory_kib: int = 64, passes: int = 1, lanes: int = 1) -> bytes:
        return make_passphrase_record(passphrase, drawn(name, "salt", 16), memory_kib, passes, lanes)

    def opens(name: str, comment: str, passphrase: str, **costs: int) -> dict:
        record = made(name, passphrase, **costs)
        root = open_passphrase_record(record, passphrase)
        fields = {"passphrase": passphrase, "record": record, "root_key": root}
        return vector(name=name, comment=comment, kind="passphrase", expect="opens", **fields)

    def wrong(name: str, comment: str, passphrase: str, record: bytes) -> dict:
        fields = {"error": "wrong_passphrase", "passphrase": passphrase, "record": record}
        return vector(name=name, comment=comment, kind="passphrase", expect="refused", **fields)

    return [
        opens("passphrase", "One pass and one lane over 64 KiB.", horse),
        opens("passphrase_costs", "Three passes, four lanes, 256 KiB.", horse, memory_kib=256, passes=3, lanes=4),
        opens("passphrase_utf8", "The passphrase is UTF-8, not normalised.", "Zo\u00eb \U0001f511", passes=2),
        wrong("passphrase_wrong", "Another passphrase.", horse + "!", made("passphrase_wrong", horse)),
        wrong(
            "passphrase_decomposed",
            "Made with a composed letter, tried with the decomposed one: another passphrase.",
            "Zoe\u0308",
            made("passphrase_decomposed", "Zo\u00eb"),
        ),
        wrong(
            "passphrase_check_flipped",
            "One bit of the check differs; it cannot be told from a wrong passphrase.",
            horse,
            flip(made("passphrase_check_flipped", horse), -1),
        ),
        wrong(
            "passphrase_salt_flipped",
            "One bit of the salt differs.",
            horse,
            flip(made("passphrase_salt_flipped", horse), 13),
        ),
        wrong(
            "passphrase_passes_changed",
            "The record says three passes where it was made with two.",
            horse,
            flip(made("passphrase_passes_changed", horse, passes=2), 8),
        ),
    ]


def other_recipients() -> list[dict]:
    entries = {
        "unknown_tag_skipped": (
            "A tag that no reader knows yet is skipped.",
            WrappedKey(101, drawn("tag 101", "entry", 90)),
        ),
        "unknown_tag_126": (
            "The highest tag without a layout, with the shortest entry.",
            WrappedKey(126, b"\0"),
        ),
        "unknown_tag_longest_entry": (
            "The longest entry there can be, of 16383 bytes.",
            WrappedKey(77, drawn("longest", "entry", 16383)),
        ),
        "tag_kms": (
            "A KMS key's copy, tag 2, whose key version 300 takes two bytes.",
            WrappedKey(Tag.KMS, drawn("tag 2", "key id", 16) + varint(300) + drawn("tag 2", "wrapped", 48)),
        ),
        "tag_kms_highest_version": (
            "The highest key version there can be, in five bytes.",
            WrappedKey(Tag.KMS, drawn("version", "key id", 16) + varint(2**32 - 1) + drawn("version", "wrapped", 48)),
        ),
        "tag_pkcs11": (
            "A token's copy, tag 3.",
            WrappedKey(Tag.PKCS11, b"\x04\0\0\0\x2a\x01" + drawn("tag 3", "wrapped", 60)),
        ),
        "tag_kms_token": (
            "A copy of a KMS key whose version a token holds, tag 4.",
            WrappedKey(Tag.KMS_TOKEN, drawn("tag 4", "key id", 16) + b"\x07\x01" + drawn("tag 4", "wrapped", 60)),
        ),
        "tag_named": (
            "A named provider's copy, tag 127.",
            WrappedKey(Tag.NAMED, b"\x0aacme-vault\x03k/1" + drawn("tag 127", "wrapped", 33)),
        ),
    }
    beside = [accepted(name, comment, Sealing(name, before=(entry,))) for name, (comment, entry) in entries.items()]
    all_entries = tuple(entry for _, entry in entries.values() if len(entry.entry) < 100)

    two = Sealing("two_wrapped_keys")
    two.before = (copy_for("recipient 1", two),)
    sixteen = Sealing("sixteen_wrapped_keys", shared=True, suite=2)
    sixteen.before = tuple(copy_for(f"recipient {i}", sixteen) for i in range(15))
    retry = Sealing("first_entry_broken_second_good")
    retry.before = (WrappedKey(Tag.SOFTWARE, flip(retry.own.entry, -1)),)
    share = drawn("tag 7", "group", 16) + b"\x02\x10\x10"
    of_keyrings = (
        WrappedKey(Tag.X25519, drawn("tag 5", "entry", 96)),
        WrappedKey(Tag.X_WING, drawn("tag 6", "entry", 1184)),
        WrappedKey(Tag.SHARE, share + b"\x02" + drawn("tag 7", "key id", 16) + b"\x01" + drawn("tag 7", "share", 48)),
        WrappedKey(Tag.SHARE, share + b"\x65\x01"),
    )
    return [
        *beside,
        accepted(
            "tags_of_keyrings",
            "Copies for recipients, and shares, one of them under a tag that is not known, before ours.",
            Sealing("tags_of_keyrings", before=of_keyrings),
        ),
        accepted(
            "tags_of_all_layouts",
            "Copies of every layout around ours.",
            Sealing("tags_of_all_layouts", before=all_entries[:3], after=all_entries[3:]),
        ),
        accepted("two_wrapped_keys", "Another root key's copy comes first, ours second.", two),
        accepted("sixteen_wrapped_keys", "The most wrapped keys there can be, ours last.", sixteen),
        accepted(
            "first_entry_broken_second_good",
            "Two entries name our key; the first does not unwrap, so the second is tried.",
            retry,
        ),
    ]


def subject_copy() -> dict:
    entry = WrappedKey(Tag.SUBJECT, drawn("tag 8", "key id and subject", 32) + drawn("tag 8", "wrapped", 48))
    comment = "A copy under the key of a subject of a KMS key, tag 8."
    return accepted("tag_subject", comment, Sealing("tag_subject", before=(entry,)))


def pads() -> list[dict]:
    return [
        accepted("pad_0", "A pad of length 0 still has its length field.", Sealing("pad_0", pad=0)),
        accepted("pad_7", "A pad of seven zero bytes.", Sealing("pad_7", pad=7)),
        accepted("pad_4096", "The longest pad.", Sealing("pad_4096", pad=4096)),
        accepted(
            "pad_shared_suite_2",
            "Salt, two wrapped keys, pad and associated data in one header.",
            Sealing(
                "pad_shared_suite_2",
                suite=2,
                shared=True,
                pad=67,
                aad=b"row 42",
                after=(WrappedKey(101, drawn("tag 101", "entry", 90)),),
            ),
        ),
    ]


def record_headers() -> list[dict]:
    def header(name: str, **settings) -> Sealing:
        salt = b"\x80" + drawn(name, "salt", 23)
        return Sealing(name, record=True, salt=salt, **settings)

    return [
        accepted("record_header", "A record header: 125 bytes, and nothing behind.", header("record_header")),
        accepted(
            "record_header_suite_2_pad",
            "A record header with suite 2, two wrapped keys and a pad.",
            header(
                "record_header_suite_2_pad", suite=2, pad=5, before=(WrappedKey(101, drawn("tag 101", "entry", 90)),)
            ),
        ),
    ]


def two_data_keys() -> list[dict]:
    sealing = Sealing("two_deks")
    root_b = drawn("recipient b", "root key")
    sealing.after = (copy_for("recipient b", sealing, drawn("two_deks", "other data key")),)

    same_root = Sealing("two_deks_same_root")
    same_root.before = (same_root.held.wrap(drawn("two_deks_same_root", "other data key"), same_root.canonical),)
    return [
        accepted(
            "two_deks",
            "Two copies that hold different data keys. The commitment is to ours, the first.",
            sealing,
        ),
        refused(
            "two_deks_other",
            "The bytes of two_deks with the second root key: its data key unwraps and fails the commitment.",
            "decrypt",
            sealing,
            root_key=root_b,
        ),
        refused(
            "two_deks_same_root",
            "Two entries name our key. The first unwraps to a data key that fails the commitment, and there it ends, "
            "although the second would fit.",
            "decrypt",
            same_root,
        ),
    ]


def aad_two_openings() -> dict:
    sealing = Sealing("aad_two_openings", aad=b"row 1")
    other_aad = b"row 2"
    first, second = (
        GcmKey(*payload_key(sealing.data_key, sealing.header(), sealing.canonical, aad))
        for aad in (sealing.aad, other_aad)
    )
    body = two_key_ciphertext(first, second, b"pay alice 100.00", b"pay carol 999.99")
    message = sealing.message(body=body)
    sealing.plaintext = first.open(body)
    return accepted(
        "aad_two_openings",
        "A writer made one body that opens under two aads. That is accepted: the aad is bound, not committed.",
        sealing,
        message,
        also_opens_with=[{"aad": other_aad.hex(), "plaintext": second.open(body).hex()}],
    )


def two_key_body() -> list[dict]:
    sealing = Sealing("two_key_body")
    root_b, other_data_key = drawn("recipient b", "root key"), drawn("two_key_body", "other data key")
    sealing.after = (copy_for("recipient b", sealing, other_data_key),)
    first, second = (
        GcmKey(*payload_key(data_key, sealing.header(), sealing.canonical, b""))
        for data_key in (sealing.data_key, other_data_key)
    )
    body = two_key_ciphertext(first, second, b"for a: pay alice", b"for b: pay carol")
    message = sealing.message(body=body)
    sealing.plaintext = first.open(body)
    return [
        accepted(
            "two_key_body",
            "The body is valid AES-256-GCM under the payload keys of two data keys, one wrapped for each of two root "
            "keys. The commitment is to ours.",
            sealing,
            message,
            raw_key_1=first.key,
            raw_nonce_1=first.nonce,
            raw_plaintext_1=first.open(body),
            raw_key_2=second.key,
            raw_nonce_2=second.nonce,
            raw_plaintext_2=second.open(body),
            raw_ciphertext=body,
        ),
        refused(
            "two_key_body_other",
            "The bytes of two_key_body with the second root key: the body would open, the commitment does not.",
            "decrypt",
            sealing,
            message,
            root_key=root_b,
        ),
    ]
