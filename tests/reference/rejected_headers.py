"""The vectors whose header is refused as it is read. Wherever it can be, the commitment fits the bad header, so that
nothing but the named check stands in the way."""

from vector_parts import (
    FLAGS,
    LENGTH,
    TAG,
    RawEntry,
    Sealing,
    broken,
    drawn,
    flip,
    put,
    refused,
    wrap_under,
)
from wire import Tag, WrappedKey, varint


def vectors() -> list[dict]:
    return [
        *first_byte(),
        *flags_and_salt(),
        *entry_framing(),
        *entry_layouts(),
        *entry_lists(),
        *pads_and_header_limit(),
        *cuts(),
        *order_of_checks(),
    ]


def first_byte() -> list[dict]:
    cases = [
        ("version_zero", "Version 0 is not a message.", "not_a_message", 0x01),
        ("looks_like_record", "A first byte of 0x80 or more begins a record.", "not_a_message", 0x91),
        ("looks_like_record_version_zero", "The same without a version.", "not_a_message", 0x80),
        ("unknown_version", "Version 2.", "unsupported_version", 0x21),
        ("unknown_version_7", "Version 7, whose suite is not looked at.", "unsupported_version", 0x7F),
        ("unknown_suite", "Suite 3.", "unsupported_suite", 0x13),
        ("suite_zero", "Suite 0.", "unsupported_suite", 0x10),
    ]
    return [
        broken(name, comment, refusal, Sealing(name), lambda message, byte=byte: put(message, 0, bytes([byte])))
        for name, comment, refusal, byte in cases
    ]


def flags_and_salt() -> list[dict]:
    reserved, no_salt = Sealing("reserved_flag"), Sealing("record_flag_without_salt")
    low_bit = Sealing("record_header_low_bit", record=True, salt=b"\x7f" + drawn("record_header_low_bit", "salt", 23))
    salt = b"\x80" + drawn("record_header", "salt", 23)
    trailing = Sealing("record_header_trailing_byte", record=True, salt=salt)
    header = Sealing("record_header_as_message", record=True, salt=salt)
    return [
        refused(
            "reserved_flag",
            "Bit 3 of the flags is reserved.",
            "malformed flags",
            reserved,
            reserved.message(flip(reserved.header().committed_bytes(), FLAGS, 0x08)),
        ),
        refused(
            "record_flag_without_salt",
            "A record header needs a shared data key: bit 1 of the flags without bit 0.",
            "malformed flags",
            no_salt,
            no_salt.message(flip(no_salt.header().committed_bytes(), FLAGS, 0x02), b""),
        ),
        refused(
            "record_header_low_bit",
            "The first bit of a record header's salt is not 1.",
            "malformed salt",
            low_bit,
        ),
        refused(
            "record_header_trailing_byte",
            "A record header ends with its commitment.",
            "malformed body",
            trailing,
            trailing.message() + b"\0",
        ),
        refused(
            "record_header_as_message",
            "A good record header, but given to the opening of messages.",
            "record_header",
            header,
            kind="message",
        ),
    ]


def entry_framing() -> list[dict]:
    def beside_ours(name: str, comment: str, refusal: str, raw: bytes) -> dict:
        return refused(name, comment, refusal, Sealing(name, before=(RawEntry(raw),)))

    def own_length(name: str, comment: str, length: bytes) -> dict:
        sealing = Sealing(name)
        sealing.own = RawEntry(bytes([Tag.SOFTWARE]) + length + sealing.own.entry)
        return refused(name, comment, "malformed length", sealing)

    return [
        beside_ours("tag_zero", "Tag 0 is refused.", "malformed tag", b"\0\x01\0"),
        beside_ours("critical_tag", "Tag 128 is refused, not skipped.", "malformed tag", b"\x80\x01\0"),
        beside_ours("critical_tag_255", "So is tag 255.", "malformed tag", b"\xff\x01\0"),
        beside_ours("length_zero", "An entry has at least one byte.", "malformed length", b"\x05\0"),
        own_length("long_varint", "The length 65 in two bytes instead of one.", b"\xc1\0"),
        own_length("long_varint_five_bytes", "The length 65 in five bytes.", b"\xc1\x80\x80\x80\0"),
        own_length("varint_over_u32", "A length of 2^32 + 65.", b"\xc1\x80\x80\x80\x10"),
        own_length("varint_six_bytes", "A length that does not end with its fifth byte.", b"\xc1\x80\x80\x80\x80\0"),
        beside_ours(
            "entry_over_limit",
            "An entry of 16384 bytes, all there.",
            "limit entry",
            b"\x05" + varint(16384) + drawn("entry_over_limit", "entry", 16384),
        ),
        beside_ours(
            "entry_over_limit_absent",
            "A length of 2^32 - 1 is over the limit before it is too long for the input.",
            "limit entry",
            b"\x05" + varint(2**32 - 1),
        ),
    ]


def entry_layouts() -> list[dict]:
    key_id, wrapped = drawn("layouts", "key id", 16), drawn("layouts", "wrapped", 48)
    share = bytes([Tag.SOFTWARE]) + key_id + b"\x01" + wrapped
    cases = [
        ("tag_1_one_byte", "A software entry of one byte.", Tag.SOFTWARE, b"\x01"),
        ("tag_2_dek_31_bytes", "A wrapped key of 47 bytes under tag 2.", Tag.KMS, key_id + b"\x01" + wrapped[:47]),
        ("tag_2_version_zero", "Key version 0 under tag 2.", Tag.KMS, key_id + b"\0" + wrapped),
        ("tag_2_version_over_u32", "Key version 2^32.", Tag.KMS, key_id + varint(2**32) + wrapped),
        ("tag_3_empty_id", "A CKA_ID has at least one byte.", Tag.PKCS11, b"\0\x01" + wrapped),
        ("tag_3_id_overruns", "A CKA_ID longer than its entry.", Tag.PKCS11, b"\xff\x01" + wrapped),
        ("tag_3_mechanism_zero", "Mechanism 0 under tag 3.", Tag.PKCS11, b"\x01\x2a\0" + wrapped),
        ("tag_3_nothing_wrapped", "No wrapped bytes under tag 3.", Tag.PKCS11, b"\x01\x2a\x01"),
        ("tag_4_version_zero", "Key version 0 under tag 4.", Tag.KMS_TOKEN, key_id + b"\0\x01" + wrapped),
        ("tag_4_mechanism_zero", "Mechanism 0 under tag 4.", Tag.KMS_TOKEN, key_id + b"\x01\0" + wrapped),
        ("tag_4_nothing_wrapped", "No wrapped bytes under tag 4.", Tag.KMS_TOKEN, key_id + b"\x01\x01"),
        ("tag_5_short", "A wrapped key of 79 bytes under tag 5.", Tag.X25519, drawn("layouts", "x25519", 95)),
        ("tag_5_long", "A wrapped key of 81 bytes under tag 5.", Tag.X25519, drawn("layouts", "x25519", 97)),
        ("tag_6_short", "A wrapped key of 1167 bytes under tag 6.", Tag.X_WING, drawn("layouts", "x-wing", 1183)),
        ("tag_6_long", "A wrapped key of 1169 bytes under tag 6.", Tag.X_WING, drawn("layouts", "x-wing", 1185)),
        *(
            (f"tag_7_{name}", comment, Tag.SHARE, key_id + numbers + inner)
            for name, comment, numbers, inner in [
                ("one_needed", "A share of which one would be enough.", b"\x01\x03\x01", share),
                ("more_needed", "More shares needed than there are.", b"\x04\x03\x01", share),
                ("seventeen_shares", "More shares than a message can have.", b"\x02\x11\x01", share),
                ("number_zero", "Shares are numbered from 1.", b"\x02\x03\x00", share),
                ("number_over", "Share 4 of 3.", b"\x02\x03\x04", share),
                ("of_a_share", "A share of a share.", b"\x02\x03\x01", b"\x07" + key_id + b"\x02\x03\x01" + share),
                ("under_tag_0", "A share under tag 0.", b"\x02\x03\x01", b"\x00" + wrapped),
                ("under_tag_128", "A share under tag 128.", b"\x02\x03\x01", b"\x80" + wrapped),
                ("short", "A share of 31 bytes.", b"\x02\x03\x01", share[:-1]),
                ("nothing_wrapped", "A share under an unknown tag, without any.", b"\x02\x03\x01", b"\x65"),
            ]
        ),
        ("tag_8_one_byte_less", "A subject's copy of 47 bytes.", Tag.SUBJECT, 2 * key_id + wrapped[:-1]),
        ("tag_8_one_byte_more", "A subject's copy of 49 bytes.", Tag.SUBJECT, 2 * key_id + wrapped + b"\0"),
        ("tag_127_empty_name", "A provider without a name.", Tag.NAMED, b"\0\x01r" + wrapped),
        ("tag_127_name_with_space", "A space in a provider's name.", Tag.NAMED, b"\x03a b\x01r" + wrapped),
        ("tag_127_name_not_ascii", "A provider's name is ASCII.", Tag.NAMED, b"\x02\xc3\xa9\x01r" + wrapped),
        ("tag_127_empty_reference", "An empty reference.", Tag.NAMED, b"\x04acme\0" + wrapped),
        ("tag_127_nothing_wrapped", "No wrapped bytes under tag 127.", Tag.NAMED, b"\x04acme\x01r"),
    ]
    beside_ours = [
        refused(name, comment, "malformed entry", Sealing(name, before=(WrappedKey(tag, entry),)))
        for name, comment, tag, entry in cases
    ]

    def only_entry(name: str, comment: str, version: bytes, data_key_len: int = 32) -> dict:
        sealing = Sealing(name)
        wrapped_bytes = drawn(name, "data key", data_key_len)
        prefix = sealing.held.key_id + version
        sealing.own = wrap_under(sealing.held, Tag.SOFTWARE, prefix, wrapped_bytes, sealing.canonical)
        return refused(name, comment, "malformed entry", sealing)

    return beside_ours + [
        only_entry("dek_31_bytes", "A data key of 31 bytes, properly wrapped.", b"\x01", 31),
        only_entry("dek_33_bytes", "A data key of 33 bytes, properly wrapped.", b"\x01", 33),
        only_entry("version_zero_key", "Key version 0.", b"\0"),
        only_entry("long_varint_key_version", "Key version 1 in two bytes.", b"\x81\0"),
    ]


def entry_lists() -> list[dict]:
    ours_twice = Sealing("duplicate_entries")
    ours_twice.after = (ours_twice.own,)
    unknown = WrappedKey(101, drawn("tag 101", "entry", 90))
    unknown_twice = Sealing("duplicate_unknown_entries", before=(unknown,), after=(unknown,))
    return [
        refused("duplicate_entries", "Our entry twice.", "malformed entries", ours_twice),
        refused(
            "duplicate_unknown_entries",
            "The same entry of an unknown tag before and after ours.",
            "malformed entries",
            unknown_twice,
        ),
    ]


def pads_and_header_limit() -> list[dict]:
    nonzero = Sealing("pad_nonzero", pad=8)
    longest = tuple(WrappedKey(tag, drawn("header_over_limit", f"entry {tag}", 16383)) for tag in (101, 102, 103))
    last = WrappedKey(104, drawn("header_over_limit", "entry 104", 16274))
    over = Sealing("header_over_limit", b"", after=(*longest, last))
    return [
        refused(
            "pad_nonzero",
            "The last byte of the pad is not zero.",
            "malformed pad",
            nonzero,
            nonzero.message(flip(nonzero.header().committed_bytes(), -1)),
        ),
        refused("pad_over_limit", "A pad of 4097 bytes.", "limit pad", Sealing("pad_over_limit", pad=4097)),
        refused("header_over_limit", "A header of 65536 bytes with its commitment.", "limit header", over),
    ]


def cuts() -> list[dict]:
    def full(name: str) -> Sealing:
        # An entry of 200 bytes, because its length takes two.
        return Sealing(name, shared=True, pad=8, before=(WrappedKey(101, drawn("tag 101", "entry", 200)),))

    committed_len = len(full("cuts").header().committed_bytes())
    places = [
        ("cut_empty", "No input at all.", 0),
        ("cut_version", "Only the version and suite.", 1),
        ("cut_flags", "Cut after the flags.", 2),
        ("cut_salt", "Cut in the salt.", 12),
        ("cut_tag", "Cut before the first tag.", 26),
        ("cut_length", "Cut in the length of an entry.", 28),
        ("cut_entry", "Cut in an entry.", 129),
        ("cut_second_tag", "Cut before the second of two tags.", 229),
        ("cut_pad_length", "Cut in the length of the pad.", committed_len - 9),
        ("cut_pad", "Cut in the pad.", committed_len - 4),
        ("cut_commitment", "Cut in the commitment.", committed_len + 31),
        ("message_cut_to_header", "Cut to the header: truncated, and no record header.", committed_len + 32),
    ]
    return [
        broken(name, comment, "truncated", full(name), lambda message, length=length: message[:length])
        for name, comment, length in places
    ]


def order_of_checks() -> list[dict]:
    duplicates = Sealing("order_entries_before_pad", pad=4097)
    duplicates.after = (duplicates.own,)
    later_tag = Sealing("order_entry_before_later_tag", before=(WrappedKey(Tag.SOFTWARE, b"\x01"),))
    later_tag.after = (RawEntry(b"\0\x01\0"),)
    return [
        broken(
            "order_suite_before_flags",
            "An unknown suite and a reserved flag: the suite is looked at first.",
            "unsupported_suite",
            Sealing("order_suite_before_flags"),
            lambda message: b"\x13" + flip(message, FLAGS, 0x08)[1:],
        ),
        broken(
            "order_flags_before_salt",
            "A reserved flag, and cut in the salt: the flags are looked at first.",
            "malformed flags",
            Sealing("order_flags_before_salt", shared=True),
            lambda message: flip(message, FLAGS, 0x08)[:12],
        ),
        broken(
            "order_tag_before_length",
            "Tag 0, and nothing behind.",
            "malformed tag",
            Sealing("order_tag_before_length"),
            lambda message: message[:TAG] + b"\0",
        ),
        broken(
            "order_cut_before_layout",
            "A software entry of length 1 whose byte is missing: cut first, too short second.",
            "truncated",
            Sealing("order_cut_before_layout"),
            lambda message: message[:LENGTH] + b"\x01",
        ),
        refused(
            "order_entry_before_later_tag",
            "A bad first entry and a bad tag in the third: they are read in order.",
            "malformed entry",
            later_tag,
        ),
        refused(
            "order_entries_before_pad",
            "An entry twice, and too long a pad: the entries are looked at first.",
            "malformed entries",
            duplicates,
        ),
    ]
