"""What every engine answers: which of these patterns can stand in these bytes.

Rule 1: a pattern that matches is always named; one that doesn't may be. So engines differ in speed, never in findings:
        what is named is looked for again, by RE2, in `content.seeker`.
Rule 2: an engine that can't answer raises, or names all patterns; it never answers "none" for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Matcher(Protocol):
    """Patterns that are compiled together. Not to be called by two threads at once."""

    @property
    def database(self) -> bytes:
        """What compiling came to, for `open_matcher` of the same patterns on this machine; b"" if it was cheap."""

    def match(self, data: bytes) -> Sequence[int]:
        """The patterns that may match somewhere in `data`, by their place in the list, in any order, each once."""


def open_matcher(patterns: Sequence[str], database: bytes = b"") -> Matcher:
    """By the fastest engine that is installed; the patterns are known to be ones that RE2 compiles.

    `database` is trusted: it is what a matcher of these patterns gave, by this engine, and nobody else has changed it.
    """
    try:
        from trio_egress.content.hyperscan_matcher import HyperscanMatcher
    except ImportError:
        from trio_egress.content.re2_matcher import Re2Matcher

        return Re2Matcher(patterns)
    return HyperscanMatcher(patterns, database)


def name_engine() -> str:
    """The engine that `open_matcher` takes, with what its databases depend on."""
    try:
        from trio_egress.content.hyperscan_matcher import describe_engine
    except ImportError:
        return "re2"
    return describe_engine()
