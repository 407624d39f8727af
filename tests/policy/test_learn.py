"""What is learnt allows all that was allowed, and nothing of what was not seen."""

from __future__ import annotations

import random

import attrs
import pytest

from trio_egress.model import HOST_INTERNAL, Attempt, Host, Protocol, Transport
from trio_egress.policy.doors import Scheme
from trio_egress.policy.engine import decide
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.learn import Learnt, Seen, learn
from trio_egress.policy.load import load_policy

SEEN = [
    Seen(parse_host("api.example.com"), 443, Protocol.TLS, count=12),
    Seen(parse_host("docs.example.com"), 80, Protocol.HTTP, "GET", count=3),
    Seen(parse_host("docs.example.com"), 80, Protocol.HTTP, "HEAD"),
    Seen(parse_host("git.example.org"), 22, Protocol.SSH),
    Seen(parse_host("db.example.net"), 5432, Protocol.TCP, count=2),
    Seen(parse_host("web.example.net"), 8080, Protocol.HTTP, "POST"),
    Seen(HOST_INTERNAL, 80, Protocol.HTTP, "GET"),
    Seen(parse_host("8.8.4.4"), 443, Protocol.TLS),
    Seen(parse_host("asked.example.com"), 0, Protocol.DNS),
    Seen(parse_host("evil.example"), 443, Protocol.TLS, allowed=False, count=4),
    Seen(parse_host("10.0.0.9"), 80, Protocol.HTTP, "GET", allowed=False),
]


def decides(learnt: Learnt, host: Host, port: int, protocol: Protocol, method: str | None) -> bool:
    path = "/" if protocol is Protocol.HTTP else None
    attempt = Attempt(Transport.TRANSPARENT, protocol, host, port, method, path)
    return decide(load_policy(learnt.text, "learnt.toml"), attempt).allowed


@pytest.mark.parametrize("seen", [seen for seen in SEEN if seen.allowed and seen.port])
def test_what_was_seen_is_allowed(seen: Seen) -> None:
    assert decides(learn(SEEN), seen.host, seen.port, seen.protocol, seen.method)


@pytest.mark.parametrize(
    ("host", "port", "protocol", "method"),
    [
        ("docs.example.com", 80, Protocol.HTTP, "POST"),
        ("docs.example.com", 443, Protocol.TLS, None),
        ("example.com", 443, Protocol.TLS, None),
        ("x.api.example.com", 443, Protocol.TLS, None),
        ("api.example.com", 8443, Protocol.TLS, None),
        ("evil.example", 443, Protocol.TLS, None),
        ("10.0.0.9", 80, Protocol.HTTP, "GET"),
        ("asked.example.com", 443, Protocol.TLS, None),
        ("web.example.net", 8080, Protocol.HTTP, "GET"),
    ],
)
def test_what_was_not_seen_is_denied(host: str, port: int, protocol: Protocol, method: str | None) -> None:
    assert not decides(learn(SEEN), parse_host(host), port, protocol, method)


def test_each_rule_says_how_often() -> None:
    text = learn(SEEN).text
    for reason in ("seen 12 times (tls 12)", "seen 4 times (GET 3, HEAD 1)", "seen once (ssh 1)"):
        assert f'reason = "{reason}"' in text


def test_what_was_denied_can_be_switched_on_by_hand() -> None:
    learnt = learn(SEEN)
    assert (learnt.rules, learnt.denied) == (7, 2)
    head, _, left = learnt.text.partition("# Denied while it was seen")
    opened = head + "".join(
        f"{line[2:]}\n"
        for line in left.splitlines()
        if (line.startswith("# ") and "=" in line) or "[[" in line
    )
    policy = load_policy(opened, "opened.toml")
    assert {"evil.example", "10.0.0.9"} <= {str(rule.terms.destination) for rule in policy.rules}


def test_order_makes_no_difference() -> None:
    mixed = random.Random(1).sample(SEEN, len(SEEN))
    assert learn(mixed) == learn(SEEN)


def test_nothing_seen_allows_nothing() -> None:
    learnt = learn([])
    assert learnt.rules == learnt.denied == 0
    assert load_policy(learnt.text, "x.toml").rules == ()


def test_the_policy_is_written_by_domain_with_the_words_of_what_was_seen() -> None:
    seen = [
        Seen(parse_host("b.example.com"), 443, Protocol.TLS),
        Seen(parse_host("b.example.com"), 8443, Protocol.TLS),
        Seen(parse_host("b.example.com"), 22, Protocol.SSH),
        Seen(parse_host("a.example.org"), 80, Protocol.HTTP, "GET"),
        Seen(parse_host("a.example.org"), 443, Protocol.TLS),
        Seen(parse_host("10.0.0.9"), 5432, Protocol.TCP),
        Seen(parse_host("8.8.4.4"), 443, Protocol.TLS),
    ]
    rules = load_policy(learn(seen).text, "x.toml").rules
    assert [
        (str(rule.terms.destination), rule.terms.protocol, rule.terms.allow_private) for rule in rules
    ] == [
        ("8.8.4.4", {Scheme.HTTPS}, False),
        ("10.0.0.9:5432", None, True),
        ("b.example.com", {Scheme.HTTPS}, False),
        ("b.example.com:22", {Scheme.SSH}, False),
        ("b.example.com:8443", {Scheme.HTTPS}, False),
        ("a.example.org", None, False),
    ]


def test_plain_http_alone_is_said_to_be_that() -> None:
    (rule,) = load_policy(learn([Seen(parse_host("a.example"), 80, Protocol.HTTP, "GET")]).text, "x").rules
    assert (rule.terms.protocol, rule.terms.methods) == (frozenset({Scheme.HTTP}), frozenset({"GET"}))


def test_a_method_is_one_of_plain_http() -> None:
    (rule,) = load_policy(learn([Seen(parse_host("a.example"), 443, Protocol.TLS, "GET")]).text, "x").rules
    assert rule.terms.methods is None
    assert "seen once (tls 1)" in learn([Seen(parse_host("a.example"), 443, Protocol.TLS, "GET")]).text
    web = learn([Seen(parse_host("a.example"), 80, Protocol.HTTP)])
    assert "None" not in web.text


def test_what_was_denied_stands_apart_each_as_a_comment() -> None:
    learnt = learn([Seen(parse_host(f"{name}.example"), 443, Protocol.TLS, allowed=False) for name in "ab"])
    _, _, left = learnt.text.partition('# Denied while it was seen; remove the "#" to allow it.\n')
    first, second = left.split("#\n")[1:]
    assert '"a.example"' in first
    assert '"b.example"' in second
    assert all(line.startswith("# ") for line in (first + second).splitlines())
    assert left.endswith("\n")


def test_requests_seen_inside_tls_are_told_by_their_methods() -> None:
    host = parse_host("api.example")
    seen = [Seen(host, 443, Protocol.HTTP, method, secure=True) for method in ("GET", "PUT", "GET")]
    text = learn(seen).text
    assert 'destination = "api.example"\nprotocol = "https"\nmethods = ["GET", "PUT"]\n' in text
    assert 'reason = "seen 3 times (GET 2, PUT 1)"' in text


def test_an_opaque_tunnel_beside_them_leaves_no_methods() -> None:
    host = parse_host("api.example")
    seen = [Seen(host, 443, Protocol.HTTP, "GET", secure=True), Seen(host, 443, Protocol.TLS)]
    text = learn(seen).text
    assert 'destination = "api.example"\nprotocol = "https"\n' in text
    assert "methods" not in text


def test_what_a_scan_found_opens_nothing_and_is_for_a_person_to_look_at() -> None:
    api = parse_host("api.example.com")
    seen = [
        Seen(api, 443, Protocol.HTTP, "POST", secure=True, found=("random in body",)),
        Seen(api, 443, Protocol.HTTP, "PUT", False, 1, True, ("acme-token in body",), stopped=True),
        Seen(api, 443, Protocol.HTTP, "PUT", False, 1, True, ("acme-token in body",), stopped=True),
        Seen(api, 443, Protocol.HTTP, "GET", True, 0, True, ("tags in answer body",)),
        Seen(
            parse_host("x.example.com"), 0, Protocol.DNS, None, False, 1, False, ("t in host",), stopped=True
        ),
    ]
    learnt = learn(seen)
    assert (learnt.rules, learnt.denied) == (1, 0)
    assert 'methods = ["POST"]' in learnt.text
    stopped, through = learnt.text.split("# Found and let through")
    assert (
        "# - api.example.com: acme-token in body (2 times)\n# - x.example.com: t in host (once)\n" in stopped
    )
    assert "# - api.example.com: random in body (once)\n# - api.example.com: tags in answer body" in through
    assert load_policy(learnt.text, "learnt.toml").rules
    assert learn(seen[::-1]) == learnt


KEYS = tuple(f"SHA256:{letter * 42}A" for letter in "AB")
SERVER = Seen(parse_host("git.example.org"), 22, Protocol.SSH, count=2)


def shown(key: str, *, allowed: bool = True) -> Seen:
    return attrs.evolve(SERVER, count=0, host_key=key, allowed=allowed)


@pytest.mark.parametrize("place", [1, -1])
def test_servers_of_ssh_are_pinned_to_the_keys_that_they_showed(place: int) -> None:
    seen = [SERVER, *map(shown, KEYS), shown("SHA256:" + "C" * 42 + "A", allowed=False)][::place]
    learnt = learn(seen)
    (rule,) = load_policy(learnt.text, "x").rules
    assert [key.fingerprint for key in rule.terms.host_keys or ()] == list(KEYS)
    assert "# The host keys that were shown: compare them" in learnt.text
    assert (learnt.rules, learnt.denied) == (1, 0)


@pytest.mark.parametrize(
    "more", [(), (shown(KEYS[0]),), (*map(shown, KEYS), attrs.evolve(SERVER, protocol=Protocol.TCP))]
)
def test_nothing_is_pinned_where_a_connection_showed_no_key(more: tuple[Seen, ...]) -> None:
    learnt = learn([SERVER, *more])
    (rule,) = load_policy(learnt.text, "x").rules
    assert rule.terms.host_keys is None
    assert "compare them" not in learnt.text
