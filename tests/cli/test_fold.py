"""Folded text: between words, below what it belongs to, and not at all in a pipe."""

from __future__ import annotations

import os
import sys

import pytest

from trio_egress.cli.fold import find_columns, fold

KEY = "0f" * 32


@pytest.mark.parametrize(("line", "folded"), [
    ("short", "short"),
    ("  - one two three four five", "  - one two three\n    four five"),
    ("  books     one two three four", "  books     one two\n       three four"),
    ("ok    mounts: one two three", "ok    mounts: one two\n      three"),
    (f"  key  {KEY}", f"  key  {KEY}"),
    (f"  - one {KEY}", f"  - one\n    {KEY}"),
])  # fmt: skip
def test_a_line_is_folded_between_words_below_what_it_belongs_to(line: str, folded: str) -> None:
    assert fold(line, 21) == folded
    assert fold(line, None) == line


def test_columns_are_a_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with os.fdopen(read), os.fdopen(write, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert find_columns() is None
