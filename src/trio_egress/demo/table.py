"""The demo's result as text: one row an attempt, three columns, as wide as there is room, at most 100. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from trio_egress.demo.claims import Row

WIDTHS = (29, 23, 44)
WIDEST = 100
NARROW = (25, 17)
"""The first two where there is less room; the third has the rest, and at least NARROWEST of it."""

NARROWEST = 23
GAP = "  "
HEADS = ("the agent tried", "and saw", "the signed receipt says")

GREEN, RED, BOLD, DIM = "32", "31", "1", "2"


def find_widths(columns: int) -> tuple[int, int, int]:
    if columns >= WIDEST:
        return WIDTHS
    return *NARROW, max(columns - sum(NARROW) - 2 * len(GAP), NARROWEST)


def render_table(rows: Sequence[Row], *, colour: bool, columns: int = WIDEST) -> str:
    """Ends with a line feed. Texts that the agent chose are shown as printable ASCII."""
    widths = find_widths(columns)
    lines = [
        _join(*(_paint(head.ljust(width), DIM, colour) for head, width in zip(HEADS, widths, strict=True)))
    ]
    for row in rows:
        lines += _render_row(row, colour, widths)
    return "".join(line.rstrip() + "\n" for line in lines)


def _render_row(row: Row, colour: bool, widths: Sequence[int]) -> Iterator[str]:
    receipt = f"{row.verdict}: {row.reason}" if row.reason else row.verdict
    columns = (row.claim.words, row.saw, receipt)
    cells = [
        textwrap.wrap(_printable(text), width, break_on_hyphens=False)
        for text, width in zip(columns, widths, strict=True)
    ]
    for number, parts in enumerate(zip_longest(*cells, fillvalue="")):
        padded = [part.ljust(width) for part, width in zip(parts, widths, strict=True)]
        if number == 0:
            word = row.verdict if parts[2].startswith(row.verdict) else ""
            shade = GREEN if row.verdict == "allow" else RED
            padded[2] = _paint(word, shade, colour) + padded[2][len(word) :]
        yield _join(*padded)
    for fault in row.faults:
        yield _paint(f"  NOT AS EXPECTED: {_printable(fault)}", f"{BOLD};{RED}", colour)


def render_verdict(text: str, *, good: bool, colour: bool) -> str:
    """The line that is read first."""
    return _paint(text, f"{BOLD};{GREEN if good else RED}", colour)


def _join(*cells: str) -> str:
    return GAP.join(cells)


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and text else text


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)
