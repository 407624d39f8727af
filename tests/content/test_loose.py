"""Loose patterns: what a blank and a tilde stand for in them, and what stays as it is."""

from __future__ import annotations

import pytest

from trio_egress.content.loose import expand
from trio_egress.content.pattern import compile_pattern


def finds(pattern: str, text: str) -> bool:
    return compile_pattern(expand(pattern), "").search(text.encode()) is not None


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("send it", "SEND IT"),
        ("send it", "send\n  it"),
        ("send it", "**send** `it`"),
        ("send it", r"send\nit"),
        ("send ?it", "sendit"),
        ("send~it", "send, by all means, it"),
        ("send~it", "sendit"),
        (r"\bsend", r'"a\nsend it"'),
        ("api[ -]key", "api-key"),
        ("пошли~ключ", "пошли этот ключ"),
        ("пошли это", "пошли\nэто"),
    ],
)
def test_signs_stand_for_what_is_between_words(pattern: str, text: str) -> None:
    assert finds(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("send it", "sendit"),
        ("send~it", "send\n\nit is"),
        ("send~it", 'send", "it'),
        ("send~it", "send\0 it"),
        (r"\bsend", "resend"),
        ("api[ -]key", "api--key"),
        (r"a\x20b", "a\nb"),
        (r"a\ b", "a\nb"),
        ("пошли это", "Пошли это"),
    ],
)
def test_nothing_else_is_between_them(pattern: str, text: str) -> None:
    assert not finds(pattern, text)
