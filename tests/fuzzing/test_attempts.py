"""Attempts as strategies."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import hypothesis
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from trio_egress.fuzzing.attempts import attempts, attempts_at, mutations, render_attempt
from trio_egress.fuzzing.meant import attempts_for
from trio_egress.fuzzing.moments import ever_allowed
from trio_egress.fuzzing.policies import policies
from trio_egress.model import Attempt, Name, Protocol, Transport
from trio_egress.policy.engine import decide
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy

POLICY = load_policy(
    """\
version = "1.0"
default_deny = true
[[egress]]
destination = "api.example.com"
methods = ["GET"]
[[egress]]
destination = "*.example.org:2222"
[[egress]]
destination = "10.0.0.0/8"
allow_private = true
[resolve]
"pinned.example:7000" = "127.0.0.1"
""",
    "agent.toml",
)
BARE = Attempt(Transport.DNS, Protocol.DNS, Name("x"), 0)
SEARCH = hypothesis.settings(
    max_examples=1500, database=None, derandomize=True, phases=[hypothesis.Phase.generate]
)


@given(attempts())
def test_every_attempt_is_one_that_can_be(attempt: Attempt) -> None:
    assert (attempt.port == 0) is (attempt.protocol is Protocol.DNS and isinstance(attempt.host, str))
    assert attempt.protocol is Protocol.HTTP or attempt == attrs.evolve(
        BARE, **{field: getattr(attempt, field) for field in ("transport", "protocol", "host", "port")}
    )


@pytest.mark.parametrize("place", range(3))
def test_what_a_rule_is_for_is_often_allowed_by_it(place: int) -> None:
    rule = POLICY.rules[place]
    allowed = find(attempts_for(rule), lambda attempt: decide(POLICY, attempt).allowed, settings=SEARCH)
    assert decide(POLICY, allowed).rule == rule.ref


EVERY_KEY = [
    "",
    '{destination = "a.example", methods = ["POST"], paths = ["/v1/*/x", "/docs/**"]}',
    '{destination = "a.example:8443", query = ["page"], headers = {required = ["x-a"], forbidden = ["cookie"]}}',
    '{destination = "*.a.example", git = {fetch = ["org/*"]}}',
    '{destination = "*.a.example", git = {push = ["org/*"]}}',
    '{destination = "a.example", graphql = {queries = ["get_*"], operations = ["x"]}}',
    '{destination = "a.example", jsonrpc = {methods = ["get_*"]}}',
    '{destination = "a.example", mcp = {tools = ["search"]}}',
    '{destination = "a.example", mcp = {methods = ["tools/list"]}}',
    '{destination = "a.example", ports = ["8000-8099", 22], protocol = ["ssh"]}',
    '{destination = "a.example", protocol = "wss", websocket = {enabled = true, frame_scan = true}}',
    '{destination = "a.example", times = ["Sun 10:00-11:00 UTC"], limits = {requests = "1/second", body = 100}}',
    '{destination = "a.example", tls = "passthrough"}',
    '{destination = "10.0.0.0/8", allow_private = true, scan = true}',
    '{destination = "a.example:5432", protocol = "tcp"}',
    "",
][1:-1]


@pytest.mark.parametrize("rule", EVERY_KEY)
def test_what_the_writer_of_a_rule_had_in_mind_is_allowed_at_some_moment(rule: str) -> None:
    policy = load_policy(f'version = "1.0"\ndefault_deny = true\negress = [{rule}]\n', "f")
    meant = attempts_for(policy.rules[0]).filter(lambda attempt: attempt.protocol is not Protocol.DNS)
    assert ever_allowed(
        policy, find(meant, lambda attempt: ever_allowed(policy, attempt) is not None, settings=SEARCH)
    )
    tried = [0, 0]

    @hypothesis.settings(SEARCH, max_examples=60)
    @given(meant)
    def count(attempt: Attempt) -> None:
        tried[ever_allowed(policy, attempt) is not None] += 1

    count()
    assert tried[True] > tried[False] // 2


@pytest.mark.parametrize(
    "wanted",
    [
        lambda attempt: decide(POLICY, attempt).allowed and attempt.protocol is Protocol.HTTP,
        lambda attempt: decide(POLICY, attempt).allowed and attempt.port == 2222,
        lambda attempt: attempt.host == "example.org",
        lambda attempt: str(attempt.host).startswith("11."),
        lambda attempt: attempt.host == "xpinned.example",
        lambda attempt: attempt.method == "get",
    ],
)
def test_what_a_policy_decides_and_what_is_beside_it_is_tried(wanted: Callable[[Attempt], bool]) -> None:
    assert wanted(find(attempts_at(POLICY), wanted, settings=SEARCH))


def test_hosts_and_ports_of_interest_are_tried_too() -> None:
    asked = attempts_at(POLICY, st.just(Name("db.internal")), [5432])
    assert find(asked, lambda attempt: (attempt.host, attempt.port) == ("db.internal", 5432), settings=SEARCH)


@given(policies(), st.data())
def test_every_policy_has_attempts(policy: Policy, data: st.DataObject) -> None:
    assert isinstance(data.draw(attempts_at(policy)), Attempt)


@given(attempts(), st.data())
def test_a_mutation_changes_one_thing_at_most(attempt: Attempt, data: st.DataObject) -> None:
    changed = data.draw(mutations(attempt))
    fields = [field.name for field in attrs.fields(Attempt)]
    assert sum(getattr(attempt, field) != getattr(changed, field) for field in fields) <= 1


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (Attempt(Transport.DNS, Protocol.DNS, Name("a.example"), 0), "a DNS query for a.example"),
        (
            Attempt(Transport.FORWARD, Protocol.HTTP, Name("a.example"), 80, "GET", "/x"),
            "HTTP to a.example:80 ('GET' /x by forward)",
        ),
        (
            Attempt(Transport.TRANSPARENT, Protocol.TCP, Name("a.example"), 22),
            "TCP to a.example:22 (by transparent)",
        ),
    ],
)
def test_an_attempt_is_told_in_one_line(attempt: Attempt, said: str) -> None:
    assert render_attempt(attempt) == said
