"""What a run did at each place."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from tests.evidence.specimens import Scribe
from tests.views.pictures import take, write_lines, write_packet

from trio_egress.views import census
from trio_egress.views.census import ELSEWHERE, REASONS, Visits, take_census


def count(tmp_path: Path, lines: list[bytes]) -> dict[str, Visits]:
    return take_census(take(write_packet(tmp_path, lines)).attempts())


def test_each_place_has_its_sums(tmp_path: Path) -> None:
    visits = count(tmp_path, write_lines())
    assert {
        place: (one.allowed, one.denied, one.bytes_up, one.bytes_down) for place, one in visits.items()
    } == {
        "dns:evil.example": (0, 20, 0, 0),
        "http://api.example.com:80": (1, 1, 10, 20),
        "syscall:bpf": (0, 2, 0, 0),
        "tls://api.example.com:443": (1, 0, 100, 2000),
        "tls://evil.example:443": (0, 1, 0, 0),
        "udp://203.0.113.7:9999": (0, 3, 0, 0),
    }
    assert visits["dns:evil.example"].reasons == {"dns:evil.example: no rule allows evil.example": 20}


def test_what_was_only_observed_is_counted_by_itself(tmp_path: Path) -> None:
    visits = count(tmp_path, Scribe().open().allow("evil.example", layer="observe").lines)
    assert visits["tls://evil.example:443"] == Visits(
        observed=1,
        bytes_up=10,
        bytes_down=20,
        duration_us=5,
        reasons=visits["tls://evil.example:443"].reasons,
    )


def test_places_beyond_the_bound_are_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "PLACES", 2)
    scribe = Scribe().open()
    for number in range(5):
        scribe.block(f"{number}.example")
    visits = count(tmp_path, scribe.block("1.example").lines)
    assert {place: one.denied for place, one in visits.items()} == {
        "tls://0.example:443": 1,
        "tls://1.example:443": 2,
        ELSEWHERE: 3,
    }


def test_reasons_beyond_the_bound_are_counted_and_not_kept(tmp_path: Path) -> None:
    scribe = Scribe().open()
    for number in range(REASONS + 3):
        draft = scribe.draft(verdict="block", layer="path", target=f"http://a.example:80/{number}")
        scribe.append(attrs.evolve(draft, facts={**draft.facts, "reason": "x" * 2000}))
    (visits,) = count(tmp_path, scribe.lines).values()
    assert (visits.denied, len(visits.reasons)) == (REASONS + 3, REASONS)
    assert max(map(len, visits.reasons)) < census.REASON_CHARS + 10
