"""Every value of a run is found however programs spell it, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import random
import string
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.content.detector import Way
from trio_egress.content.exact import (
    LEAST_BYTES,
    MOST_VALUES,
    PIECE_BYTES,
    WHOLE_BYTES,
    Exact,
    list_detectors,
    pick_pieces,
)
from trio_egress.content.pattern import compile_pattern
from trio_egress.content.scanner import Scanner
from trio_egress.model import Kind

TOKEN = "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=40)).encode()
AWKWARD = TOKEN[:8] + b"/+=& \"'<>\\%\n\t" + "é€😀".encode() + TOKEN[8:16]
BINARY = bytes(random.Random(8).randbytes(24))
LONG = (
    b"-----BEGIN A KEY-----\n"
    + base64.encodebytes(random.Random(9).randbytes(1200))
    + b"-----END A KEY-----\n"
)

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "percent": lambda text: quote(text, safe=""),
    "percent, slashes as they are": quote,
    "percent, lower case": lambda text: "".join(
        c if c.isascii() and c.isalnum() else "".join(f"%{b:02x}" for b in c.encode()) for c in text
    ),
    "form": quote_plus,
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form twice": lambda text: quote_plus(quote_plus(text)),
    "each character by a percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "each character by two": lambda text: "".join(f"%25{byte:02X}" for byte in text.encode()),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON as UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON of Go": lambda text: (
        json.dumps(text)[1:-1].replace("<", "\\u003c").replace(">", "\\u003E").replace("&", "\\u0026")
    ),
    "each character by \\u": lambda text: "".join(
        f"\\u{unit:04x}" for unit in memoryview(text.encode("utf-16")[2:]).cast("H")
    ),
    "each byte by \\x": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "HTML": html.escape,
    "HTML without quotes": lambda text: html.escape(text, quote=False),
    "HTML twice": lambda text: html.escape(html.escape(text)),
    "HTML numbers": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "HTML hex": lambda text: "".join(f"&#x{ord(char):x};" for char in text),
    "JSON in a form": lambda text: quote_plus(json.dumps(text)[1:-1]),
    "reversed": lambda text: text[::-1],
}

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "base64 for URLs": base64.urlsafe_b64encode,
    "base64 in a form": lambda raw: quote(base64.b64encode(raw), safe="").encode(),
    "base64 in JSON of PHP": lambda raw: base64.b64encode(raw).replace(b"/", rb"\/"),
    "base32": base64.b32encode,
    "base32, lower case": lambda raw: base64.b32encode(raw).lower(),
    "base32hex": base64.b32hexencode,
    "hex": lambda raw: raw.hex().encode(),
    "hex, upper case": base64.b16encode,
    "hex by colons": lambda raw: raw.hex(":").encode(),
    "hex by spaces": lambda raw: raw.hex(" ").upper().encode(),
    "hex by commas": lambda raw: ", ".join(f"0x{byte:02x}" for byte in raw).encode(),
    "hex of xxd": lambda raw: raw.hex(" ", -2).encode(),
    "hex of hexdump": lambda raw: raw.hex(" ", 2).encode(),
    "an array of JSON": lambda raw: json.dumps(list(raw)).encode(),
    "an array without spaces": lambda raw: json.dumps(list(raw), separators=(",", ":")).encode(),
}


def find(value: bytes, message: bytes) -> set[tuple[str, ...]]:
    """By which spellings it is found."""
    return {via for via, pattern in compile_patterns(value) if pattern.search(message)}


@lru_cache(maxsize=8)
def compile_patterns(value: bytes) -> list[tuple[tuple[str, ...], Any]]:
    detectors = list_detectors([Exact("it", value)])
    return [(detector.via, compile_pattern(detector.pattern, "")) for detector in detectors]


@pytest.mark.parametrize("value", [TOKEN, AWKWARD, LONG], ids=["token", "awkward", "long"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_value_is_found_in_every_spelling_of_a_text(value: bytes, spelling: str) -> None:
    text = SPELLINGS[spelling](value.decode())
    assert find(value, f"before {text} after".encode())


@pytest.mark.parametrize("value", [TOKEN, AWKWARD, LONG, BINARY], ids=["token", "awkward", "long", "binary"])
@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("coding", CODINGS)
def test_a_value_is_found_wherever_it_stands_in_what_is_encoded(
    value: bytes, coding: str, before: int
) -> None:
    assert find(value, b"x=" + CODINGS[coding](b"~" * before + value + b"~" * (5 - before)))


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be", "utf-16"])
@pytest.mark.parametrize("value", [TOKEN, AWKWARD, LONG], ids=["token", "awkward", "long"])
def test_a_value_is_found_in_utf16(value: bytes, order: str) -> None:
    assert ("utf-16",) in find(value, ("before " + value.decode() + " after").encode(order))


def test_latin1_is_found_as_bytes() -> None:
    value = "Paßwörter-Zürich".encode("latin-1")
    assert () in find(value, b"x" + value + b"y")
    assert find(value, quote(value).encode()) == {("escaped",)}


@pytest.mark.parametrize(
    ("spelt", "via"),
    [
        (TOKEN, ()),
        (quote("".join(f"%{byte:02x}" for byte in TOKEN)).encode(), ("escaped",)),
        (base64.b64encode(TOKEN), ("base64",)),
        (base64.b32encode(TOKEN), ("base32",)),
        (TOKEN.hex().encode(), ("hex",)),
        (json.dumps(list(TOKEN)).encode(), ("decimal",)),
        (TOKEN[::-1], ("reversed",)),
        (TOKEN.decode().encode("utf-16"), ("utf-16",)),
    ],
)
def test_a_finding_says_how_it_was_spelt(spelt: bytes, via: tuple[str, ...]) -> None:
    assert find(TOKEN, spelt) == {via}


@settings(max_examples=30)
@given(st.binary(min_size=LEAST_BYTES, max_size=200), st.binary(max_size=20), st.binary(max_size=20))
def test_any_value_is_found_plain_and_encoded_among_any_bytes(
    value: bytes, before: bytes, after: bytes
) -> None:
    around = before + value + after
    assert () in find(value, around)
    assert ("base64",) in find(value, base64.b64encode(around))
    assert ("base32",) in find(value, base64.b32encode(around))
    assert ("hex",) in find(value, around.hex().encode())
    assert ("escaped",) in find(value, "".join(f"%{byte:02x}" for byte in around).encode())


def test_a_long_value_is_known_by_pieces_that_are_not_its_beginning() -> None:
    key = random.Random(1).randbytes(600)
    claims = "".join(random.Random(2).choices(string.ascii_letters + string.digits + "-_", k=300))
    form = base64.b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    token = f"{form}.{claims}".encode()
    pem = b"-----BEGIN A KEY-----\n" + base64.encodebytes(key) + b"-----END A KEY-----\n"
    for value in (token, pem):
        pieces = pick_pieces(value)
        assert len(pieces) == 2
        for piece in pieces:
            assert len(piece) == PIECE_BYTES
            assert value.index(piece) > len(form)
            assert b"KEY" not in piece
            assert b"\n" not in piece


@pytest.mark.parametrize("size", [LEAST_BYTES, WHOLE_BYTES, WHOLE_BYTES + 1, 105, 65_536])
def test_patterns_are_bounded_whatever_the_value(size: int) -> None:
    value = bytes(random.Random(size).choices(b'"\\/+ \n' + bytes(range(128, 256)), k=size))
    detectors = list_detectors([Exact("it", value)])
    assert len(detectors) <= 8
    assert sum(len(detector.pattern) for detector in detectors) < 100_000
    assert () in find(value, value)


def test_a_value_shorter_than_the_least_is_refused() -> None:
    with pytest.raises(ValueError, match=f"it has fewer than {LEAST_BYTES} bytes"):
        list_detectors([Exact("it", b"x" * (LEAST_BYTES - 1))])


def test_more_values_than_the_most_are_refused() -> None:
    values = [Exact(f"v{number}", b"%08d" % number) for number in range(MOST_VALUES + 1)]
    assert list_detectors(values[1:])
    with pytest.raises(ValueError, match=f"{MOST_VALUES} are the most"):
        list_detectors(values)


def test_detectors_have_the_name_and_kind_of_their_value_and_show_it_nowhere() -> None:
    exact = Exact("canary:decoy", TOKEN, Kind.CANARY, "a decoy")
    assert TOKEN.decode() not in repr(exact)
    for detector in list_detectors([exact]):
        assert (detector.name, detector.kind, detector.description) == (
            "canary:decoy",
            Kind.CANARY,
            "a decoy",
        )


def test_a_finding_is_of_the_value_however_it_was_spelt() -> None:
    scanner = Scanner([], list_detectors([Exact("it", TOKEN)]))
    message = b"x" * 100_000 + base64.b64encode(b"token=" + TOKEN) + b" " + TOKEN
    assert [(each.via, each.value) for each in scanner.scan(message, Way.OUT)] == [
        (("base64",), TOKEN),
        ((), TOKEN),
    ]


def test_nothing_is_found_in_what_is_not_it() -> None:
    chance = random.Random(3)
    noise = base64.b64encode(chance.randbytes(100_000)) + chance.randbytes(100_000)
    prose = b'An ordinary text, with words and 1234567890 figures, {"and": [1, 2, 3]} some JSON.\n' * 500
    for value in (TOKEN, AWKWARD, BINARY, LONG):
        assert find(value, noise + prose + value[: LEAST_BYTES - 1]) == set()
