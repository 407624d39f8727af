"""By what encoded text is known: triggers, cheap patterns that say "perhaps", and signatures, that say what and where.

Rule 1: a trigger matches where its signature does, if that is of 18 bytes and more. Ordinary JSON, prose and source
        code rarely have any.
Rule 2: signatures are of encoded ASCII, whose high bits are 0, and of the first bytes of what is compressed. What is
        random (hashes, images, identifiers) has hardly any: in base64 2 of 100,000 places, in hex 1 of a million.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Final

from trio_egress.content.nearby import RUN
from trio_egress.content.order_words import APART, DIGITS


class Encoding(enum.Enum):
    """By what findings call it."""

    PERCENT = "percent"
    BACKSLASH = "escaped"
    HTML = "html"
    BASE64 = "base64"
    BASE32 = "base32"
    HEX = "hex"
    DECIMAL = "decimal"
    UTF16 = "utf-16"
    GZIP = "gzip"
    ZLIB = "zlib"
    ZIP = "zip"
    APART = "apart"
    DIGITS = "digits"


_WORDS: Final = "(?i:key|token|secret|passw|auth|cred)[A-Za-z0-9_-]{0,20}"

RUN_TRIGGER: Final = f"(?P<run_of_what_is_encoded>{RUN})"
"""ASCII in base64 has no `+` and `/` but for few characters, so a run of letters and digits is enough.

Named, so that it is nobody else's pattern: an engine may know better what stands about runs (`ABOUT_RUNS`).
"""

_DECIMALS: Final = "(?:[0-9]{1,3}(?:, ?| )){6}[0-9]"
_HEX_APART: Final = r"(?:[2-7][0-9A-Fa-f][ :,_.\-][ ]?(?:0x|\\x)?){10}"
_WIDE: Final = r"(?:[\x20-\x7e]\x00){12}"

WITHOUT_WORDS: Final = frozenset({_DECIMALS, _HEX_APART, _WIDE})
"""Of those below: classes alone. An engine that looks for words looks for them apart."""

TRIGGERS: Final[Mapping[str, tuple[Encoding, ...]]] = {
    RUN_TRIGGER: (Encoding.BASE64, Encoding.BASE32, Encoding.HEX),
    # What begins as gzip, zip, and zlib of any level does.
    "H4sI|UEsDB": (Encoding.BASE64,),
    "e(?:J[w-z]|A[E-H]|N[o-r]|F[4-7])[A-Za-z0-9+/_-]{20}": (Encoding.BASE64,),
    _HEX_APART: (Encoding.HEX,),
    r"1[fF][ :,\-]8[bB][ :,\-]08": (Encoding.HEX,),
    _DECIMALS: (Encoding.DECIMAL,),
    "%[2-7][0-9A-Fa-f]": (Encoding.PERCENT,),
    # An escaped letter or digit; a slash within a word; a quoted value of a name. One before
    # what is a token is known by the token (`Views.escape`).
    r"\\(?:u00|x)[2-7][0-9A-Fa-f]|[A-Za-z0-9+]\\/[A-Za-z0-9+]": (Encoding.BACKSLASH,),
    rf"{_WORDS}(?:\\{{1,3}}[\x22'])? ?[:=] ?\\{{1,3}}[\x22'][^\s\\]{{10}}": (Encoding.BACKSLASH,),
    # What detectors know by a word, which is none with an escape's letter before it; or by several lines.
    r"\\[nrt](?i:authorization: |machine |privatekey = )|\\{1,3}\x22kty\\": (Encoding.BACKSLASH,),
    r"(?:PuTTY-User-Key-File-|untrusted comment: )[^\n\\]*\\[rn]": (Encoding.BACKSLASH,),
    "&#[xX0-9]|&quot;|&amp;(?:#|quot|apos)|&(?:lowbar|plus|equals|sol|colon|period|num|percnt|commat|dash);": (
        Encoding.HTML,
    ),
    _WIDE: (Encoding.UTF16,),
    r"\x1f\x8b\x08": (Encoding.GZIP,),
    r"^x[\x01\x5e\x9c\xda]": (Encoding.ZLIB,),
    r"PK\x03\x04": (Encoding.ZIP,),
}
"""Patterns of RE2, and of which encodings each may be a sign. They are looked for together with detectors."""

TRIGGERS_OF_TEXT: Final[Mapping[str, tuple[Encoding, ...]]] = {
    # Escaped letters of other scripts: of instructions alone, which are looked for in what is received.
    r"\\u(?:0(?:0[c-fC-F]|[1-9A-Fa-f])|1[eE])|\\u[3-9a-dA-D][0-9A-Fa-f]{3}\\{1,4}u[3-9a-dA-D]": (
        Encoding.BACKSLASH,
    ),
    **dict.fromkeys(APART, (Encoding.APART,)),
    DIGITS: (Encoding.DIGITS,),
}

_64: Final = "[A-Za-z0-9+/_-]"
_ASCII64: Final = f"[CDI-Za-f][ACDEFGHQSTUVWXgijklmnwyz0123][ABEFIJMNQRUVYZcdghklopstwx014589]{_64}"
"""Three bytes of ASCII, wherever the printable of each is in its six bits."""
_WIDE64: Final = f"[I-Za-f][AQgw][AB]{_64}A[C-H][AEIMQUYcgkosw048]A"
"""Three characters of ASCII in UTF-16, little endian."""
_ASCII32: Final = (
    "[BE-P][ABEFIJMNQRUVYZ45][A-Z2-7][ACDEFGHQSTUVWX][ACEGIKMOQSUWY246][CDI-Z2-7][A-DI-LQ-TYZ23][A-Z2-7]"
)
"""Five bytes of ASCII."""


def _lower(pattern: str) -> str:
    return re.sub("[A-Z]", lambda found: found[0].lower(), pattern)


_BYTE16: Final = "(?:[2-7][0-9A-Fa-f]|0[9ADad])"
_BETWEEN16: Final = r"(?:[ :,_.\-]? ?(?:0x|\\x)?)"
_BYTE10: Final = "(?:3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6]|9|10|13)"

BASE64: Final = f"(?:{_ASCII64}){{5,}}|(?:{_WIDE64}){{3,}}|(?:H4sI|UEsDBB){_64}{{16}}"
BASE64_ZLIB: Final = f"e(?:J[w-z]|A[E-H]|N[o-r]|F[4-7]){_64}{{20}}"
BASE32: Final = f"(?:{_ASCII32}){{3,}}|(?:{_lower(_ASCII32)}){{3,}}|[Dd]6[Ff][Qq][Qq][A-Za-z2-7]{{16}}"
_GZIP16: Final = f"1[fF]{_BETWEEN16}8[bB]{_BETWEEN16}08"
HEX: Final = f"(?:{_BYTE16}{_BETWEEN16}){{14}}|(?:{_BYTE16}00){{8}}|{_GZIP16}|504[bB]0304"
HEX_RUN: Final = rf"(?:[0-9A-Fa-f]{{2}}(?:\r?\n|{_BETWEEN16}))+"
DECIMAL: Final = f"(?:{_BYTE10}(?:, ?| )){{11}}|31, ?139, ?8, ?"
DECIMAL_RUN: Final = "(?:[0-9]{1,3}(?:, ?| ))+[0-9]{1,3}"
WORD: Final = "[!#-;=?-~]"
"""Of addresses and forms: what a word with percents in it is made of."""

UTF16_RUN: Final = r"(?:[\t\n\r\x20-\x7e]\x00){11,}[\t\n\r\x20-\x7e]?"

_RUNS: Final = "|".join((BASE64, BASE64_ZLIB, BASE32, HEX))
SIGNS: Final[Mapping[str, str]] = {
    RUN_TRIGGER: _RUNS,
    "H4sI|UEsDB": _RUNS,
    _DECIMALS: DECIMAL,
}
"""What is tried before anything is decoded, where a trigger is in one message in ten: what its decoders look for."""

NEAR_RUNS: Final = frozenset({RUN_TRIGGER})
"""Of these it is tried near runs alone (`content.nearby`)."""

_WORDS64: Final = f"(?:{_WIDE64}){{3}}|(?:H4sI|UEsDBB){_64}{{16}}|{BASE64_ZLIB}"
ABOUT_RUNS: Final = (
    f"{_WORDS64}|[Dd]6[Ff][Qq][Qq]|(?:{_BYTE16}00){{8}}|{_GZIP16}|504[bB]0304",
    f"(?:{_ASCII64}){{5}}",
    "[A-Z2-7]{24}|[a-z2-7]{24}",
    f"(?:{_BYTE16}{_BETWEEN16}){{14}}",
)
"""One of them matches wherever `SIGNS` of RUN_TRIGGER does. Only the first has words in it: together they take an
engine half again as long as one after another."""
