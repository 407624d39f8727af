"""Secrets that are sent, and the rules by which they go."""

from __future__ import annotations

import pytest

from trio_egress.errors import PolicyError
from trio_egress.model import Attempt, Layer, Name, Need, Protocol, Transport
from trio_egress.policy.destination import parse_destination
from trio_egress.policy.engine import decide
from trio_egress.policy.explain import explain
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.intercepted import find_intercepted
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy
from trio_egress.policy.spelling import Spelt

HEAD = 'version = "1.0"\ndefault_deny = true\n'
ABLE = Moment(able=frozenset({Need.TLS}))


def rule(destination: str, more: str = "") -> str:
    return f'[[egress]]\ndestination = "{destination}"\n{more}'


def secret(*to: str, name: str = "token", more: str = "") -> str:
    listed = ", ".join(f'"{each}"' for each in to)
    return f'[[secret]]\nname = "{name}"\nfrom = {{ env = "{name.upper()}" }}\nto = [{listed}]\n{more}'


def load(text: str) -> Policy:
    return load_policy(HEAD + text, "f.toml")


def problems_of(text: str) -> list[tuple[int, str]]:
    with pytest.raises(PolicyError) as caught:
        load(text)
    return [(problem.line, problem.message) for problem in caught.value.problems]


def attempt(host: str, port: int = 443, protocol: Protocol = Protocol.TLS) -> Attempt:
    return Attempt(Transport.TRANSPARENT, protocol, parse_host(host), port)


def test_tls_ends_where_a_secret_goes_and_nowhere_else() -> None:
    policy = load(rule("*.a.example") + rule("b.example:8443") + secret("x.a.example", "b.example:8443"))
    for host, port, needs in (
        ("x.a.example", 443, [Need.TLS]),
        ("y.a.example", 443, []),
        ("b.example", 8443, [Need.TLS]),
    ):
        decision = decide(policy, attempt(host, port), ABLE)
        assert (decision.allowed, list(decision.needs)) == (True, needs), host
    wanted = [parse_destination(host).pattern for host in ("x.a.example", "b.example")]
    assert list(find_intercepted(policy)) == wanted


def test_where_tls_cannot_be_ended_it_is_not_let_through_either() -> None:
    decision = decide(load(rule("a.example") + secret("a.example")), attempt("a.example"))
    assert (decision.allowed, decision.layer) == (False, Layer.INTERCEPTION)
    assert "a secret is sent" in decision.reason


def test_a_tunnel_of_bytes_to_the_same_host_stays_one() -> None:
    policy = load(rule("a.example:443") + secret("a.example"))
    decision = decide(policy, attempt("a.example", 443, Protocol.TCP), ABLE)
    assert (decision.allowed, list(decision.needs)) == (True, [])


@pytest.mark.parametrize(
    ("destination", "to", "pattern"),
    [
        ("a.example", "*.example", "a.example"),
        ("*.a.example", "*.example", "*.a.example"),
        ("*.example", "*.a.example", "*.a.example"),
        ("192.0.2.0/24", "192.0.2.9", "192.0.2.9"),
        ("192.0.2.9", "192.0.2.0/24", "192.0.2.9"),
        ("192.0.2.0/24", "192.0.0.0/16", "192.0.2.0/24"),
        ("host.internal:8443", "host.internal:8443", "host.internal"),
    ],
)
def test_the_authority_vouches_for_what_both_rule_and_secret_are_for(
    destination: str, to: str, pattern: str
) -> None:
    policy = load(rule(destination) + secret(to))
    (found,) = find_intercepted(policy)
    wanted = pattern if "internal" not in pattern else f"{pattern}:1"
    assert found == parse_destination(wanted).pattern


def test_a_rule_that_looks_inside_anyway_is_intercepted_whole() -> None:
    policy = load(rule("*.a.example", 'tls = "intercept"\n') + secret("x.a.example"))
    assert find_intercepted(policy) == (parse_destination("*.a.example").pattern,)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (rule("a.example") + secret("b.example"), 8, "no rule allows requests to b.example: add [[egress]]"),
        (rule("a.example") + secret("*.a.example"), 8, "no rule allows requests to *.a.example"),
        (rule("a.example") + secret("a.example:8443"), 8, "no rule allows requests to a.example:8443"),
        (rule("a.example", "deny = true\n") + secret("a.example"), 9, "no rule allows requests to a.example"),
        (rule("*.internal") + secret("host.internal:80"), 8, "no rule allows requests to host.internal:80"),
        (rule("192.0.2.0/24") + secret("2001:db8::/32"), 8, "no rule allows requests to 2001:db8::/32"),
        (rule("a.example", 'protocol = "ssh"\n') + secret("a.example"), 9, "no rule allows requests"),
        (
            rule("*.example", 'tls = "passthrough"\n') + rule("a.example") + secret("a.example"),
            11,
            "egress[0] passes TLS to a.example through unseen",
        ),
        (
            rule("a.example") + secret("a.example") + '[env]\npass = ["TOKEN"]\n',
            8,
            "[env] pass names TOKEN, and the agent never has this secret",
        ),
        (
            rule("a.example") + secret("a.example", more='env = "OTHER"\n') + '[env]\npass = ["TOKEN"]\n',
            8,
            "[env] pass names TOKEN",
        ),
        (
            rule("a.example") + secret("a.example") + '[env]\nset = { TOKEN = "x" }\n',
            7,
            "[env] set gives TOKEN another value",
        ),
        (
            rule("a.example") + secret("a.example") + secret("a.example", name="b", more='env = "TOKEN"\n'),
            7,
            "the agent finds the secret b in TOKEN already",
        ),
        (
            rule("a.example")
            + secret("a.example", more='placeholder = "ghp_0123456789abcdef"\n')
            + secret("a.example", name="b", more='placeholder = "x-GHP_0123456789abcdef-x"\n'),
            9,
            "it can't be told from the placeholder of b",
        ),
    ],
)
def test_what_could_never_be_sent_is_an_error_at_its_place(text: str, line: int, said: str) -> None:
    found = problems_of(text)
    assert any(at == line and said in message for at, message in found), found


def test_a_wildcard_of_env_passes_no_more_than_a_placeholder_and_is_no_error() -> None:
    assert load(rule("a.example") + secret("a.example") + '[env]\npass = ["TOK*"]\n').secrets


def test_a_placeholder_of_ones_own_needs_no_variable_and_differs_from_others() -> None:
    source = 'from = { file = "/key" }\nplaceholder = "{}-0000-placeholder"\nto = ["a.example"]\n'
    tables = "".join(f'[[secret]]\nname = "{name}"\n' + source.replace("{}", name) for name in "ab")
    policy = load(rule("a.example") + tables + '[env]\npass = ["A"]\nset = { B = "x" }\n')
    assert [placed.secret.variable for placed in policy.secrets] == [None, None]
    assert "env None" not in policy.secrets[0].secret.way


def test_an_explanation_says_which_secrets_go_there() -> None:
    policy = load(rule("a.example") + rule("b.example") + secret("a.example"))
    for host, secrets in (("a.example", ("token",)), ("b.example", ())):
        request = Attempt(Transport.INTERCEPT, Protocol.HTTP, Name(host), 443, "GET", "/", secure=True)
        steps = explain(policy, Spelt(request, attempt(host)), ABLE).steps
        assert (steps[0].secrets, steps[-1].secrets if len(steps) > 1 else ()) == ((), secrets)
