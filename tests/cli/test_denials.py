"""What a run says while it runs, of receipts as the recorder gives them."""

from __future__ import annotations

import attrs
from tests.evidence.found import API, COMMITMENT_KEY, ENTROPY, KNOWN, RULE, SECRET, TOKEN

from trio_egress.cli.denials import DENIALS_SHOWN, Denials
from trio_egress.drafts import draft_attempt, draft_finding, draft_outcome
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.redact import Redactor
from trio_egress.evidence.scan_facts import Found, ToldFinding, in_header, tell_findings
from trio_egress.model import Attempt, Decision, Layer, Protocol, Transport, Upstream

PATH = f"/v1/{TOKEN.decode()}"
ATTEMPT = Attempt(Transport.INTERCEPT, Protocol.HTTP, API, 443, "POST", PATH, secure=True)
DENIED = Decision(False, Layer.SCAN, "something was found", RULE)
ALLOWED = Decision(True, Layer.RULE, "allowed", RULE, Upstream(API, 443))


def _tell(draft: Draft) -> Draft:
    return tell_findings(draft, Redactor(COMMITMENT_KEY).commit_value)


def _draft(decision: Decision, *findings: ToldFinding) -> Draft:
    phase = "intent" if decision.allowed else ""
    return _tell(draft_attempt(ATTEMPT, decision, {"findings": Found(findings)}, phase))


def _show(*drafts: Draft) -> list[str]:
    said: list[str] = []
    denials = Denials(said.append)
    for draft in drafts:
        denials.show(draft)
    return said


def test_a_denial_says_where_what_was_found_stood_and_not_what_it_was() -> None:
    (line,) = _show(_draft(DENIED, SECRET))
    assert line.startswith("denied POST https://api.example.com:443/v1/[acme-token:")
    assert line.endswith("]: something was found (found acme-token in header x-api-key (base64))")


def test_what_is_let_through_is_said_once_and_what_is_suppressed_never() -> None:
    draft = _draft(ALLOWED, ENTROPY, KNOWN)
    (line,) = _show(draft, draft)
    assert line.startswith("found random in body, let through: POST https://")


def test_what_could_not_be_looked_into_is_said_where_it_went_on() -> None:
    intent = _draft(ALLOWED, KNOWN)
    facts = {"unscanned": "an unknown\x1b coding", "dialled": "198.51.100.1:443"}
    told = draft_outcome(intent, "allow", "rule", facts)
    (line,) = _show(told, told)
    assert line.startswith("not looked through (an unknown\\x1b coding): POST https://")
    assert len(_show(draft_outcome(intent, "block", "scan", {"unscanned": "x", "reason": "y"}))) == 1


def test_what_was_allowed_and_could_not_be_reached_is_said_once() -> None:
    decision = attrs.evolve(ALLOWED, reason=f"{RULE} allows it")
    intent = draft_attempt(ATTEMPT, decision, {}, "intent")
    missed = draft_outcome(intent, "allow", "rule", {"reason": "api.example can't be\x1b resolved"})
    (line,) = _show(intent, missed, missed)
    assert line.startswith("not reached POST https://api.example.com:443/v1/")
    assert line.endswith(": api.example can't be\\x1b resolved")
    assert _show(intent, draft_outcome(intent, "allow", "rule", {})) == []  # of itself no fault
    assert _show(attrs.evolve(missed, transport="mcp_stdio")) == []  # which leads to no connection
    assert _show(attrs.evolve(missed, facts={**missed.facts, "tls": "intercepted"})) == []
    reset = {"reason": "the upstream reset the connection", "dialled": "198.51.100.1:443"}
    assert _show(intent, draft_outcome(intent, "allow", "rule", reset)) == []


def test_an_answer_that_is_stripped_is_said_and_one_that_is_cut_by_its_outcome() -> None:
    intent = _draft(ALLOWED, KNOWN)
    found = [attrs.evolve(SECRET, action=action) for action in ("strip", "block")]
    finding = draft_finding(intent, _tell, Found((found[0],)))
    cut = draft_finding(intent, _tell, Found((found[1],)))
    assert [line.partition(":")[0] for line in _show(finding, cut)] == [
        "found acme-token in header x-api-key (base64), stripped"
    ]


def test_what_a_peer_chose_steers_no_terminal_and_a_flood_ends() -> None:
    drafts = [
        _draft(ALLOWED, attrs.evolve(ENTROPY, place=in_header(b"x\x1b[2J%d" % number)))
        for number in range(DENIALS_SHOWN + 9)
    ]
    said = _show(*drafts)
    assert len(said) == DENIALS_SHOWN + 1
    assert said[-1] == "more was denied or found; the receipts have all of it"
    assert all(line.isprintable() for line in said)
