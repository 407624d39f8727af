"""What a log adds up to."""

from __future__ import annotations

import pytest
from tests.evidence.found import write_found
from tests.evidence.specimens import POLICY_HASH, replay, write_chain

from trio_egress.evidence import tally as tally_module
from trio_egress.evidence.tally import Tally


def _record(target: str = "t", verdict: str = "block", **members: object) -> dict[str, object]:
    return {"target": target, "verdict": verdict, "transport": "dns", "policy_hash": "p", **members}


def test_an_honest_chain_adds_up() -> None:
    tally = replay(write_chain()).tally
    assert tally.receipt_count == sum(tally.totals.values()) == 8
    assert dict(tally.totals) == {"allow": 7, "block": 1}
    assert dict(tally.transports) == {"receipt_session": 3, "transparent": 5}
    assert tally.layers == {"default_deny": 1}
    assert tally.domains_touched == ["api.example.com", "b.example.com", "evil.example"]
    assert tally.policy_hashes == [POLICY_HASH]


def test_a_verdict_that_is_not_known_is_other() -> None:
    tally = Tally()
    tally.feed(_record(verdict="banana"), {})
    assert tally.totals["other"] == 1


def test_a_flood_gives_a_list_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "HOSTS", 5)
    tally = Tally()
    for number in range(5):
        tally.feed(_record(f"t{number}", layer=f"l{number}"), {"host": f"h{number}"})
    assert (len(tally.layers or {}), len(tally.domains_touched or [])) == (5, 5)
    for number in range(5, 50):
        tally.feed(_record(f"t{number}", layer=f"l{number}"), {"host": f"h{number}"})
    assert (tally.layers, tally.domains_touched) == (None, None)


def test_names_that_are_long_give_a_list_up_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "NAME_CHARS", 100)
    tally = Tally()
    for number in range(9):
        tally.feed(_record(layer="l"), {"host": f"{number}" + "h" * 40})
    assert (tally.layers, tally.domains_touched) == ({"l": 9}, None)


def test_what_was_found_is_counted_once_and_its_receipts_are_no_denials() -> None:
    tally = replay(write_found()).tally
    assert tally.found == {"block": 3, "strip": 3, "warn": 2, "suppressed": 1}
    assert (tally.denied, tally.totals["block"]) == (3, 4)
    assert (tally.totals["strip"], tally.totals["warn"]) == (1, 1)
