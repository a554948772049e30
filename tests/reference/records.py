"""Records of waxseal format v1, written from the text of the format: sealed under a header that is kept apart."""

from cryptography.exceptions import InvalidTag

from keys import HeldKey, record_key
from waxseal_reference import CIPHERS, assemble, unwrap_committed
from wire import (
    HEADER_ID_LEN,
    Header,
    Parsed,
    Record,
    Refused,
    canonical_context,
    check_aad,
    check_record_plaintext,
    parse,
    parse_record,
)

MAX_CANDIDATES = 8


def make_header(key: HeldKey, data_key: bytes, context: dict[str, str], salt: bytes, suite: int = 1) -> bytes:
    context = canonical_context(context)
    header = Header(suite, salt, [key.wrap(data_key, context)], record=True)
    made = assemble(header, data_key, context, b"")
    parse(made)  # the reader's rules bind the writer too
    return made


def seal_record(
    plaintext: bytes, header: Header, data_key: bytes, context: dict[str, str], nonce: bytes, aad: bytes = b""
) -> bytes:
    check_aad(aad)
    check_record_plaintext(len(plaintext))
    cipher = CIPHERS[header.suite](record_key(data_key, header, canonical_context(context)))
    return Record(header_id(header), nonce, cipher.encrypt(nonce, plaintext, aad)).to_bytes()


def open_record(sealed: bytes, headers: list[bytes], key: HeldKey, context: dict[str, str], aad: bytes = b"") -> bytes:
    """`headers` are those that were kept under the record's header id."""
    context = canonical_context(context)
    check_aad(aad)
    record = parse_record(sealed)
    if len(headers) > MAX_CANDIDATES:
        raise Refused("limit", "candidates")
    ciphers, refusals = open_headers(headers, record, key, context)
    opened = [plaintext for cipher in ciphers if (plaintext := try_open(cipher, record, aad)) is not None]
    if len(opened) == 1:
        return opened[0]
    if ciphers:
        refusals.append(Refused("decrypt"))
    raise most_telling(refusals) if not opened else Refused("decrypt")


def open_headers(headers: list[bytes], record: Record, key: HeldKey, context: bytes) -> tuple[list, list[Refused]]:
    """A cipher for each different record key, and why other headers gave none."""
    keys, refusals = {}, []
    for header in headers:
        try:
            parsed = parse_header(header)
            if header_id(parsed.header) == record.header_id:
                data_key = unwrap_committed(parsed, key, context)
                keys[record_key(data_key, parsed.header, context)] = parsed.header.suite
        except Refused as refusal:
            refusals.append(refusal)
    return [CIPHERS[suite](key) for key, suite in keys.items()], refusals


def parse_header(header: bytes) -> Parsed:
    parsed = parse(header)
    if not parsed.header.record:
        raise Refused("message_header")
    return parsed


def try_open(cipher, record: Record, aad: bytes) -> bytes | None:
    try:
        return cipher.decrypt(record.nonce, record.ciphertext_and_tag, aad)
    except InvalidTag:
        return None


def most_telling(refusals: list[Refused]) -> Refused:
    about_keys = ["other_key", "decrypt"]
    ranked = {refusal.error: refusal for refusal in reversed(refusals)}
    for refusal in refusals:
        if refusal.error not in about_keys:
            return refusal
    return ranked.get("decrypt") or ranked.get("other_key") or Refused("unknown_header")


def header_id(header: Header) -> bytes:
    return header.salt[:HEADER_ID_LEN]
