"""What a value must stand up to, where its format has a checksum or a structure of its own.

A check takes the value of a match, all of it, and says whether it can be one. Each names where its format is described.

Rule 1: no check raises, whatever the bytes; what can't be read is not one.
Rule 2: a check is only as strict as what the service documents or its own code shows: it may let a wrong value by,
and never takes a right one for wrong.
"""

from __future__ import annotations

import binascii
import json
import re
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from trio_egress.content.alphabets import (
    BASE36,
    BASE62,
    decode_base32,
    decode_base58check,
    decode_base64,
    decode_bech32,
    encode_number,
)

Check = Callable[[bytes], bool]


def find_check(name: str) -> Check:
    """Raises LookupError."""
    return CHECKS[name]


def check_crc62(value: bytes) -> bool:
    """A prefix that ends in `_`, a body, and six digits in base 62: the CRC-32 of the body.

    GitHub ("Behind GitHub's new authentication token formats", 2021), npm (2021).
    """
    body = value.rpartition(b"_")[2]
    return len(body) > 6 and encode_number(zlib.crc32(body[:-6]), BASE62, 6) == body[-6:]


def check_vercel(value: bytes) -> bool:
    """Of what stands after the first `_`, as in `check_crc62`; a body may have more of them (Vercel)."""
    body = value.partition(b"_")[2]
    return len(body) > 6 and encode_number(zlib.crc32(body[:-6]), BASE62, 6) == body[-6:]


def check_gitlab_routable(value: bytes) -> bool:
    """Of version 01, at the end seven digits in base 36: the CRC-32 of all before them (GitLab, routable tokens)."""
    head, digits = value[:-7], value[-7:]
    return b".01." not in head or encode_number(zlib.crc32(head), BASE36, 7) == digits


def check_grafana(value: bytes) -> bool:
    """Hexadecimal after the last `_`: the CRC-32 of what stands before it, little-endian (Grafana, satokengen)."""
    head, _, digits = value.rpartition(b"_")
    return zlib.crc32(head).to_bytes(4, "little").hex().encode() == digits


def check_zuplo(value: bytes) -> bool:
    """Eight hexadecimal digits after the last `_`: the CRC-32 of the part before it (Zuplo)."""
    head, _, digits = value.rpartition(b"_")
    return f"{zlib.crc32(head.rpartition(b'_')[2]):08x}".encode() == digits.lower()


def check_luhn(value: bytes) -> bool:
    """The last digit of a card's number (ISO/IEC 7812-1), of 12 to 19; spaces and hyphens between are none of them."""
    digits = [byte - 48 for byte in value if 48 <= byte <= 57]
    if not 12 <= len(digits) <= 19 or len(set(digits)) < 3:
        return False
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[::-2])) % 10 == 0


def check_iban(value: bytes) -> bool:
    """The two check digits of an IBAN (ISO 13616), and its country's length."""
    text = value.replace(b" ", b"").upper()
    if not text.isalnum() or _IBAN_LENGTHS.get(text[:2].decode("latin-1")) != len(text):
        return False
    return int("".join(str(int(chr(byte), 36)) for byte in text[4:] + text[:4])) % 97 == 1


_IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FI", "FO", "GL", "NL"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
}


def check_wif(value: bytes) -> bool:
    """A private key of Bitcoin: version 0x80 (0xef in its test networks), 32 bytes, perhaps 0x01, Base58Check."""
    body = decode_base58check(value)
    if body is None or body[:1] not in (b"\x80", b"\xef"):
        return False
    return len(body) == 33 or (len(body) == 34 and body[-1] == 1)


def check_extended_key(value: bytes) -> bool:
    """An extended private key (BIP 32): 78 bytes in Base58Check, of which the key's 33 begin with 0."""
    body = decode_base58check(value)
    return body is not None and len(body) == 78 and body[45] == 0


def check_bech32(value: bytes) -> bool:
    """The six characters at the end of Bech32 (BIP 173), as in age's identities and Nostr's `nsec1`, of 32 bytes."""
    decoded = decode_bech32(value)
    return decoded is not None and len(decoded) == 32


def check_stellar_seed(value: bytes) -> bool:
    """A secret seed of Stellar (SEP 23): version 0x90, 32 bytes, CRC-16 (XModem) of them, little-endian."""
    raw = decode_base32(value)
    if raw is None or len(raw) != 35 or raw[0] != 0x90:
        return False
    return binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little") == raw[-2:]


def check_jwt(value: bytes) -> bool:
    """Three parts, of which the first two are JSON objects, and the first names an algorithm (RFC 7519, RFC 7515)."""
    parts = value.split(b".")
    if len(parts) != 3:
        return False
    header, claims = (_read_object(part) for part in parts[:2])
    return (
        header is not None
        and claims is not None
        and isinstance(header.get("alg"), str)
        and header["alg"] != "none"
    )


def check_jwe(value: bytes) -> bool:
    """Five parts, of which the first is a JSON object that names `alg` and `enc` (RFC 7516)."""
    header = _read_object(value.split(b".")[0]) if value.count(b".") == 4 else None
    return header is not None and "alg" in header and "enc" in header


def _read_object(part: bytes) -> dict[str, object] | None:
    raw = decode_base64(part)
    try:
        found = None if raw is None else json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)(?:-----END|\Z)", re.DOTALL)
_PEM_FIELD = re.compile(rb"(?m)^[A-Za-z0-9-]+: [^\n]*\n")
_NOT_BASE64 = re.compile(rb"\\r|\\n|\\t|[^A-Za-z0-9+/=]+")
_ENDS = re.compile(rb"=[A-Za-z0-9+/]{4}$")


def check_pem(value: bytes) -> bool:
    """A private key in PEM (RFC 7468), or the first of it: base64 of DER, of OpenSSH's or of OpenPGP's binary form.

    Line ends may be escaped, as in JSON. Where only the BEGIN line and some of the body are there, that is enough.
    """
    found = _PEM.search(value)
    if found is None:
        return False
    label, text = found[1], found[2].replace(b"\\r", b"").replace(b"\\n", b"\n").replace(b"\r", b"")
    encrypted = b"ENCRYPTED" in text or b"ENCRYPTED" in label
    body = _NOT_BASE64.sub(b"", _PEM_FIELD.sub(b"", text))
    raw = decode_base64(_ENDS.sub(b"", body)[: len(body) // 4 * 4].rstrip(b"="))
    if raw is None or len(raw) < 32:
        return False
    if b"OPENSSH" in label:
        return raw.startswith(b"openssh-key-v1\0")
    if b"PGP" in label:
        return raw[0] & 0x80 != 0 and (raw[0] & 0x3F in (5, 7) or (raw[0] & 0x7C) >> 2 in (5, 7))
    return encrypted or (raw[0] == 0x30 and raw[1] >= 0x20)


def check_aws_key_id(value: bytes) -> bool:
    """Four letters of kind, and 16 characters of base 32, in which the account stands (AWS, IAM identifiers)."""
    return len(value) == 20 and decode_base32(value[4:]) is not None and len(set(value[4:])) > 5


def check_base64_of(length: int) -> Check:
    """Base64 of so many bytes, which are not text."""

    def check(value: bytes) -> bool:
        raw = decode_base64(value.rstrip(b"="))
        return raw is not None and len(raw) == length and not raw.isascii()

    return check


def check_macaroon(value: bytes) -> bool:
    """After the prefix a macaroon of version 2 (PyPI): 0x02, 0x01, a length, and a location, which is a host."""
    raw = decode_base64(value.partition(b"-")[2].rstrip(b"="))
    if raw is None or len(raw) < 40 or raw[:2] != b"\x02\x01":
        return False
    location = raw[3 : 3 + raw[2]]
    return b"." in location and location.isascii()


def check_discord(value: bytes) -> bool:
    """Three parts, the first base64 of the account's number (Discord)."""
    number = decode_base64(value.split(b".")[0])
    return number is not None and number.isdigit() and 15 <= len(number) <= 20


def check_basic(value: bytes) -> bool:
    """Base64 of `user:password`, both printable, and a password that is there (RFC 7617)."""
    raw = decode_base64(value.rstrip(b"="))
    if raw is None or any(byte < 32 or byte == 127 for byte in raw):
        return False
    user, colon, password = raw.partition(b":")
    return bool(colon) and len(password) >= 4 and b" " not in user


def check_minisign(value: bytes) -> bool:
    """A secret key of minisign (158 bytes) or signify (104), which begins with its algorithm, `Ed`."""
    raw = decode_base64(value.rstrip(b"="))
    return raw is not None and raw[:2] == b"Ed" and len(raw) in (104, 158)


def check_mixed(value: bytes) -> bool:
    """Has digits, and not alone, as what is random; and is no path and no URL."""
    digits = sum(48 <= byte <= 57 for byte in value)
    return 0 < digits < len(value) and value[:1] not in b"/.~" and b"://" not in value


def check_no_words(value: bytes) -> bool:
    """Is no base64 of words with blanks between them, as examples have in the place of a password."""
    raw = decode_base64(value.rstrip(b"="))
    words = raw is not None and b" " in raw.strip() and all(32 <= byte < 127 for byte in raw)
    return bool(value) and not words


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "aws-key-id": check_aws_key_id,
        "base64-30": check_base64_of(30),
        "base64-32": check_base64_of(32),
        "base64-64": check_base64_of(64),
        "basic": check_basic,
        "bech32": check_bech32,
        "crc62": check_crc62,
        "discord": check_discord,
        "extended-key": check_extended_key,
        "gitlab-routable": check_gitlab_routable,
        "grafana": check_grafana,
        "iban": check_iban,
        "jwe": check_jwe,
        "jwt": check_jwt,
        "luhn": check_luhn,
        "macaroon": check_macaroon,
        "minisign": check_minisign,
        "mixed": check_mixed,
        "no-words": check_no_words,
        "pem": check_pem,
        "stellar-seed": check_stellar_seed,
        "wif": check_wif,
        "vercel": check_vercel,
        "zuplo": check_zuplo,
    }
)
"""By the names that rule files have for them."""
