"""What would let a denied attempt through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evidence.specimens import Scribe
from tests.pages.specimens import DOCS_RULE, begin, deny, deny_method, deny_packet, look_up, make_dossier

from trio_egress.model import Attempt, Name, Protocol, Transport
from trio_egress.pages.advice import Advice, Place, advise, find_place
from trio_egress.policy.engine import decide
from trio_egress.policy.load import load_policy


def ask(scribe: Scribe, policy: str | None = None) -> Advice:
    """Of the first denial."""
    dossier = make_dossier(scribe.close().lines)
    denial = next(iter(dossier.story.denials.values()))
    known = dossier.policies
    if policy is not None:
        known = {str(denial.record["policy_hash"]): load_policy(policy, "policy.toml")}
    return advise(denial, known, dossier.story.open_facts)


def test_a_name_is_allowed_by_its_destination_alone() -> None:
    assert ask(look_up(begin(), "evil.example")) == Advice('[[egress]]\ndestination = "evil.example"')


def test_a_method_is_allowed_by_method_and_path() -> None:
    advice = ask(deny_method(begin()))
    assert advice.rule.splitlines() == [
        "[[egress]]",
        'destination = "docs.example.com"',
        'methods = ["POST"]',
        'paths = ["/v1"]',
    ]


def test_with_the_rule_the_engine_allows_the_attempt() -> None:
    rule = ask(begin().block("evil.example")).rule
    policy = load_policy(f'version = "1.0"\ndefault_deny = true\n{rule}\n', "policy.toml")
    attempt = Attempt(Transport.TRANSPARENT, Protocol.TLS, Name("evil.example"), 443)
    assert decide(policy, attempt).allowed


def test_no_rule_is_shown_for_what_no_rule_allows() -> None:
    assert "No rule can allow" in ask(deny_packet(begin())).words
    call = deny(begin(), transport="syscall", layer="kernel", target="syscall:unshare", facts={"count": 1})
    assert "system call" in ask(call).words


def test_where_a_rule_denies_no_further_one_is_shown() -> None:
    deny = 'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "evil.example"\ndeny = true\n'
    advice = ask(begin().block("evil.example"), deny)
    assert (advice.rule, "changed or removed" in advice.words) == ("", True)


def test_limits_and_addresses_are_told_as_what_they_are() -> None:
    rule = {
        "rule": "egress[0] 'api.example.com' (line 4)",
        "host": "api.example.com",
        "port": 443,
        "proto": "tls",
    }
    used = deny(begin(), "api.example.com", layer="limit", facts={**rule, "connection": 1})
    assert "limits" in ask(used).words
    shown = deny(begin(), "api.example.com", layer="host_key", facts={**rule, "connection": 1})
    assert "Compare the key" in ask(shown).words
    led = deny(begin(), "api.example.com", layer="address", facts={**rule, "connection": 1})
    assert "allow_private" in ask(led).words


def test_without_the_policy_nothing_is_said() -> None:
    scribe = begin().block("evil.example")
    dossier = make_dossier(scribe.lines)
    assert advise(next(iter(dossier.story.denials.values())), {}, {}) == Advice()


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        (DOCS_RULE, Place("", 7)),
        ("egress[3] ci 'x.example:80' (org/base.toml line 12)", Place("org/base.toml", 12)),
        ("egress[3] 'x.example' (line 12) and more", None),
        ("", None),
        (7, None),
    ],
)
def test_a_rule_is_found_where_it_stands(rule: object, place: Place | None) -> None:
    assert find_place({"rule": rule}) == place


@given(
    st.text(), st.text(max_size=20), st.integers(), st.text(), st.sampled_from(["http", "tls", "dns", "ssh"])
)
def test_no_denial_raises(host: str, method: str, port: int, target: str, proto: str) -> None:
    port %= 65536
    facts = {"host": host, "port": port, "proto": proto, "rule": target, "connection": 1}
    scribe = begin().block(target=target or "x", method=method, facts=facts)
    advice = ask(scribe)
    assert not (advice.rule and advice.words)
