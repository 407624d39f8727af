"""The encodings that tokens and keys are written in: text in, bytes out, None for what isn't one.

Rule: nothing is raised, and no input takes more than its length squared (Base58 alone; all others are linear).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

BASE36 = b"0123456789abcdefghijklmnopqrstuvwxyz"
BASE58 = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BASE62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BECH32 = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l"

BASE58_CHARS = 200
"""More than any key that is checked has (an extended one has 111)."""

_BECH32_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")


def encode_number(number: int, alphabet: bytes, width: int) -> bytes:
    """The digits of a number, the first of the alphabet before them up to the width."""
    digits = bytearray()
    while number:
        number, digit = divmod(number, len(alphabet))
        digits.append(alphabet[digit])
    return bytes(reversed(digits)).rjust(width, alphabet[:1])


def decode_base64(text: bytes) -> bytes | None:
    """Of either alphabet, without padding; None for a length that no bytes have, and anything else between."""
    standard = text.translate(_FROM_URL)
    if len(standard) % 4 == 1 or _BASE64.fullmatch(standard) is None:
        return None
    return base64.b64decode(standard + b"=" * (-len(standard) % 4))


_FROM_URL = bytes.maketrans(b"-_", b"+/")


def decode_base32(text: bytes) -> bytes | None:
    """RFC 4648, upper case, without padding."""
    try:
        return base64.b32decode(text + b"=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return None


def decode_base58check(text: bytes) -> bytes | None:
    """Without its four bytes of checksum, which must be right."""
    if len(text) > BASE58_CHARS or not all(byte in BASE58 for byte in text):
        return None
    number = 0
    for byte in text:
        number = number * 58 + BASE58.index(byte)
    zeros = len(text) - len(text.lstrip(b"1"))
    raw = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    body, checksum = raw[:-4], raw[-4:]
    return body if hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4] == checksum else None


def decode_bech32(text: bytes) -> bytes | None:
    """The bytes of a Bech32 text (BIP 173), in one case; its length is not bounded by 90, as age has it."""
    lower = text.lower()
    if text not in (lower, text.upper()):
        return None
    prefix, _, data = lower.rpartition(b"1")
    if (
        not prefix
        or not all(33 <= byte <= 126 for byte in prefix)
        or len(data) < 6
        or not all(byte in BECH32 for byte in data)
    ):
        return None
    values = [BECH32.index(byte) for byte in data]
    expanded = [byte >> 5 for byte in prefix] + [0] + [byte & 31 for byte in prefix]
    if _bech32_polymod(expanded + values) != 1:
        return None
    number = 0
    for value in values[:-6]:
        number = number << 5 | value
    bits = 5 * len(values[:-6])
    spare = bits % 8
    if spare > 4 or number & ((1 << spare) - 1):
        return None
    return (number >> spare).to_bytes(bits // 8, "big")


def _bech32_polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for place, factor in enumerate(_BECH32_GENERATOR):
            checksum ^= factor if top >> place & 1 else 0
    return checksum
