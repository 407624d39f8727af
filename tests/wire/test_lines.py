"""Lines of a stream: each cut, each limit, and what is no line."""

from __future__ import annotations

import pytest

from trio_egress.wire.lines import Line, Lines

LIMIT = 8


def split(*pieces: bytes) -> list[Line]:
    lines = Lines(LIMIT)
    return [line for raw in pieces for line in lines.feed(raw)] + lines.finish()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"\r\n",
        b"ab\ncd\n",
        b"ab\r\ncd\r\n",
        b"12345678\n1\n",
        b"12345678\r\n1\n",
        b"123456789\n1\n",
        b"1234567890123456789\n1\n",
        b"12345678\r\r\n1\n",
        b"a\rb\n",
        b"a\r\rb\nc",
        b"123456789",
        b"1234567890\r\n\r\n",
    ],
)
def test_no_cut_matters(raw: bytes) -> None:
    whole = split(raw)
    for one in range(len(raw) + 1):
        for other in range(one, len(raw) + 1):
            assert split(raw[:one], raw[one:other], raw[other:]) == whole
    assert split(*(raw[place : place + 1] for place in range(len(raw)))) == whole


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"ab\n\ncd\r\n", [b"ab", b"", b"cd"]),
        (b"12345678\n", [b"12345678"]),
        (b"12345678\r\n", [b"12345678"]),
        (b"a\x0b\x0c\x1c\x85b\n", [b"a\x0b\x0c\x1c\x85b"]),
        ("a\u2028b\n".encode(), ["a\u2028b".encode()]),
    ],
)
def test_a_line_is_what_stands_before_its_end(raw: bytes, found: list[bytes]) -> None:
    assert [(line.raw, line.fault) for line in split(raw)] == [(each, "") for each in found]


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"a\rb\n", "carriage return"),
        (b"a\r\r\n", "carriage return"),
        (b"123456789\n", "longer than 8 bytes"),
        (b"a" * 99 + b"\n", "longer than 8 bytes"),
        (b"a" * 99, "longer than 8 bytes"),
        (b"abc", "the middle of a line"),
    ],
)
def test_what_is_no_line_has_a_fault_and_nothing_of_its_text(raw: bytes, fault: str) -> None:
    (line,) = split(raw)
    assert fault in line.fault
    assert line.raw == b""


def test_what_follows_a_line_that_is_too_long_is_read() -> None:
    found = split(b"a" * 20, b"b" * 20 + b"\nok\n")
    assert [line.raw for line in found] == [b"", b"ok"]


def test_no_more_is_kept_than_one_line() -> None:
    lines = Lines(LIMIT)
    for _ in range(1000):
        lines.feed(b"a" * 7)
    assert len(lines._held) <= LIMIT + 1
