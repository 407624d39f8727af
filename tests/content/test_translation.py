"""A translation may match more than its pattern, never less; and both engines, so, find the same."""

from __future__ import annotations

import hyperscan
import pytest
import re2
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from trio_egress.content.detector import Detector, Finding, Way
from trio_egress.content.hyperscan_matcher import HyperscanMatcher
from trio_egress.content.matcher import Matcher
from trio_egress.content.pattern import compile_pattern
from trio_egress.content.re2_matcher import Re2Matcher
from trio_egress.content.scanner import Scanner
from trio_egress.content.search import Views
from trio_egress.content.translation import translate
from trio_egress.errors import PolicyError
from trio_egress.model import Kind

ATOMS = [
    *("a", "b", "K", "s", "_", "1", " ", "é", "ß", "и", "k", "ſ", "\u212a", ".", "-", "/"),
    *(r"\s", r"\S", r"\w", r"\W", r"\d", r"\D", r"\b", r"\B", "^", "$", r"\A", r"\z", r"\n", r"\v", r"\t"),
    *(
        r"\x00",
        r"\x1f",
        r"\x8b",
        r"\xe9",
        r"\x{e9}",
        r"\x{200b}",
        r"\pL",
        r"\PL",
        r"\p{Greek}",
        r"\012",
        r"\.",
    ),
    *(
        "[ab]",
        "[^a]",
        "[a-k_]",
        r"[\s]",
        r"[^\s]",
        r"[\S]",
        r"[^\S]",
        r"[\w-]",
        r"[^\w]",
        r"[\x00-\x1f]",
        r"[^\x00-\x1f]",
    ),
    *(
        "[é-ü]",
        "[^é]",
        r"[^\x{200b}]",
        "[[:alpha:]]",
        "[[:^alpha:]]",
        "[^[:space:]]",
        "[]a]",
        "[^]a]",
        "[a-]",
        "[-a]",
    ),
    *("[+--]", r"[\pL]", r"[^\PL1]", "[(?:]", r"[\]]", r"[\^-a]", r"[^\v]", r"[\n\r]", r"\Qa.b*\E", r"\Q[\E"),
]
FLAGS = ["", "(?i)", "(?s)", "(?m)", "(?is)", "(?im)"]


def _quantify(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    ends = st.sampled_from(["", "*", "+", "?", "{2}", "{1,3}", "*?", "+?"])
    joined = st.lists(inner, min_size=1, max_size=3).map("".join)
    either = st.lists(joined, min_size=1, max_size=2).map("|".join)
    wrapped = st.builds(
        "{}{}{}".format, st.sampled_from(["(", "(?:", "(?i:", "(?P<n>"]), either, st.just(")")
    )
    return st.builds("{}{}".format, wrapped, ends) | st.builds("{}{}".format, inner, ends)


SIMPLE = st.sampled_from(ATOMS)
PATTERNS = st.builds(
    "{}{}".format,
    st.sampled_from(FLAGS),
    st.lists(st.recursive(SIMPLE, _quantify, max_leaves=5), min_size=1, max_size=4).map("".join),
)
PIECES = [
    *(
        "a",
        "b",
        "A",
        "k",
        "K",
        "s",
        "S",
        "_",
        "1",
        " ",
        "\n",
        "\r\n",
        "\v",
        "\t",
        "\0",
        "\x1f",
        "-",
        "+",
        ".",
        "[",
        "]",
    ),
    *("é", "É", "ß", "ẞ", "и", "И", "ſ", "\u212a", "\u200b", "α", "\u3042", "a.b*", "\U0001f600"),
]
MESSAGES = st.lists(
    st.sampled_from([piece.encode() for piece in PIECES] + [b"\xe9", b"\x8b", b"\xff", b"\xc3"]), max_size=12
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(PATTERNS, st.lists(MESSAGES, min_size=1, max_size=8))
@example(r"[^\x00-\x1f]", [b"-"])
@example(r"(?i)[k]", ["\u212a".encode()])
@example(r"(?m)\n^$", [b"a\n"])
@example(r"\pLa", ["éa".encode()])
@example("[^]a](?i:a)*", [b"A"])
def test_both_engines_name_what_matches(pattern: str, messages: list[bytes]) -> None:
    try:
        exact = compile_pattern(pattern, "")
    except PolicyError:
        assume(False)
    engines: list[Matcher] = [HyperscanMatcher([pattern]), Re2Matcher([pattern])]
    for message in messages:
        found = exact.search(message)
        if found is not None and found.end() > found.start():
            assert [list(engine.match(message)) for engine in engines] == [[0], [0]]


@settings(max_examples=100, deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=4), st.lists(MESSAGES, max_size=4).map(b"tok ".join))
def test_scanners_of_any_patterns_find_the_same_by_both(patterns: list[str], message: bytes) -> None:
    detectors = [
        Detector(name=str(number), description="", kind=Kind.SECRET, pattern=pattern)
        for number, pattern in enumerate(patterns)
    ]
    found: list[list[Finding]] = []
    for engine in (HyperscanMatcher, lambda given, database=b"": Re2Matcher(given)):
        try:
            found.append(Scanner(detectors, views=Views(), engine=engine).scan(message, Way.OUT))
        except PolicyError:
            assume(False)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("pattern", "translation"),
    [
        (r"a\sb", r"a[\x09-\x0a\x0c-\x0d\x20]b"),
        (r"[^\s]", r"[\x00-\x08\x0b\x0e-\x1f\x21-\xff]"),
        (r"\x1f\x8b", r"\x1f\x8b"),
        (r"é+", r"(?:\xc3\xa9)+"),
        (r"\Qa.\E.", r"a\x2e."),
        (r"\b\.$", r"\b\x2e$"),
        ("[a-]", r"[\x2d\x61]"),
    ],
)
def test_a_pattern_is_translated_exactly_where_it_can_be(pattern: str, translation: str) -> None:
    assert translate(pattern) == translation


@pytest.mark.parametrize("pattern", [r"(?i)\xe9", r"\C", r"[^\pL]"])
def test_what_has_no_translation_is_left_to_re2(pattern: str) -> None:
    assert translate(pattern) is None
    assert re2.compile(pattern.encode()) is not None


@pytest.mark.parametrize("pattern", ["x*", r"(?U)a+b?"])
def test_what_hyperscan_refuses_is_left_to_re2(pattern: str) -> None:
    translation = translate(pattern)
    assert translation is not None
    with pytest.raises(hyperscan.error):
        hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK).compile(expressions=[translation.encode()])
    assert sorted(HyperscanMatcher(["no", pattern, "xx"]).match(b"xx aa")) == [1, 2]


def test_what_takes_hyperscan_minutes_is_left_to_re2() -> None:
    nested = "(?:(?:ab?|c.d){1,90}e){9}f"
    matcher = HyperscanMatcher([nested, "xx"])
    assert matcher.database == HyperscanMatcher(["(?U)" + nested, "xx"]).database
    assert sorted(matcher.match(b"xx" + b"ae" * 9 + b"f")) == [0, 1]
