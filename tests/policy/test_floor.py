"""What only narrows a floor is taken; whatever else, with its place."""

from __future__ import annotations

import pytest

from trio_egress.model import Attempt, Protocol, Transport
from trio_egress.policy.change import OPENS
from trio_egress.policy.diff import compare
from trio_egress.policy.engine import decide
from trio_egress.policy.floor import find_wider
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy

HEAD = 'version = "1.0"\ndefault_deny = true\n'


def read(text: str) -> Policy:
    return load_policy(HEAD + text, "policy.toml")


def rule(destination: str, more: str = "") -> str:
    return f'[[egress]]\ndestination = "{destination}"\n{more}\n'


FLOOR = (
    rule("*.example.com", 'methods = ["GET", "POST"]')
    + rule("db.example.net", 'protocol = ["tcp"]\nports = [5432, 5433]')
    + rule("10.0.0.0/8", 'allow_private = true\nprotocol = ["tcp"]\nports = [8080]')
    + rule("*.example.com", 'deny = true\npaths = ["/admin/**"]')
    + rule("web.example.org")
    + '[files]\nwrite = ["/srv/cache"]\nhide = ["/srv/hidden"]\n'
    + "[limits]\nprocesses = 100\n"
)
DENIAL = rule("*.example.com", 'deny = true\npaths = ["/admin/**"]')
REST = '[files]\nhide = ["/srv/hidden"]\n[limits]\nprocesses = 100\n'
GET = 'methods = ["GET"]'


@pytest.mark.parametrize(
    "narrower",
    [
        FLOOR,
        DENIAL + REST,
        rule("*.example.com", GET) + DENIAL + REST,
        rule("api.example.com", GET) + DENIAL + REST,
        rule("*.api.example.com", f'{GET}\npaths = ["/v1/*"]\nreason = "said"\nname = "n"') + DENIAL + REST,
        rule("api.example.com", f"{GET}\nask = true") + DENIAL + REST,
        rule("api.example.com", f"{GET}\nscan = true") + DENIAL + REST,
        rule("api.example.com", f'{GET}\ntls = "intercept"') + DENIAL + REST,
        rule("db.example.net", 'protocol = ["tcp"]\nports = [5432]') + DENIAL + REST,
        rule("web.example.org", 'protocol = ["https"]') + DENIAL + REST,
        rule("10.1.2.3", 'protocol = ["tcp"]\nports = [8080]') + DENIAL + REST,
        rule("10.1.0.0/16", 'allow_private = true\nprotocol = ["tcp"]\nports = [8080]') + DENIAL + REST,
        DENIAL + rule("a.example.com", "deny = true") + REST,
        DENIAL + REST.replace('"/srv/hidden"', '"/srv/hidden", "/srv/more"').replace("100", "50"),
        DENIAL + REST + '[env]\npass = ["PATH"]\n',
    ],
)
def test_what_only_narrows_is_taken(narrower: str) -> None:
    assert find_wider(read(FLOOR), read(narrower)) == ()


@pytest.mark.parametrize(
    ("wider", "told"),
    [
        (rule("elsewhere.org"), "egress[0] 'elsewhere.org' (line 3): no rule of the floor leads there"),
        (rule("example.com", GET), "no rule of the floor leads there"),
        (rule("*.com", GET), "no rule of the floor leads there"),
        (rule("api.example.com:8443", GET), "no rule of the floor leads there"),
        (rule("10.0.0.0/7", 'protocol = ["tcp"]\nports = [8080]'), "no rule of the floor leads there"),
        (rule("*.example.com"), "`methods` is wider than the floor's egress[0]"),
        (rule("api.example.com", 'methods = ["GET", "DELETE"]'), "`methods` is wider"),
        (rule("db.example.net", 'protocol = ["tcp"]\nports = ["5432-5434"]'), "`ports` is wider"),
        (rule("db.example.net", 'protocol = ["https"]\nports = [5432]'), "`protocol` is wider"),
        (rule("web.example.org", 'protocol = ["tcp"]\nports = [443]'), "`ports` is wider"),
        (rule("web.example.org", 'protocol = ["wss"]'), "`protocol` is wider"),
        (rule("web.example.org", "allow_private = true"), "`allow_private` is wider"),
        (rule("web.example.org", 'tls = "passthrough"'), "`tls` is wider"),
        (rule("web.example.org", "websocket = { enabled = true }"), "`websocket` is wider"),
    ],
)
def test_a_rule_that_is_wider_is_told_with_its_place(wider: str, told: str) -> None:
    found = find_wider(read(FLOOR), read(wider + DENIAL + REST))
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize(
    ("wider", "told"),
    [
        (REST, "the floor's egress[3] '*.example.com' (line 15) denies, and the policy does not"),
        (DENIAL, "the agent sees /srv/hidden"),
        (DENIAL, "[limits] processes: 4096 is more than the floor's 100"),
        (DENIAL + REST.replace("hide =", 'write = ["/srv/other"]\nhide ='), "the agent may write /srv/other"),
        (DENIAL + REST.replace("hide =", 'protect = ["!.vscode"]\nhide ='), "the agent may change .vscode"),
        (DENIAL + REST + '[resolve]\n"a.example.com" = "192.0.2.1"\n', "[resolve] is not the floor's"),
        (DENIAL + REST + '[[secret]]\nname = "a"\nfrom = { env = "A" }\n', "[secret] is not the floor's"),
        (DENIAL + REST + '[upstream]\nproxy = "http://p.example:3128"\n', "[upstream] is not the floor's"),
    ],
)
def test_a_table_that_is_wider_is_told(wider: str, told: str) -> None:
    assert any(told in text for text in find_wider(read(FLOOR), read(wider))), find_wider(
        read(FLOOR), read(wider)
    )


@pytest.mark.parametrize(
    "terms", ["scan = true", "ask = true", 'limits = { requests = "5/minute" }', 'tls = "intercept"']
)
def test_no_rule_leads_around_the_terms_of_another(terms: str) -> None:
    strict = rule("api.example.com", terms)
    floor = read(rule("*.example.com") + strict)
    around = rule("api.example.com", GET)
    for policy in (rule("*.example.com"), strict + around, rule("*.example.com") + strict + around, around):
        assert any(
            "leads around the floor's egress[1]" in text for text in find_wider(floor, read(policy))
        ), policy
    for policy in (strict, rule("*.example.com") + strict, rule("b.example.com") + strict, ""):
        assert find_wider(floor, read(policy)) == ()
    assert find_wider(floor, read(rule("api.example.com", f"{GET}\n{terms}"))) == ()


def test_what_slips_between_examples_is_found_all_the_same() -> None:
    """The control is `compare`: the engine's examples show no difference here, and there is one."""
    door = 'protocol = ["tcp"]\nports = '
    floor = read(rule("a.example.com", f"{door}[5000, 5010]"))
    policy = read(rule("a.example.com", f'{door}["5000-5010"]'))
    attempt = Attempt(Transport.TRANSPARENT, Protocol.TCP, parse_host("a.example.com"), 5005)
    assert not decide(floor, attempt).allowed
    assert decide(policy, attempt).allowed
    assert [change for change in compare(floor, policy) if change.effect == OPENS] == []
    assert "`ports` is wider" in find_wider(floor, policy)[0]


@pytest.mark.parametrize(
    "own", ['requests = "5/minute"', "connections = 2", "bytes_up = 1000", "bytes_down = 1000"]
)
def test_a_budget_of_the_floor_is_had_once(own: str) -> None:
    """Each rule has one of its own: two rules below one of the floor's would have two."""
    limits = f"limits = {{ {own} }}"
    whole, one, other = (
        rule("*.example.com", limits),
        rule("a.example.com", limits),
        rule("b.example.com", limits),
    )
    floor = read(whole)
    for narrower in (whole, one, rule("a.example.com", f"{GET}\n{limits}")):
        assert find_wider(floor, read(narrower)) == ()
    for wider in (one + other, whole + one, rule("*.example.com", f"{GET}\n{limits}") + one):
        assert any("has `limits` of the floor's egress[0]" in text for text in find_wider(floor, read(wider)))
    both = read(whole + one)
    assert find_wider(both, both) == ()
    assert find_wider(both, read(rule("a.example.com", f"{GET}\n{limits}") + one)) == ()
    assert find_wider(both, read(whole + one + other)) != ()


def test_what_meters_each_request_alone_may_be_said_of_several() -> None:
    body = "limits = { body = 100 }"
    floor = read(rule("*.example.com", body))
    assert find_wider(floor, read(rule("a.example.com", body) + rule("b.example.com", body))) == ()
    plain = read(rule("*.example.com"))
    own = 'limits = { requests = "5/minute" }'
    assert find_wider(plain, read(rule("a.example.com", own) + rule("b.example.com", own))) == ()


def test_the_home_of_an_agent_is_the_floors_to_say() -> None:
    """It is where `~` leads, and is mounted with rights that a client doesn't have."""
    plain, own = read(""), '[env]\nset = { HOME = "/srv/agents" }\n'
    assert find_wider(plain, read('[env]\nset = { LANG = "C" }\n')) == ()
    assert any("[env] set HOME" in text for text in find_wider(plain, read(own)))
    assert any("[env] set HOME" in text for text in find_wider(read(own), plain))
    assert find_wider(read(own), read(own)) == ()


KEYS = [f'host_keys = ["SHA256:{letter * 42}A"]' for letter in "AB"]
DEPLOY = '[[secret]]\nname = "deploy"\nfrom = { file = "/etc/key" }\nto = ["git.example.com"]\nas = "ssh"\n'
SSH = 'protocol = "ssh"'


def test_no_rule_gets_at_the_key_of_another() -> None:
    """Where SSH goes by as it is, `git` doesn't narrow: it has the key shown that the floor has for something else."""
    fetches = rule("git.example.com", f'{SSH}\n{KEYS[0]}\ngit = {{ fetch = ["org/*"] }}')
    passes = rule("*.example.com", SSH)
    pushes = rule("git.example.com", f'{SSH}\n{KEYS[0]}\ngit = {{ push = ["org/*"] }}')
    elsewhere = rule("git.example.com", f"{SSH}\n{KEYS[1]}")
    floor = read(DEPLOY + fetches + passes)
    assert find_wider(floor, floor) == ()
    assert find_wider(floor, read(DEPLOY + fetches + rule("a.example.com", SSH))) == ()
    assert any("`git` is wider" in text for text in find_wider(floor, read(DEPLOY + fetches + pushes)))
    assert any("leads around" in text for text in find_wider(floor, read(DEPLOY + fetches + elsewhere)))
