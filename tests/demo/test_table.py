"""The demo's table: narrow, in columns, and unable to steer a terminal."""

from __future__ import annotations

import pytest

from trio_egress.demo.claims import CLAIMS, Row
from trio_egress.demo.table import WIDTHS, render_table, render_verdict

GOOD = Row(CLAIMS[0], "200 OK, 3 ms", "allow", "egress[0] 'api.example.com' (line 6)")
BAD = Row(
    CLAIMS[-1], "an answer", "allow", "who knows", ("the agent got through", "its receipts should say block")
)


def test_table_is_at_most_100_wide_whatever_is_in_it() -> None:
    rows = [GOOD, BAD, Row(CLAIMS[3], "long words " * 30, "block", "x" * 500)]
    assert max(map(len, render_table(rows, colour=False).splitlines())) <= 100


@pytest.mark.parametrize("columns", [69, 80, 99, 100, 200])
def test_it_is_no_wider_than_the_terminal(columns: int) -> None:
    rows = [GOOD, BAD, Row(CLAIMS[3], "long words " * 30, "block", "x" * 500)]
    lines = render_table(rows, colour=False, columns=columns).splitlines()
    assert max(map(len, lines)) <= min(columns, 100)


def test_column_that_wraps_stays_in_its_column() -> None:
    lines = render_table([Row(CLAIMS[0], "saw", "block", "word " * 20)], colour=False).splitlines()
    start = WIDTHS[0] + WIDTHS[1] + 4
    assert len(lines) > 2
    assert all(line[:start].strip() == "" for line in lines[2:])


def test_fault_stands_under_its_row() -> None:
    lines = render_table([GOOD, BAD, GOOD], colour=False).splitlines()
    assert [line.strip() for line in lines if "NOT AS EXPECTED" in line] == [
        "NOT AS EXPECTED: the agent got through",
        "NOT AS EXPECTED: its receipts should say block",
    ]
    assert lines.index("  NOT AS EXPECTED: the agent got through") == 3


def test_colour_changes_nothing_but_colour() -> None:
    plain = render_table([GOOD, BAD], colour=False)
    coloured = render_table([GOOD, BAD], colour=True)
    assert "\x1b" not in plain
    assert "\x1b[32mallow\x1b[0m: egress[0]" in coloured
    for code in ("32", "31", "2", "1;31", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert [line.rstrip() for line in coloured.splitlines()] == plain.splitlines()


def test_text_that_the_agent_chose_cannot_steer_a_terminal() -> None:
    row = Row(CLAIMS[0], "\x1b[2Jgone\x07\u202e", "allow", "a\x1b]0;title\x07b")
    text = render_table([row], colour=False)
    assert all(c == "\n" or " " <= c <= "~" for c in text)


def test_verdict_is_green_or_red() -> None:
    assert render_verdict("fine", good=True, colour=True) == "\x1b[1;32mfine\x1b[0m"
    assert render_verdict("bad", good=False, colour=True) == "\x1b[1;31mbad\x1b[0m"
    assert render_verdict("fine", good=True, colour=False) == "fine"
