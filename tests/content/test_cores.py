"""A part of a pattern is in every match of it, and says as much as can be looked for fast."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.content.cores import find_core
from trio_egress.content.pattern import compile_pattern

GAP = r"(?:[^\n\"<>{};\\]|\\[^n\"])*"


@pytest.mark.parametrize(
    ("pattern", "core"),
    [
        (r"\b[a-f0-9]{32}-us[0-9]{1,2}\b", r"-us[0-9]{1,2}\b"),
        (r"\b[MNO][\w-]{23,27}\.[A-Z]", r"\.[A-Z]"),
        (r"\b[5KLc][1-9A-HJ-NP-Za-km-z]{50,51}\b", r"\b[5KLc][1-9A-HJ-NP-Za-km-z]{50,51}\b"),
        (r"[a-z_]{30}", r"[a-z_]{30}"),
        (r"[a-z]{23}", r"[a-z]{23}"),
        (r"[a-z]k+e", r"[a-z]k+e"),
        (r"[a-z]k|e", r"[a-z]k|e"),
        (r"[a|b]k\|", r"k\|"),
        (r"\bkey[a-z]", r"\bkey[a-z]"),
        (r"(?i)[a-z]key", r"(?i)[a-z]key"),
        (r"[a-zé]k.", r"[a-zé]k."),
    ],
)
def test_the_core_of_a_pattern_is_what_is_behind_its_classes(pattern: str, core: str) -> None:
    assert find_core(pattern) == core


@pytest.mark.parametrize(
    ("pattern", "core"),
    [
        (f"(?i)send{GAP}passwords or keys{GAP}to", "(?i)passwords or keys"),
        (f"send keys{GAP}passwords", "send keys" + GAP + "passwords"),
        (f"a{GAP}(?:bcd|efg)|h{GAP}i", f"(?:bcd|efg)|h{GAP}i"),
        (f"a{GAP}?bcd[*]", "bcd[*]"),
        (r"abcd(?:[^\)])*a", "abcd"),
        *(
            (same, same)
            for same in (
                "abcd(?:efg)*h",
                "abcd(?:[^a])+h",
                "abcd(?:[^a]*)h",
                f"é{GAP}abcd",
                r"\Qa\E(?:[^a])*b",
            )
        ),
        *(
            (same, same)
            for same in (f"abcd{GAP}(?i)h", f"(?:abcd{GAP}h)", r"abcd(?:[^a]\)*b)", r"[(?:[^a]*)*]a")
        ),
    ],
)
def test_of_a_sentence_it_is_the_longest_part_between_gaps(pattern: str, core: str) -> None:
    assert find_core(pattern) == core


WORDS = st.sampled_from(["ab", "abc d", "(?:ab|cd)", r"\bab\b", "[a-c]{2}", r"a\*", r"\)", "[)(]", "[^a]"])
PARTS = st.lists(st.lists(WORDS, min_size=1, max_size=3).map("".join), min_size=1, max_size=3).map(GAP.join)
PATTERNS = st.tuples(
    st.sampled_from(["", "(?i)"]), st.lists(PARTS, min_size=1, max_size=3).map("|".join)
).map("".join)
MESSAGES = st.lists(
    st.sampled_from([b"ab", b"abc d", b"cd", b"AB", b"a*", b")", b"(", b" ", b"\n", b"x"]), max_size=14
)


@settings(max_examples=300, deadline=None)
@given(PATTERNS, MESSAGES.map(b"".join))
def test_it_is_in_every_match(pattern: str, message: bytes) -> None:
    found = compile_pattern(pattern, "").search(message)
    if found is not None:
        core = compile_pattern(find_core(pattern), "").search(message)
        assert core is not None
