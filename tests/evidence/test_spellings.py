"""A value is found however it is spelt, and only where it stands."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.evidence.spellings import Finder

TOKEN = "sk-Live_9f3A7c51+D2e8/b640="
VALUES = (TOKEN, "a\"b\\c/d e\tf'.g%h", "pässwörd€😀", "C:\\\\dir\\\\file", "%41%2541-tail")


def ways(value: str) -> dict[str, str]:
    """The value as clients, encoders and languages write it."""
    raw = value.encode()
    found = {
        "raw": value,
        "percent": quote(value),
        "every percent": quote(value, safe=""),
        "form": quote_plus(value),
        "percent twice": quote(quote(value)),
        "all percent": "".join(f"%{byte:02X}" for byte in raw),
        "lower percent": "".join(f"%{byte:02x}" for byte in raw),
        "json": json.dumps(value)[1:-1],
        "json in json": json.dumps(json.dumps(value))[3:-3],
        "json with slashes": json.dumps(value)[1:-1].replace("/", "\\/"),
        "ascii": ascii(value)[1:-1],
        "bytes": repr(raw)[2:-1],
        "latin-1": raw.decode("latin-1"),
        "hex": raw.hex(),
        "upper hex": raw.hex().upper(),
        "half percent": "".join(quote(c, safe="") if i % 2 else c for i, c in enumerate(value)),
    }
    for before in (b"", b"u", b"us", b"user:"):
        for after in (b"", b"!", b"!!"):
            whole = before + raw + after
            name = f"base64 {before!r} {after!r}"
            found[name] = base64.b64encode(whole).decode()
            found[f"url-safe {name}"] = base64.urlsafe_b64encode(whole).decode()
            found[f"percent {name}"] = quote(base64.b64encode(whole).decode(), safe="")
    return found


@pytest.mark.parametrize("value", VALUES)
def test_every_spelling_is_found_and_nothing_beside_it(value: str) -> None:
    finder = Finder({"other": b"something-else", "it": value.encode()})
    for way, spelt in ways(value).items():
        text = f"GET /~{spelt}~ x"
        assert finder.may_hold(text), way
        ((start, end, name),) = finder.find(text)
        assert name == "it"
        if "base64" not in way:
            assert text[start:end] == spelt, way


@pytest.mark.parametrize("before", [b"", b"a", b"ab"])
def test_no_character_of_base64_that_has_bits_of_the_value_stays(before: bytes) -> None:
    value = TOKEN.encode()
    spelt = base64.b64encode(before + value).decode()
    ((start, end, _),) = Finder({"it": value}).find(spelt)
    assert start <= len(before) * 8 // 6
    assert spelt[end:].strip("=") == ""


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase])
def test_case_makes_no_difference(change: object) -> None:
    finder = Finder({"it": TOKEN.encode()})
    for way, spelt in ways(TOKEN).items():
        if way == "json in json":
            continue
        assert list(finder.find(change(spelt))), way  # type: ignore[operator]


@pytest.mark.parametrize("way", ["raw", "hex", "base64 b'' b''"])
def test_dots_between_labels_hide_nothing(way: str) -> None:
    value = "sk-live-9f3a7c51d2e8b6409f3a7c51d2e8b640"
    spelt = ways(value)[way].rstrip("=")
    name = ".".join(spelt[at : at + 13] for at in range(0, len(spelt), 13)) + ".evil.example"
    finder = Finder({"it": value.encode()})
    assert finder.may_hold(name)
    assert [found for _, _, found in finder.find(name)] == ["it"]


def test_the_longer_of_two_values_is_replaced_as_a_whole() -> None:
    finder = Finder({"short": b"abcdefgh", "long": b"abcdefgh-ijkl"})
    assert list(finder.find("abcdefgh-ijkl abcdefgh")) == [(0, 13, "long"), (14, 22, "short")]


def test_what_is_none_is_not_found() -> None:
    finder = Finder({"it": TOKEN.encode()})
    for text in (
        "",
        "%",
        "%%%",
        "%zz%2",
        "sk-Live_9f3A7c51",
        "\\",
        "ü" * 100,
        "%25" * 1000,
        "." * 5000,
        html.escape("<&>"),
    ):
        assert not finder.may_hold(text)
        assert not list(finder.find(text))


@pytest.mark.parametrize("value", ["\\" * 60, "." * 60, "%" * 60, "%25" * 20, "/" * 60, "a" * 60])
def test_no_text_takes_for_ever(value: str) -> None:
    """Of what repeats, patterns could make exponentially much."""
    finder = Finder({"it": f"{value}Z".encode()})
    for text in ("\\" * 4096, "." * 4096, "%25" * 1365, "%5c" * 1365, "/\\" * 2048, "a." * 2048):
        assert not list(finder.find(text))


@settings(deadline=None)
@given(st.text(max_size=40), st.text(min_size=8, max_size=40), st.text(max_size=40))
def test_may_hold_never_misses_what_find_finds(before: str, value: str, after: str) -> None:
    raw = value.encode("utf-8", "replace")
    finder = Finder({"it": raw})
    text = before + raw.decode() + after
    assert list(finder.find(text))
    assert finder.may_hold(text)


@given(
    st.text(alphabet='%25abc.\\"/+-_é', max_size=60),
    st.text(alphabet='%25abc.\\"/é', min_size=8, max_size=10),
)
def test_the_quick_look_agrees_with_the_close_one(text: str, value: str) -> None:
    finder = Finder({"it": value.encode()})
    if list(finder.find(text)):
        assert finder.may_hold(text)


@settings(deadline=None)
@given(st.binary(min_size=8, max_size=40))
def test_any_bytes_are_found(value: bytes) -> None:
    finder = Finder({"it": value})
    for spelt in (
        quote(value),
        value.hex(),
        base64.b64encode(b"x" + value).decode(),
        value.decode("latin-1"),
    ):
        assert list(finder.find(spelt))
        assert finder.may_hold(spelt)
