"""Intents, outcomes and sums, fed by hand."""

from __future__ import annotations

import pytest

from trio_egress.evidence import pairing as pairing_module
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.pairing import Pairing


def _record(number: int, phase: str = "", verdict: str = "allow", **members: object) -> dict[str, object]:
    record = {
        "action_id": f"01a3185c-5000-7000-8000-{number:012x}",
        "target": "t",
        "transport": "dns",
        "action_type": "read",
        "verdict": verdict,
    }
    return {**record, **({"decision_phase": phase} if phase else {}), **members}


def _feed(*records: dict[str, object], facts: dict[str, object] | None = None) -> tuple[Pairing, list[str]]:
    findings = Findings()
    pairing = Pairing(findings, "e")
    for line, record in enumerate(records, 1):
        pairing.feed(record, facts or {}, line)
    return pairing, [finding.code for finding in findings.kept]


def test_a_closed_pair_is_forgotten_and_its_id_may_not_be_ended_twice() -> None:
    pairing, found = _feed(_record(1, "intent"), _record(1, "outcome"))
    assert (len(pairing), found) == (0, [])
    assert _feed(_record(1, "intent"), _record(1, "outcome"), _record(1, "outcome"))[1] == ["pair.no_intent"]


def test_pairs_may_overlap() -> None:
    pairing, found = _feed(*(_record(n, phase) for phase in ("intent", "outcome") for n in (1, 2, 3)))
    assert (len(pairing), found) == (0, [])


def test_open_intents_are_told_by_their_lines() -> None:
    pairing, _ = _feed(_record(1, "intent"), _record(2, "intent"), _record(1, "outcome"))
    assert list(pairing.lines_without_outcome()) == [2]


def test_an_intent_may_end_blocked_but_not_begin_so() -> None:
    assert _feed(_record(1, "intent"), _record(1, "outcome", "block"))[1] == []
    assert _feed(_record(1, "intent", "block"), _record(1, "outcome", "block"))[1] == ["pair.verdict"]


@pytest.mark.parametrize("phase", ["", "intent"])
def test_the_id_of_an_open_intent_is_taken(phase: str) -> None:
    assert _feed(_record(1, "intent"), _record(1, phase))[1] == ["pair.reuse"]
    assert _feed(_record(1, "intent"), _record(2, phase))[1] == []


@pytest.mark.parametrize("member", ["target", "transport", "method", "action_type"])
def test_an_outcome_is_about_what_its_intent_was(member: str) -> None:
    assert _feed(_record(1, "intent"), _record(1, "outcome", **{member: "x"}))[1] == ["pair.differs"]


def test_more_open_intents_than_any_run_has_are_found_once_and_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pairing_module, "OPEN_INTENTS", 3)
    pairing, found = _feed(*(_record(n, "intent") for n in range(10)))
    assert (len(pairing), found) == (3, ["pair.too_many"])


def test_sums_are_those_of_outcomes_alone() -> None:
    facts: dict[str, object] = {"bytes_up": 2, "bytes_down": 3}
    pairing, _ = _feed(_record(1, "intent"), _record(1, "outcome"), _record(2), facts=facts)
    assert (pairing.bytes_up, pairing.bytes_down) == (2, 3)
    assert _feed(_record(1, "intent"), _record(1, "outcome"))[0].bytes_up == 0


def test_sums_are_compared_where_they_are_stated() -> None:
    findings = Findings()
    pairing = Pairing(findings, "e")
    pairing.check_sums({}, 9)
    pairing.check_sums({"bytes_up": 0, "bytes_down": 0}, 9)
    assert findings.kept == []
    pairing.check_sums({"bytes_up": 1}, 9)
    assert [(f.code, f.line, f.found, f.expected, f.place) for f in findings.kept] == [
        ("sum.bytes", 9, "1", "0", "bytes_up")
    ]


def test_commands_are_compared_where_their_number_is_stated() -> None:
    findings = Findings()
    pairing = Pairing(findings, "e")
    pairing.check_sums({}, 9, commands=2)
    pairing.check_sums({"commands": 2}, 9, commands=2)
    assert findings.kept == []
    pairing.check_sums({"commands": 3}, 9, commands=2)
    assert [(f.code, f.found, f.expected) for f in findings.kept] == [("sum.commands", "3", "2")]


@pytest.mark.parametrize("fact", ["host", "port", "proto", "flow"])
def test_an_outcome_is_about_the_host_that_its_intent_names(fact: str) -> None:
    findings = Findings()
    pairing = Pairing(findings, "e")
    facts = {"host": "a.example", "port": 443, "proto": "tls", "flow": 1}
    for number, changed in ((1, facts), (2, {**facts, fact: "x"}), (3, {**facts, "status": 200})):
        pairing.feed(_record(number, "intent"), facts, 1)
        pairing.feed(_record(number, "outcome"), changed, 2 * number)
    assert [(finding.code, finding.line) for finding in findings.kept] == [("pair.differs", 4)]
