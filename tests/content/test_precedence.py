"""Of several finds of one credential the most specific is told, and no strong one yields to a weaker."""

from __future__ import annotations

import pytest

from trio_egress.content.detector import Detector, Finding, Way
from trio_egress.content.precedence import NEIGHBOURS, keep_foremost
from trio_egress.content.scanner import Scanner
from trio_egress.model import Action, Kind

RANKS = {"own": 0, "token": 1, "generic": 2}


def make(name: str, start: int, value: str, **rest: object) -> Finding:
    action, kind = rest.get("action", Action.BLOCK), rest.get("kind", Kind.SECRET)
    assert isinstance(action, Action)
    assert isinstance(kind, Kind)
    detector = Detector(name=name, description="", kind=kind, pattern="x", action=action)
    end = rest.get("end", start + len(value))
    assert isinstance(end, int)
    return Finding(detector, start, end, value.encode(), ("base64",) if rest.get("via") else ())


def tell(*found: Finding, before: tuple[Finding, ...] = ()) -> list[str]:
    return [finding.detector.name for finding in keep_foremost(found, before, RANKS)]


def test_the_first_detector_counts_whichever_begins_first() -> None:
    assert tell(make("token", 0, "abcd"), make("generic", 0, "abcd")) == ["token"]
    assert tell(make("generic", 0, "abcd"), make("token", 2, "cd")) == ["token"]
    assert tell(make("token", 0, "abcd"), make("generic", 2, "cdef")) == ["token"]


def test_what_only_touches_is_another_value() -> None:
    assert tell(make("token", 0, "abcd"), make("generic", 4, "efgh")) == ["token", "generic"]


def test_two_finds_of_one_detector_are_both_told() -> None:
    assert tell(make("token", 0, "abcd"), make("token", 2, "cdef")) == ["token", "token"]


def test_a_warning_hides_nothing_that_is_blocked() -> None:
    weak = make("token", 0, "abcd", action=Action.WARN)
    assert tell(weak, make("generic", 0, "abcd")) == ["token", "generic"]
    assert tell(weak, make("generic", 0, "abcd", action=Action.WARN)) == ["token"]
    assert tell(make("token", 0, "abcd", action=Action.OFF), make("generic", 0, "abcd")) == [
        "token",
        "generic",
    ]


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.SECRET])
def test_only_credentials_yield_and_only_to_credentials(kind: Kind) -> None:
    assert tell(make("token", 0, "abcd"), make("generic", 0, "abcd", kind=kind)) == ["token", "generic"]
    assert tell(make("token", 0, "abcd", kind=kind), make("generic", 0, "abcd")) == ["token", "generic"]


def test_in_what_was_decoded_one_value_has_to_be_in_the_other() -> None:
    whole = make("token", 0, "abcd", end=40, via=True)
    assert tell(whole, make("generic", 0, "bc", end=40, via=True)) == ["token"]
    assert tell(make("generic", 0, "xabcdx", end=40, via=True), whole) == ["token"]
    assert tell(whole, make("generic", 0, "wxyz", end=40, via=True)) == ["token", "generic"]
    assert tell(whole, make("generic", 0, "abcd")) == ["token", "generic"], "in another view"


def test_what_was_told_before_hides_and_is_not_told_again() -> None:
    before = make("token", 0, "abcd")
    assert tell(make("generic", 2, "cdef"), before=(before,)) == []
    assert tell(make("own", 2, "cdef"), before=(before,)) == ["own"]


def test_a_flood_is_told_rather_than_compared_without_end() -> None:
    flood = [make("own", place, "y" * 1000) for place in range(NEIGHBOURS)]
    assert tell(*flood, make("generic", 500, "yyyy")).count("generic") == 0
    others = [make("own", place, "y") for place in range(1, NEIGHBOURS + 1)]
    assert tell(make("token", 0, "x" * 1000), *others, make("generic", 500, "xxxx")).count("generic") == 1


def test_a_scanner_tells_ones_own_detector_of_what_a_packaged_one_knows_too() -> None:
    known, own = (
        Detector(name=name, description="", kind=Kind.SECRET, pattern=pattern)
        for name, pattern in (("generic", r"key=(\S+)"), ("ours", r"ours_[a-z]{8}"))
    )
    for scanner in (Scanner([known], [own]), Scanner([own, known])):
        found = scanner.scan(b"key=ours_abcdefgh key=another", Way.OUT)
        assert [(each.detector.name, each.value) for each in found] == [
            ("ours", b"ours_abcdefgh"),
            ("generic", b"another"),
        ]
