"""What receipts tell of findings, held against the policy."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.policy.specimens import make_policy

from trio_egress.model import NO_NEEDS, Need, Suppression
from trio_egress.policy.recall import decide_again
from trio_egress.policy.recall_scan import hold_findings
from trio_egress.policy.rule import Policy

ABLE = frozenset({Need.METER, Need.TLS, Need.SCAN})
FINDING: dict[str, Any] = {
    "detector": "acme-token",
    "kind": "secret",
    "place": "body",
    "action": "block",
    "severity": "high",
    "commitment": f"[acme-token:{'0' * 32}]",
    "count": 1,
}
FACTS: dict[str, Any] = {
    "host": "a.example",
    "port": 443,
    "proto": "http",
    "rule": "egress[0] 'a.example' (line 1)",
    "findings": [FINDING],
}
RECORD: dict[str, Any] = {
    "transport": "intercept",
    "target": "https://a.example:443/p",
    "method": "POST",
    "verdict": "block",
    "layer": "scan",
}
LATE: dict[str, Any] = {"parent_action_id": "01a3185c-5000-7000-8000-000000000001"}


def _policy(scan: object = True) -> Policy:
    return make_policy({"destination": "a.example", **({} if scan is None else {"scan": scan})})


def _hold(policy: Policy, *findings: dict[str, Any], since_us: int = 0, **record: Any) -> str:
    facts = {**FACTS, "findings": [{**FINDING, **each} for each in findings or ({},)]}
    found = hold_findings(policy, {**RECORD, **record}, facts, since_us)
    return "" if found is None else f"{found.found} | {found.expected}"


def test_a_denial_by_a_scan_stands_where_the_rule_asks_for_one() -> None:
    assert decide_again(_policy(), RECORD, FACTS, ABLE) is None
    assert _hold(_policy()) == ""
    assert _hold(_policy(None)) == "a scan by egress[0] | none: it asks for no scan"


def test_a_denial_by_a_scan_of_what_no_rule_allows_is_not_that_rules() -> None:
    elsewhere = {**FACTS, "host": "b.example"}
    record = {**RECORD, "target": "https://b.example:443/p"}
    assert decide_again(_policy(), record, elsewhere, ABLE) is not None
    facts = {name: value for name, value in FACTS.items() if name != "rule"}
    assert hold_findings(_policy(), RECORD, facts, 0) is not None
    assert hold_findings(_policy(), {**RECORD, "layer": "default_deny"}, facts, 0) is None


def test_a_receipt_of_findings_alone_is_not_decided_and_is_held() -> None:
    warned = {**RECORD, **LATE, "verdict": "warn"}
    assert decide_again(_policy(), warned, FACTS, NO_NEEDS) is None
    assert _hold(_policy({"secret": "block"}), {"action": "warn"}, **LATE) != ""


@pytest.mark.parametrize(
    ("scan", "finding", "holds"),
    [
        (True, {}, True),
        (True, {"action": "warn"}, True),
        (True, {"action": "strip"}, False),
        (True, {"action": "strip", "place": "answer body"}, True),
        ({"secret": "warn"}, {}, False),
        ({"secret": "warn"}, {"action": "warn"}, True),
        ({"secret": "warn"}, {"kind": "exact"}, True),
        ({"secret": "off"}, {}, False),
        ({"secret": "warn", "detectors": {"acme-token": "block"}}, {}, True),
        ({"instruction": "strip"}, {"kind": "instruction", "action": "block"}, True),
        ({"instruction": "strip"}, {"kind": "instruction", "place": "answer body", "action": "strip"}, True),
        ({"instruction": "strip"}, {"kind": "instruction", "place": "answer body", "action": "warn"}, False),
        ({"instruction": "strip"}, {"kind": "instruction", "place": "answer body", "action": "block"}, True),
        ({"answers": False}, {}, True),
        ({"answers": False}, {"place": "answer header x"}, False),
        ({"requests": False}, {"place": "header x"}, False),
        (True, {"action": "suppressed"}, False),
    ],
)
def test_what_was_done_is_what_the_policy_says(scan: object, finding: dict[str, Any], holds: bool) -> None:
    assert (_hold(_policy(scan), finding) == "") is holds


def test_the_second_finding_is_held_too() -> None:
    assert _hold(_policy({"secret": "block"}), {}, {"action": "warn"}) != ""


def test_what_is_suppressed_is_what_the_policy_names_and_not_for_ever() -> None:
    policy = _policy()
    known = Suppression("sha256:00", "acme-token", "a test value", 1000)
    terms = {
        scan: attrs.evolve(said, suppressed={"sha256:00": known}) for scan, said in policy._scans.items()
    }
    object.__setattr__(policy, "_scans", terms)
    assert _hold(policy, {"action": "suppressed"}, since_us=999) == ""
    assert _hold(policy, {"action": "suppressed"}, since_us=1000) != ""
    assert _hold(policy, {"action": "suppressed", "detector": "other"}, since_us=999) != ""


def test_what_can_not_be_looked_into_ends_it_only_where_the_policy_says_so() -> None:
    facts = {name: value for name, value in FACTS.items() if name != "findings"}
    facts["unscanned"] = "gzip that ends early"
    assert hold_findings(_policy(), RECORD, facts, 0) is None
    assert hold_findings(_policy({"unreadable": "warn"}), RECORD, facts, 0) is not None


@pytest.mark.parametrize(
    "findings", [None, 5, [], [5], [{}], [{"place": 5, "kind": [], "detector": {}, "action": []}]]
)
def test_no_fact_raises(findings: object) -> None:
    for rule in ("egress[0]", "egress[999999999999]", None, 5):
        hold_findings(_policy(), RECORD, {**FACTS, "findings": findings, "rule": rule}, 0)
