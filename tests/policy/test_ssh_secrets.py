"""git over SSH in a policy: what a rule and its key must say, and what is decided by it."""

from __future__ import annotations

import attrs
import pytest

from trio_egress.errors import PolicyError
from trio_egress.model import Attempt, Layer, Need, Protocol, Transport
from trio_egress.policy.compiled import parse_compiled, policy_hash, render_compiled
from trio_egress.policy.diff import compare
from trio_egress.policy.engine import decide, leads_to_git
from trio_egress.policy.explain import explain, suggest
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.intercepted import find_intercepted
from trio_egress.policy.known_hosts import render_known_hosts, render_ssh_config
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.recall import decide_again
from trio_egress.policy.rule import Policy
from trio_egress.policy.services import FETCH, PUSH
from trio_egress.policy.spelling import parse_spelling
from trio_egress.policy.ssh_secrets import find_git_rules, find_ssh_key
from trio_egress.policy.writing import render_rule

HEAD = 'version = "1.0"\ndefault_deny = true\n'
ABLE = Moment(able=frozenset(Need))
PIN = f"SHA256:{'A' * 43}"


def rule(
    destination: str = "a.example",
    git: str = 'fetch = ["org/*"]',
    *,
    pins: str = f'["{PIN}"]',
    more: str = "",
) -> str:
    said = f'[[egress]]\ndestination = "{destination}"\nprotocol = "ssh"\ngit = {{ {git} }}\n{more}'
    return said + (f"host_keys = {pins}\n" if pins else "")


def key(*to: str, name: str = "deploy", as_: str = '"ssh"', more: str = "") -> str:
    listed = ", ".join(f'"{each}"' for each in to or ("a.example",))
    return f'[[secret]]\nname = "{name}"\nfrom = {{ env = "{name}" }}\nto = [{listed}]\nas = {as_}\n{more}'


MADE = key()


def load(*texts: str) -> Policy:
    return load_policy(HEAD + "".join(texts), "f.toml")


def problem_of(*texts: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load(*texts)
    return "\n".join(f"{problem.source_line}: {problem.message}" for problem in caught.value.problems)


def ask(path: str | None, service: str | None = FETCH, host: str = "a.example", port: int = 22) -> Attempt:
    return Attempt(
        Transport.TRANSPARENT,
        Protocol.SSH,
        parse_host(host),
        port,
        path=path,
        service=service if path else None,
    )


@pytest.mark.parametrize(
    ("path", "service", "allowed"),
    [
        ("/org/repo", FETCH, True),
        ("/org/repo.git", FETCH, True),
        ("/org/a", PUSH, True),
        ("/org/repo", PUSH, False),
        ("/Org/repo", FETCH, False),
        ("/other/repo", FETCH, False),
        ("/org/x/repo", FETCH, False),
        ("/~org/repo", FETCH, False),
        ("/~me/mine", FETCH, True),
        ("/org/repo", "git-upload-archive", False),
        (None, None, False),
    ],
)
def test_a_command_is_decided_by_its_service_and_repository(
    path: str | None, service: str | None, allowed: bool
) -> None:
    policy = load(rule(git='fetch = ["org/*", "*/repo2", "~me/mine"], push = ["org/a"]'), key())
    decision = decide(policy, ask(path, service), ABLE)
    assert decision.allowed is allowed
    assert decision.layer is (Layer.RULE if allowed else Layer.OPERATION)
    assert decision.needs == {Need.HOST_KEY, Need.GIT_SSH}
    if allowed and decision.upstream is not None:
        assert decision.upstream.host_keys == frozenset({PIN})


def test_a_wildcard_names_no_home_directory() -> None:
    policy = load(rule(git='fetch = ["**"]'), key())
    assert decide(policy, ask("/user/repo"), ABLE).allowed
    assert not decide(policy, ask("/~user/repo"), ABLE).allowed


def test_without_the_ability_nothing_is_carried() -> None:
    decision = decide(load(rule(), key()), ask("/org/a"), Moment(able=frozenset({Need.HOST_KEY})))
    assert (decision.allowed, decision.layer) == (False, Layer.INTERCEPTION)
    assert "SSH to be ended here for git" in decision.reason


def test_ssh_ends_where_git_is_carried_and_nowhere_else() -> None:
    policy = load(rule(), key())
    assert leads_to_git(policy, ask(None), ABLE)
    assert not leads_to_git(policy, ask(None, port=2222), ABLE)
    assert not leads_to_git(policy, ask(None, host="b.example"), ABLE)
    assert not leads_to_git(policy, attrs.evolve(ask(None), protocol=Protocol.TCP), ABLE)
    assert find_intercepted(policy) == ()


def test_what_denies_all_of_it_leaves_nothing_to_ask() -> None:
    denial = '[[egress]]\ndestination = "*.example"\ndeny = true\nprotocol = "ssh"\n'
    assert not leads_to_git(load_with_denial(denial), ask(None), ABLE)


def load_with_denial(denial: str) -> Policy:
    """From another file, since a rule that can never match is an error in one."""
    policy, other = load(rule("*.example"), key("x.example")), load(denial)
    return attrs.evolve(policy, rules=(*policy.rules, *(attrs.evolve(one, rank=9) for one in other.rules)))


@pytest.mark.parametrize(
    ("path", "service", "denied"),
    [
        ("/org/a", PUSH, True),
        ("/ORG/A.git", PUSH, True),
        ("/~x/y", PUSH, True),
        ("/org/a", FETCH, False),
        ("/org/b", PUSH, False),
    ],
)
@pytest.mark.parametrize("protocol", ['protocol = "ssh"\n', ""])
def test_a_rule_that_denies_is_about_every_spelling(
    path: str, service: str, denied: bool, protocol: str
) -> None:
    denial = f'[[egress]]\ndestination = "a.example"\ndeny = true\n{protocol}git = {{ push = ["org/a"] }}\n'
    policy = load(rule(git='fetch = ["**", "~x/y"], push = ["**", "~x/y", "ORG/A"]'), key(), denial)
    decision = decide(policy, ask(path, service), ABLE)
    assert decision.allowed is not denied
    assert leads_to_git(policy, ask(None), ABLE)
    assert decision.layer is (Layer.DENY_RULE if denied else Layer.RULE)


def test_an_unseen_connection_could_be_what_is_denied() -> None:
    denial = (
        '[[egress]]\ndestination = "a.example"\ndeny = true\nprotocol = "ssh"\ngit = { push = ["org/a"] }\n'
    )
    policy = load('[[egress]]\ndestination = "a.example:22"\n', denial)
    assert not decide(policy, ask(None), ABLE).allowed


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ((rule(pins=""), key()), "pin it with `host_keys`"),
        ((rule(),), 'add [[secret]] with to = ["a.example"] and as = "ssh"'),
        ((rule(), key(), key(name="other")), "the keys deploy and other both go there"),
        ((rule(), key(), key("b.example", name="b")), "no rule carries git over SSH to b.example"),
        ((rule(), key("a.example:2222")), "no rule carries git over SSH to a.example:2222"),
        ((rule(), key(as_='["ssh", "basic"]')), 'as = "ssh" stands alone'),
        ((rule(), key(as_='"ssh:"')), "which user does the key log in as?"),
        ((rule(), key(as_='"ssh:-oProxyCommand"')), "which user does the key log in as?"),
        ((rule(), key(more='env = "KEY"\n')), "`env` is for what stands in a request"),
        ((rule(), key(more='placeholder = "0000placeholder0000"\n')), "`placeholder` is for what stands"),
        ((rule(more='paths = ["/a"]\n'), key()), "write a rule of its own for `paths`"),
        ((rule(more="scan = true\n"), key()), "`scan` says something of requests, and ssh has none"),
        ((rule(git="fetch = []"), key()), "`git` names no repository"),
        (
            (rule().replace('"ssh"', '["https", "ssh"]').replace(f'host_keys = ["{PIN}"]\n', ""),),
            "git over SSH is a rule of its own",
        ),
    ],
)
def test_what_can_not_be_carried_is_an_error(texts: tuple[str, ...], message: str) -> None:
    assert message in problem_of(*texts)


def test_a_key_goes_to_its_places_alone() -> None:
    ports = rule("b.example", more="ports = [22, 2222]\n")
    policy = load(rule(), ports, key(as_='"ssh:git"'), key("b.example:2222", name="other", as_='"ssh:me"'))
    assert [terms.destination.pattern for terms in find_git_rules(policy)] == [
        one.terms.destination.pattern for one in policy.rules
    ]
    found = [
        find_ssh_key(policy, parse_host(host), port)
        for host, port in (("a.example", 22), ("b.example", 2222))
    ]
    assert [(secret.name, secret.ssh_user) for secret in found if secret] == [
        ("deploy", "git"),
        ("other", "me"),
    ]
    assert find_ssh_key(policy, parse_host("a.example"), 443) is None
    assert find_ssh_key(policy, parse_host("b.example"), 22) is None


def test_the_compiled_form_is_read_back_and_a_usual_user_is_none() -> None:
    policy = load(rule(), key())
    assert policy_hash(policy) == policy_hash(load(rule(), key(as_='["ssh:git"]')))
    again = parse_compiled(render_compiled(policy))
    assert render_compiled(again) == render_compiled(policy)
    assert decide(again, ask("/org/a"), ABLE).allowed


def test_the_client_inside_knows_the_key_of_the_boundary_alone() -> None:
    policy = load(rule("a.example:2222"), key("a.example:2222"))
    assert render_known_hosts(policy, "ssh-ed25519 AAAA") == "[a.example]:2222 ssh-ed25519 AAAA\n"
    assert render_known_hosts(policy) == render_ssh_config(policy) == ""


@pytest.mark.parametrize(
    ("asked", "key", "name"),
    [
        ("ssh://git@a.example/other/x.git", "fetch", "other/x"),
        ("ssh://a.example/org/x?service=git-receive-pack", "push", "org/x"),
    ],
)
def test_a_suggestion_is_the_same_rule_for_one_repository(asked: str, key: str, name: str) -> None:
    policy = load(rule(), MADE)
    suggested = suggest(policy, parse_spelling(asked), ABLE)
    assert suggested is not None
    text = render_rule(suggested)
    assert f'git = {{ {key} = ["{name}"] }}' in text
    assert explain(load(rule(), f"{text}\n", MADE), parse_spelling(asked), ABLE).allowed


def test_what_is_no_command_of_git_has_no_suggestion_that_opens_all_of_ssh() -> None:
    assert suggest(load(rule(), MADE), parse_spelling("ssh://a.example"), ABLE) is None


@pytest.mark.parametrize(
    "asked", ["POST ssh://a.example/x", "ssh://a.example/x?service=git-upload-archive", "tcp://a.example:1/x"]
)
def test_a_path_over_ssh_is_gits_alone(asked: str) -> None:
    with pytest.raises(ValueError, match=r"ssh:// with a path|no method and no path"):
        parse_spelling(asked)


def test_a_difference_of_repositories_is_told_as_what_it_opens() -> None:
    narrow, wide = load(rule(), MADE), load(rule(git='fetch = ["org/*"], push = ["org/a"]'), MADE)
    assert [change.effect for change in compare(narrow, wide)] == ["opens"]
    assert [change.effect for change in compare(wide, narrow)] == ["closes"]


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({}, None),
        ({"service": PUSH}, "allow rule egress[0]"),
        ({"secrets_used": ["[other:0000]"]}, "the secret other put in"),
    ],
)
def test_a_receipt_is_decided_again_by_service_and_repository(
    facts: dict[str, object], found: str | None
) -> None:
    record = {
        "transport": "transparent",
        "target": "ssh://a.example:22/org/repo.git",
        "verdict": "allow",
        "layer": "rule",
        "decision_phase": "intent",
    }
    told = {
        "proto": "ssh",
        "host": "a.example",
        "port": 22,
        "service": FETCH,
        "rule": "egress[0] 'a.example'",
    }
    told |= {"secrets_used": ["[deploy:0000]"], "command": "git-upload-pack 'org/repo.git'"}
    difference = decide_again(load(rule(), MADE), record, {**told, **facts}, frozenset(Need))
    assert (difference and difference.found) == found
