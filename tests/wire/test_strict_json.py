"""JSON that every reader reads alike: what is taken, each row of what is refused, and every bound."""

from __future__ import annotations

import pytest

from trio_egress.wire.strict_json import DEPTH, NUMBER_CHARS, VALUES, BadJson, Misread, parse_json

TAKEN = {
    b'{"a": [1, -2.5, true, null, "x"]}': {"a": [1, -2.5, True, None, "x"]},
    b' "\\ud83d\\ude00" ': "\U0001f600",
    '"é\u2028"'.encode(): "é\u2028",
    b'{"a": {"b": 1}, "b": {"a": 1}}': {"a": {"b": 1}, "b": {"a": 1}},
    b'"' + b"]" * (DEPTH + 1) + b'"': "]" * (DEPTH + 1),
    rb'["\\", "\"[[", []]': ["\\", '"[[', []],
    b"9" * NUMBER_CHARS: int("9" * NUMBER_CHARS),
}

REFUSED = {
    b"": Misread.SYNTAX,
    b"{} {}": Misread.SYNTAX,
    b"{'a': 1}": Misread.SYNTAX,
    b'{"a": 1,}': Misread.SYNTAX,
    b'{"a": 1 /* x */}': Misread.SYNTAX,
    b"[01]": Misread.SYNTAX,
    b"[+1]": Misread.SYNTAX,
    b"[.5]": Misread.SYNTAX,
    b'["\x01"]': Misread.SYNTAX,
    b'["a\nb"]': Misread.SYNTAX,
    b'"\\x41"': Misread.SYNTAX,
    "[\uff11]".encode(): Misread.SYNTAX,
    b"\xef\xbb\xbf{}": Misread.MARK,
    '{"a": 1}'.encode("utf-16"): Misread.MARK,
    b"\x00{\x00}": Misread.SYNTAX,
    b'"\xff"': Misread.ENCODING,
    b'"\xc0\xaf"': Misread.ENCODING,
    b'"\xed\xa0\x80"': Misread.ENCODING,
    b'{"a": 1, "a": 1}': Misread.REPEATED,
    b'{"a": 1, "\\u0061": 2}': Misread.REPEATED,
    b'[{"x": {"a": 1, "a": 2}}]': Misread.REPEATED,
    b"[NaN]": Misread.CONSTANT,
    b"[-Infinity]": Misread.CONSTANT,
    b"[1e999]": Misread.NUMBER,
    b"1" * (NUMBER_CHARS + 1): Misread.NUMBER,
    b'"\\ud800"': Misread.SURROGATE,
    b'{"\\udc00": 1}': Misread.SURROGATE,
    b'{"a\\u0000b": 1}': Misread.NUL,
    b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1): Misread.DEPTH,
    b'{"a":' * (DEPTH + 1) + b"1" + b"}" * (DEPTH + 1): Misread.DEPTH,
    b"[" * 100_000: Misread.DEPTH,
    b"[" + b"1," * VALUES + b"1]": Misread.VALUES,
    b"[" + b'"' * (4 * VALUES): Misread.VALUES,
}


@pytest.mark.parametrize(("raw", "value"), TAKEN.items(), ids=lambda item: repr(item)[:24])
def test_what_every_reader_reads_alike_is_taken(raw: bytes, value: object) -> None:
    assert parse_json(raw) == value


@pytest.mark.parametrize(("raw", "why"), REFUSED.items(), ids=lambda item: repr(item)[:24])
def test_what_readers_take_for_different_things_is_refused(raw: bytes, why: Misread) -> None:
    with pytest.raises(BadJson) as caught:
        parse_json(raw)
    assert caught.value.why is why
    assert caught.value.status == 400


def test_a_text_has_a_greatest_size() -> None:
    assert parse_json(b'"123"', 5) == "123"
    with pytest.raises(BadJson) as caught:
        parse_json(b'"1234"', 5)
    assert (caught.value.why, caught.value.status) == (Misread.SIZE, 413)


def test_every_row_of_what_is_refused_is_tried() -> None:
    assert {*REFUSED.values(), Misread.SIZE} == set(Misread)


def test_a_text_is_as_deep_and_as_long_as_the_bounds() -> None:
    assert parse_json(b"[" * DEPTH + b"]" * DEPTH)
    assert len(parse_json(b"[" + b"1," * (VALUES - 2) + b"1]")) == VALUES - 1  # type: ignore[arg-type]


@pytest.mark.parametrize("piece", [b'\\"', b'"', b"[", b'"\\', b'["', b"[],"])
def test_what_is_made_to_be_slow_is_refused_before_it_is_read(piece: bytes) -> None:
    """Were the bounds looked for by trying again at each place, this would take hours."""
    with pytest.raises(BadJson):
        parse_json(b"[" + piece * ((4 << 20) // len(piece) - 1))
