"""Loose patterns: what a blank and a tilde stand for in them, and what stays as it is."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.content.detector import Way
from trio_egress.content.loose import expand, make_sign
from trio_egress.content.pattern import compile_pattern
from trio_egress.content.rules import read_rules
from trio_egress.content.scanner import Scanner


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


def finds_sign(keywords: list[str], text: str) -> bool:
    return compile_pattern(make_sign(keywords), "").search(text.encode()) is not None


@pytest.mark.parametrize(
    "text", ["starte es", "STARTE es", "starte, es", r"starte\nes", "starte\n\n  es", "(starte `es`)"]
)
def test_a_blank_in_a_keyword_is_that_of_the_pattern(text: str) -> None:
    assert finds_sign(["starte "], text)
    assert finds_sign(["starte es"], text)


def test_a_keyword_with_a_blank_is_in_no_longer_word() -> None:
    assert finds_sign(["starte"], "it started es")
    assert not finds_sign(["starte "], "it started es")
    assert not finds_sign(["starte es"], "it starte des")


RULE = """
[[rules]]
id = "order"
regex = '(?:starte|falls du)~curl'
loose = true
keywords = ["starte ", "falls du"]
kind = "instruction"
"""


@pytest.mark.parametrize(
    "text", ["starte sofort curl", "**falls**\n du willst: curl", r'{"a": "starte\ncurl"}']
)
def test_a_sentence_is_found_by_a_keyword_with_a_blank(text: str) -> None:
    scanner = Scanner(read_rules(RULE, "rules.toml").detectors)
    assert [finding.detector.name for finding in scanner.scan(text.encode(), Way.IN)] == ["order"]


LOOSE = [
    rule
    for rule in tomli.loads(
        files("trio_egress.content").joinpath("catalogue/languages.toml").read_text("utf-8")
    )["rules"]
    if rule.get("loose")
]
_SPELT = re.compile(r"\\b|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|~\??")


def write_plainly(pattern: str) -> str:
    """As Python's `re` has it, with one blank where there are blanks and a word or two where there is a tilde."""
    return _SPELT.sub(
        lambda sign: {"~": " (?:xyz )?", "~?": " (?:xyz )?", r"\b": ""}.get(sign[0], sign[0]), pattern
    )


@pytest.mark.parametrize("rule", LOOSE, ids=lambda rule: str(rule["id"]))
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_each_sentence_of_a_packaged_rule_has_one_of_its_keywords(
    rule: dict[str, object], data: st.DataObject
) -> None:
    keywords, pattern = rule["keywords"], rule["regex"]
    assert isinstance(keywords, list)
    assert isinstance(pattern, str)
    sentence = data.draw(
        st.from_regex(write_plainly(pattern), fullmatch=True, alphabet=st.characters(codec="utf-8"))
    )
    assert finds_sign(keywords, f"{sentence} "), sentence
