"""Patterns with `*`."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.policy.globs import Glob, parse_glob
from trio_egress.policy.paths import parse_path


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("/", ["/"], ["/a"]),
        ("/a/b", ["/a/b", "/%61/b"], ["/a", "/a/b/", "/a/b/c", "/A/b"]),
        ("/a/*", ["/a/b", "/a/.b"], ["/a/", "/a", "/a/b/c", "/a/b%2Fc"]),
        ("/a/*.js", ["/a/.js", "/a/b.js"], ["/a/b.jsx", "/a/b/c.js"]),
        ("/a/x*y*z", ["/a/xyz", "/a/x-y-y-z"], ["/a/xz", "/a/xy", "/a/zyx"]),
        ("/*/*", ["/a/b"], ["/a", "/a/", "/a/b/c"]),
        ("/a/**", ["/a", "/a/", "/a/b", "/a/b/c/", "/a/b%2Fc"], ["/", "/ab", "/b/a/c"]),
        ("/**", ["/", "/a", "/a/b/"], []),
        ("/a/**/z", ["/a/z", "/a/b/z", "/a/b/c/z"], ["/a/b", "/z", "/a/z/b"]),
        ("/a/**/a", ["/a/a", "/a/b/a"], ["/a"]),
        ("/a/**/m/**/m", ["/a/m/m"], ["/a/m", "/a/b/m"]),
        ("/a/**/m/**/z", ["/a/m/z", "/a/m/m/z", "/a/b/m/c/z", "/a/m/n/m/z"], ["/a/z", "/a/n/z", "/m/a/z"]),
        ("/**/b/c/**", ["/b/c", "/b/c/", "/a/b/c/d", "/b/b/c/x"], ["/b", "/b/x/c/"]),
        ("/@s%2Fn", ["/@s%2fn"], ["/@s/n", "/@s%2Fm"]),
        ("/*%2F*", ["/a%2Fb"], ["/a/b", "/ab", "/a%2Fb%2Fc"]),
        ("/b%C3%BCcher/*", ["/b%c3%bccher/a"], ["/bucher/a"]),
    ],
)
def test_each_pattern_matches_as_it_says(pattern: str, matching: list[str], other: list[str]) -> None:
    glob = parse_glob(pattern)
    assert glob.text == pattern
    assert [raw for raw in matching if not glob.matches(parse_path(raw))] == []
    assert [raw for raw in other if glob.matches(parse_path(raw))] == []


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a/b", 'begins with "/"'),
        ("/a?b", "said by `query`"),
        ("/a/**b", r'"\*\*" stands for whole segments, as in "/a/\*\*" or "/a/\*\*/b"$'),
        ("/a//b", "an empty segment"),
        ("/a/../b", "a dot segment"),
        ("/a;b", "a semicolon"),
    ],
)
def test_a_pattern_that_no_path_could_match_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_glob(pattern)


def test_without_case_a_pattern_matches_a_path_without_case() -> None:
    assert parse_glob("/Admin/*X").folded().matches("/admin/ax")
    assert not parse_glob("/Admin/*X").matches("/admin/ax")


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("search", ["search"], ["Search", "searches", ""]),
        ("search_*", ["search_", "search_a/b"], ["search"]),
        ("*", ["", "a", "a/b"], []),
        ("*_*x", ["_x", "a_bx"], ["a_b", "ax"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("a*b*b", ["abb", "a-b-b"], ["ab", "a-b"]),
        ("a*a*b", ["aab"], ["ab"]),
    ],
)
def test_each_word_pattern_matches_as_it_says(pattern: str, matching: list[str], other: list[str]) -> None:
    assert all(Glob(pattern).matches(word) for word in matching)
    assert not any(Glob(pattern).matches(word) for word in other)


@given(st.text(alphabet="ab*", max_size=8), st.text(alphabet="ab", max_size=12))
def test_a_word_pattern_is_the_regular_expression_that_everybody_means(pattern: str, word: str) -> None:
    meant = re.compile(".*".join(re.escape(piece) for piece in pattern.split("*")))
    assert Glob(pattern).matches(word) == bool(meant.fullmatch(word))


_SEGMENTS = st.sampled_from(["a", "b", "**", "*", "a*", "*b*"])


@given(st.lists(_SEGMENTS, min_size=1, max_size=6), st.lists(st.sampled_from(["a", "b", "ab"]), max_size=8))
def test_a_path_pattern_is_the_regular_expression_that_everybody_means(
    pattern: list[str], path: list[str]
) -> None:
    parts = [
        "(?:[^/]*/)*" if part == "**" else f"{part.replace('*', '[^/]+' if part == '*' else '[^/]*')}/"
        for part in pattern
    ]
    whole = "".join(f"{segment}/" for segment in path)
    assert parse_glob("/" + "/".join(pattern)).matches("/" + "/".join(path)) == bool(
        re.fullmatch("".join(parts), whole or "/")
    )


def test_no_pattern_takes_longer_than_its_path_is_long() -> None:
    started = time.monotonic()
    assert not parse_glob("/" + "*a" * 50 + "b").matches("/" + "a" * 60_000)
    assert not parse_glob("/**/a/**/a/**/a/**/b").matches("/a" * 30_000)
    assert time.monotonic() - started < 10
