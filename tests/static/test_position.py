"""Lines and columns of a text that is only partly held."""

from __future__ import annotations

from itertools import pairwise

import pytest

from trio_egress.static.position import Place, Text

RAW = "eins\nzwölf é\r\n\n\tdrei\x80 vier".encode("utf-8", "surrogateescape").replace(b"\xc2\x80", b"\x80")


def locate(at: int) -> tuple[int, int]:
    """By another road."""
    before = RAW[:at].split(b"\n")
    return len(before), 1 + sum(not 0x80 <= byte < 0xC0 for byte in before[-1])


@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_a_place_is_the_same_however_much_was_let_go(step: int) -> None:
    for start in range(len(RAW)):
        text = Text()
        for at in range(0, len(RAW), step):
            text.feed(RAW[at : at + step])
            text.drop(min(start, at))
        assert text.start <= start < text.end == len(RAW)
        end = start + 1
        place = text.locate(start, end)
        assert (place.line, place.column) == locate(start)
        last = end if RAW[start] not in b"\r\n" else start
        assert (place.end_line, place.end_column) == locate(last)


def test_a_place_over_lines_ends_behind_its_last_character() -> None:
    text = Text(first_line=10)
    text.feed(b"ab\ncd\nef\n")
    assert text.locate(1, 7) == Place(10, 2, 12, 2)
    assert text.locate(1, 6) == text.locate(1, 5) == Place(10, 2, 11, 3)


def test_the_lines_of_a_finding_and_no_more() -> None:
    text = Text()
    text.feed(RAW)
    ends = [0, *(at + 1 for at, byte in enumerate(RAW) if byte == 10), len(RAW) + 1]
    for begin, end in pairwise(ends):
        for start in range(begin, end - 1):
            assert text.find_line(start, start + 1, 100) == (begin, end - 1)
    assert text.find_line(7, 8, 1) == (6, 9)
    assert text.cut(6, 9) == RAW[6:9]
