"""What a log adds up to."""

from __future__ import annotations

import pytest
from tests.evidence.specimens import POLICY_HASH, Scribe, replay, write_chain

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
    assert (tally.allowed, tally.denied, tally.policy_hashes) == (2, 1, [POLICY_HASH])
    assert tally.denials == {("tls://evil.example:443", "a reason"): 1}
    contact = tally.contacts["api.example.com"]
    assert (list(tally.contacts), contact.attempts, contact.bytes_up, contact.bytes_down) == (
        ["api.example.com", "b.example.com"],
        1,
        10,
        20,
    )


def test_an_attempt_that_was_refused_after_its_intent_contacted_nobody() -> None:
    scribe = Scribe().open()
    intent = scribe.draft("x.example", phase="intent")
    scribe.append(intent)
    scribe.append(scribe.draft("x.example", phase="outcome", verdict="block", action_id=intent.action_id))
    tally = replay(scribe.close().lines).tally
    assert (tally.contacts, tally.denied) == ({}, 1)


def test_packets_that_one_receipt_counts_are_counted() -> None:
    tally = Tally()
    tally.feed(_record(), {"count": 40, "reason": "udp"})
    tally.feed(_record(), {"count": 2, "reason": "udp"})
    tally.feed(_record(layer="kernel"), {})
    assert tally.denials == {("t", "udp"): 42, ("t", "kernel"): 1}
    assert tally.denied == 3


def test_a_verdict_that_is_not_known_is_other() -> None:
    tally = Tally()
    tally.feed(_record(verdict="banana"), {})
    assert tally.totals["other"] == 1


def test_bytes_of_an_outcome_that_states_none_are_none() -> None:
    tally = Tally()
    tally.feed(_record(verdict="allow", decision_phase="outcome"), {"bytes_up": None})
    assert tally.contacts["t"].bytes_up == 0


def test_a_flood_gives_a_list_up_and_bounds_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "HOSTS", 5)
    monkeypatch.setattr(tally_module, "ROWS", 3)
    tally = Tally()
    for number in range(5):
        tally.feed(_record(f"t{number}", layer=f"l{number}"), {"host": f"h{number}"})
    assert (len(tally.layers or {}), len(tally.domains_touched or [])) == (5, 5)
    for number in range(5, 50):
        tally.feed(_record(f"t{number}", layer=f"l{number}"), {"host": f"h{number}"})
        tally.feed(_record(f"t{number}", "allow", decision_phase="outcome"), {"host": f"h{number}"})
    assert (tally.layers, tally.domains_touched) == (None, None)
    assert (len(tally.denials), len(tally.contacts), tally.denied) == (3, 3, 50)
    tally.feed(_record("t0", layer="l0"), {})
    assert len(tally.denials) == 3
