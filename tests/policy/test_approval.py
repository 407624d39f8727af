"""`ask`: how it is read and written, which rule decides beside it, and what the verifier holds against it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from trio_egress.errors import PolicyError
from trio_egress.model import INTERCEPTED, Layer, Need
from trio_egress.policy.compiled import parse_compiled, render_compiled
from trio_egress.policy.diff import compare
from trio_egress.policy.engine import decide, decide_some
from trio_egress.policy.explain import explain
from trio_egress.policy.learn import Seen, learn
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.observe import observe
from trio_egress.policy.recall import Difference, decide_again
from trio_egress.policy.rule import Policy
from trio_egress.policy.spelling import parse_spelling

HEAD = 'version = "1.0"\ndefault_deny = true\n'
ABLE = frozenset(Need)
ASKING = 'destination = "a.example"\nask = true'
PLAIN = 'destination = "a.example"'


def policy_of(*rules: str) -> Policy:
    return load_policy(HEAD + "".join(f"[[egress]]\n{rule}\n" for rule in rules), "agent.toml")


def ask_of(policy: Policy, text: str) -> tuple[bool, int | None]:
    spelt = parse_spelling(text)
    decision = decide(policy, spelt.connection or spelt.attempt, Moment(able=ABLE))
    return decision.allowed, decision.ask


@pytest.mark.parametrize(
    ("said", "seconds", "written"),
    [
        ("true", 60, '"ask":true'),
        ("{ seconds = 60 }", 60, '"ask":true'),
        ("{ seconds = 5 }", 5, '"ask":{"seconds":5}'),
        ("false", None, None),
    ],
)
def test_what_it_says_has_one_form(said: str, seconds: int | None, written: str | None) -> None:
    policy = policy_of(f"{PLAIN}\nask = {said}")
    assert ask_of(policy, "https://a.example/") == (True, seconds)
    compiled = render_compiled(policy).decode()
    assert ("ask" in compiled) is (written is not None)
    assert written is None or written in compiled
    assert parse_compiled(compiled.encode()).rules[0].terms.ask == policy.rules[0].terms.ask


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("ask = 60", "ask must be true, false, or a table such as { seconds = 120 }, not 60"),
        ("ask = {}", "ask must be true, false, or a table"),
        ("ask = { seconds = 0 }", "ask.seconds must be from 1 to 3600, not 0"),
        ("ask = { seconds = 3601 }", "ask.seconds must be from 1 to 3600, not 3601"),
        ("ask = { seconds = true }", "ask.seconds must be a whole number such as 60, not true"),
        ("ask = { who = 1 }", "who"),
        ("ask = true\ndeny = true", "nobody has to be asked about what is denied"),
    ],
)
def test_what_says_nothing_is_an_error(said: str, message: str) -> None:
    with pytest.raises(PolicyError) as error:
        policy_of(f"{PLAIN}\n{said}")
    assert message in str(error.value)


@pytest.mark.parametrize("others", [(PLAIN,), (f'{PLAIN}\nmethods = ["GET"]',)])
def test_rule_that_asks_nobody_goes_before_one_that_asks(others: tuple[str, ...]) -> None:
    for rules in ((ASKING, *others), (*others, ASKING)):
        policy = policy_of(*rules)
        assert ask_of(policy, "http://a.example/") == (True, None)
        assert ask_of(policy, "https://a.example/") == (True, None)
    assert ask_of(policy_of(ASKING, *others), "POST http://a.example/")[0]
    assert ask_of(policy_of(ASKING), "http://a.example/") == (True, 60)


def test_name_is_looked_up_without_asking() -> None:
    assert ask_of(policy_of(ASKING), "dns:a.example") == (True, None)


def test_some_request_is_asked_about_too() -> None:
    policy = policy_of(f'{ASKING}\npaths = ["/a"]')
    attempt = parse_spelling("http://a.example/").attempt
    assert decide_some(policy, attempt, Moment(able=ABLE)).ask == 60


def test_rule_that_another_makes_useless_is_warned_of() -> None:
    (warning,) = policy_of(ASKING, PLAIN).find_warnings(time.time_ns() // 1000)
    assert "allows all of these hosts without `ask`, so here that restricts nothing" in warning.message
    assert policy_of(ASKING).find_warnings(0) == ()


def test_asking_closes_and_asking_no_more_opens() -> None:
    asks, plain, other = policy_of(ASKING), policy_of(PLAIN), policy_of(f"{PLAIN}\nask = {{ seconds = 9 }}")
    assert [(c.effect, c.text) for c in compare(plain, asks)] == [("closes", "a.example: ask not set → true")]
    assert [(c.effect, c.text) for c in compare(asks, plain)] == [("opens", "a.example: ask true → not set")]
    assert [c.effect for c in compare(asks, other)] == ["changes"]


def test_explanation_has_what_is_asked() -> None:
    explanation = explain(policy_of(ASKING), parse_spelling("http://a.example/"), Moment(able=ABLE))
    assert explanation.steps[-1].decision.ask == 60


def test_observing_asks_nobody_and_says_so() -> None:
    policy, attempt = policy_of(ASKING), parse_spelling("http://a.example/").attempt
    decision = observe(policy, attempt, decide(policy, attempt))
    assert (decision.allowed, decision.ask, decision.layer) == (True, None, Layer.OBSERVE)
    assert decision.reason == "observed, not enforced: egress[0] 'a.example' (line 3) asks somebody first"
    assert decision.upstream == decide(policy, attempt).upstream


def test_what_is_learnt_asks_nobody() -> None:
    attempt = parse_spelling("http://a.example/").attempt
    learnt = learn([Seen(attempt.host, 80, attempt.protocol, "GET")])
    assert "ask" not in learnt.text


# what the verifier says of it

TOLD = {"asked_of": "terminal", "answer": "allow", "answered_by": "anna at pts/3"}


def again(
    rules: tuple[str, ...], facts: dict[str, Any], tls: bool = False, **record: Any
) -> Difference | None:
    scheme, port = ("tls", 443) if tls else ("http", 80)
    whole = {
        "transport": "transparent",
        "target": f"{scheme}://a.example:{port}" + ("" if tls else "/"),
        "method": "" if tls else "GET",
        "verdict": "allow",
        "layer": "rule",
        "decision_phase": "intent",
        **record,
    }
    known = {"host": "a.example", "port": port, "proto": scheme, "rule": "egress[0] 'a.example' (line 3)"}
    return decide_again(policy_of(*rules), whole, {**known, **facts}, ABLE)


BLOCK: dict[str, Any] = {"verdict": "block", "layer": "approval", "decision_phase": ""}


def test_approved_attempt_is_no_difference() -> None:
    assert again((ASKING,), TOLD) is None


@pytest.mark.parametrize("missing", [*TOLD, "all"])
def test_allow_without_the_whole_answer_is_a_difference(missing: str) -> None:
    told = {} if missing == "all" else {name: value for name, value in TOLD.items() if name != missing}
    difference = again((ASKING,), told)
    assert difference is not None
    assert difference.found == "allowed without an approval"
    assert again((PLAIN,), told) is None  # the control: nobody had to be asked


@pytest.mark.parametrize("answer", ["deny", "timed_out", "nobody", "yes"])
def test_allow_by_another_answer_is_a_difference(answer: str) -> None:
    assert again((ASKING,), {**TOLD, "answer": answer}) is not None
    assert again((PLAIN,), {**TOLD, "answer": answer}) is not None


@pytest.mark.parametrize("rule", [ASKING, PLAIN])
def test_denial_for_want_of_approval_is_accepted_where_the_policy_allows(rule: str) -> None:
    assert again((rule,), {**TOLD, "answer": "deny"}, **BLOCK) is None
    assert again((rule,), TOLD, **BLOCK) is not None  # it was approved, and so is no denial


def test_denial_for_want_of_approval_by_another_rule_is_a_difference() -> None:
    other = {"rule": "egress[1] 'b.example' (line 6)", "answer": "deny"}
    assert again((ASKING,), other, **BLOCK) is not None
    assert again(('destination = "b.example"',), {"answer": "deny"}, **BLOCK) is not None


def test_tls_that_ends_at_the_boundary_needs_no_answer_of_its_own() -> None:
    inside = f'{ASKING}\nmethods = ["GET"]'
    assert again((inside,), {"tls": INTERCEPTED}, tls=True) is None
    assert again((inside,), {}, tls=True) is not None
    assert again((ASKING,), {"tls": INTERCEPTED}, tls=True) is not None
