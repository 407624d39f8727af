"""What a run says when it is over."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.cli.ending import DENIALS_KEPT, RULES_SHOWN, Ending
from trio_egress.drafts import draft_attempt, draft_outcome
from trio_egress.evidence.receipt import Draft
from trio_egress.model import Attempt, Decision, Layer, Name, Protocol, Transport, Upstream
from trio_egress.policy.engine import decide
from trio_egress.policy.load import load_policy
from trio_egress.runtime.spec import End, RunResult
from trio_egress.views.lines import Colour, Paint, leave_plain

TEXT = (
    'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "api.example.com"\nmethods = ["GET"]\n'
)
POLICY = load_policy(TEXT, "p.toml")
RESULT = RunResult(End.EXITED, Path("audit"), "run", 0, refused=1234, head="ab")


def attempt(host: str, method: str = "GET") -> Attempt:
    return Attempt(Transport.FORWARD, Protocol.HTTP, Name(host), 80, method, "/")


def draft(tried: Attempt) -> Draft:
    decision = decide(POLICY, tried)
    return draft_attempt(tried, decision, {}, "intent" if decision.allowed else "")


def render(*drafts: Draft, paint: Paint = leave_plain) -> list[str]:
    ending = Ending(POLICY, paint)
    for each in drafts:
        ending.note(each)
    return ending.render(RESULT, "my audit", "00ff")


def read_rules(said: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in said.splitlines()[1:] if "more: see" not in line)


def test_where_nothing_was_denied_it_is_two_lines() -> None:
    counts, check = render(draft(attempt("api.example.com")))
    assert counts == "1 allowed, 1,234 denied; evidence in my audit, head ab"
    assert check == "check it with: trio-egress verify 'my audit' --public-key 00ff"


def test_what_was_allowed_and_not_reached_is_counted() -> None:
    intents = [draft(attempt("api.example.com")) for _ in range(2)]
    missed = draft_outcome(intents[0], "allow", "rule", {"reason": "it can't be resolved"})
    counts, _ = render(*intents, missed, draft_outcome(intents[1], "allow", "rule", {}))
    assert counts == "2 allowed (1 not reached), 1,234 denied; evidence in my audit, head ab"


def test_the_rules_that_it_tells_allow_what_was_denied_once_they_are_added() -> None:
    tried = [attempt("evil.example"), attempt("api.example.com", "POST"), attempt("evil.example")]
    _, rules, _ = render(*map(draft, tried))
    assert rules.count("[[egress]]") == 2
    added = load_policy(f"{TEXT}\n{read_rules(rules)}", "p.toml")
    assert all(decide(added, each).allowed for each in tried)


def test_a_flood_of_denials_is_a_few_rules_and_a_number() -> None:
    _, rules, _ = render(*(draft(attempt(f"x{number}.example")) for number in range(1000)))
    assert rules.count("[[egress]]") == RULES_SHOWN
    assert f"… and {DENIALS_KEPT - RULES_SHOWN} more" in rules
    assert load_policy(f"{TEXT}\n{read_rules(rules)}", "p.toml")


@pytest.mark.parametrize("layer", [Layer.KERNEL, Layer.MALFORMED, Layer.SCAN, Layer.SECRET])
def test_where_no_rule_helps_none_is_told(layer: Layer) -> None:
    decision = Decision(False, layer, "no")
    assert len(render(draft_attempt(attempt("evil.example"), decision, {}))) == 2


def test_after_a_change_of_the_policy_no_rule_of_the_old_one_is_told() -> None:
    change = Draft("00000000-0000-7000-8000-000000000000", "policy", "allow", "policy")
    assert len(render(change, draft(attempt("evil.example")))) == 2


def test_what_an_agent_put_into_a_path_steers_no_terminal() -> None:
    tried = Attempt(
        Transport.FORWARD, Protocol.HTTP, Name("evil.example"), 80, "GET", "/\x1b[31m\r\n[[egress]]"
    )
    said = "\n".join(render(draft_attempt(tried, Decision(False, Layer.DEFAULT_DENY, "no"), {})))
    assert all(line.isprintable() for line in said.split("\n"))


def test_colour_marks_what_there_is_of() -> None:
    def paint(text: str, colour: Colour) -> str:
        return f"<{colour.name} {text}>"

    counts, *_ = render(draft(attempt("api.example.com")), paint=paint)
    assert counts.startswith("<ALLOWED 1 allowed>, <DENIED 1,234 denied>; ")


def test_an_allowed_connection_that_ends_at_the_boundary_counts_by_its_requests() -> None:
    tried = Attempt(Transport.INTERCEPT, Protocol.HTTP, Name("api.example.com"), 443, "GET", "/", secure=True)
    allowed = Decision(True, Layer.RULE, "yes", None, Upstream(Name("api.example.com"), 443))
    tunnel = draft_attempt(attempt("api.example.com"), allowed, {"tls": "intercepted"}, "intent")
    assert render(tunnel, draft_attempt(tried, allowed, {}, "intent"))[0].startswith("1 allowed")
