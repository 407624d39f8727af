"""The `[upstream]` table: where everything goes out, and never a password."""

from __future__ import annotations

import json
from collections.abc import Mapping

import attrs
import pytest

from trio_egress.errors import PolicyError
from trio_egress.model import Attempt, Name, Protocol, Transport, Via
from trio_egress.policy.compiled import parse_compiled, policy_hash, render_compiled
from trio_egress.policy.diff import compare
from trio_egress.policy.engine import decide, decide_some
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.load import load_policy
from trio_egress.policy.observe import observe
from trio_egress.policy.rule import Policy
from trio_egress.policy.secret import From

HEAD = 'version = "1.0"\ndefault_deny = true\n'
TABLE = '[upstream]\nproxy = "http://proxy.corp.example:3128"\n'
LOGIN = 'username = "ci"\npassword = { env = "PROXY_PASSWORD" }\n'
VIA = Via(Name("proxy.corp.example"), 3128)


def load(text: str, files: Mapping[str, str] | None = None) -> Policy:
    return load_policy(HEAD + text, "f.toml", lambda name: (HEAD + (files or {})[name]).encode())


def problem(text: str, files: Mapping[str, str] | None = None) -> tuple[int, int, str]:
    with pytest.raises(PolicyError) as caught:
        load(text, files)
    (found,) = caught.value.problems
    return found.line, found.column, found.message


def attempt(host: str, port: int = 443, protocol: Protocol = Protocol.TLS) -> Attempt:
    return Attempt(Transport.TRANSPARENT, protocol, parse_host(host), port)


def via_of(policy: Policy, host: str, port: int = 443) -> Via | None:
    """Where an allowed attempt goes out, having checked that the three ways to allow one agree."""
    decisions = [decide(policy, attempt(host, port)), decide_some(policy, attempt(host, port))]
    decisions.append(observe(policy, attempt(host, port), attrs.evolve(decisions[0], allowed=False)))
    (found,) = {None if decision.upstream is None else decision.upstream.via for decision in decisions}
    return found


def test_without_the_table_everything_is_direct_and_the_compiled_form_has_no_word_of_it() -> None:
    policy = load('[[egress]]\ndestination = "a.example"\n')
    assert policy.upstream is None
    assert via_of(policy, "a.example") is None
    assert b"upstream" not in render_compiled(policy)


def test_every_key_is_read() -> None:
    upstream = load(f'{TABLE}{LOGIN}no_proxy = ["*.corp.example", "10.0.0.0/8"]\nresolve = true\n').upstream
    assert upstream is not None
    table = upstream.table
    assert (str(table.proxy), table.username) == ("http://proxy.corp.example:3128", "ci")
    assert (table.password, table.resolve) == (From(env="PROXY_PASSWORD"), True)
    assert [str(item) for item in table.no_proxy] == ["*.corp.example", "10.0.0.0/8"]
    assert (upstream.place.line, upstream.place.column) == (6, 12)


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("http://10.1.2.3:8080", "10.1.2.3", 8080),
        ("http://127.0.0.1:3128/", "127.0.0.1", 3128),
        ("HTTP://[fd00::1]:3128", "fd00::1", 3128),
        ("http://Proxy.Corp.Example.:3128", "proxy.corp.example", 3128),
    ],
)
def test_an_address_of_any_kind_may_be_a_proxy(written: str, host: str, port: int) -> None:
    upstream = load(f'[upstream]\nproxy = "{written}"\n').upstream
    assert upstream is not None
    assert (str(upstream.table.proxy.host), upstream.table.proxy.port) == (host, port)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (
            "[upstream]\n",
            3,
            2,
            'the key "proxy" is missing in the [upstream] table; write proxy = "http://proxy.corp.example:3128"',
        ),
        ('upstream = "x"\n', 3, 12, 'upstream must be a table, not "x"; did you mean "[upstream]"?'),
        ("[upstream]\nproxy = 1\n", 4, 9, "proxy must be an address such as"),
        ('[upstream]\nproxy = "corp:3128"\n', 4, 9, "proxy must be an address such as"),
        ('[upstream]\nproxy = "http://corp:3128/x"\n', 4, 9, "proxy must be an address such as"),
        (
            '[upstream]\nproxy = "http://corp"\n',
            4,
            9,
            'the port is missing; did you mean "http://corp:3128"?',
        ),
        ('[upstream]\nproxy = "http://corp:99999"\n', 4, 9, "the port must be a number from 1 to 65535"),
        (
            '[upstream]\nproxy = "http://0x7f.1:3128"\n',
            4,
            9,
            "this is a spelling of an address; did you mean",
        ),
        ('[upstream]\nproxy = "http://0.0.0.0:3128"\n', 4, 9, "nothing can be dialled at 0.0.0.0"),
        ('[upstream]\nproxy = "http://host.internal:1"\n', 4, 9, "host.internal is a name for the agent"),
        (
            '[upstream]\nproxy = "https://corp:3128"\n',
            4,
            9,
            'a proxy is spoken to in plain HTTP: did you mean "http://corp:3128"?',
        ),
        ('[upstream]\nproxy = "socks5://corp:1080"\n', 4, 9, "a proxy is spoken to in plain HTTP"),
        ('[upstream]\nproxy = "http://ci:hunter22@corp:1"\n', 4, 9, "an address has no credentials in it"),
        ('[upstream]\nproxy = "ci:hunter22@corp"\n', 4, 9, "an address has no credentials in it"),
        (f'{TABLE}username = "a:b"\n', 5, 12, '"a:b" has a colon in it, which ends a name'),
        (f'{TABLE}username = ""\n', 5, 12, "username must be a text such as"),
        (f'{TABLE}username = "a"\n', 5, 12, "username stands with password, which is missing"),
        (f'{TABLE}password = {{ env = "P" }}\n', 5, 12, "password stands with username, which is missing"),
        (f'{TABLE}password = "hunter22"\n', 5, 12, "password says where it is found: "),
        (f"{TABLE}password = {{}}\n", 5, 12, "password says where it is found: "),
        (f'{TABLE}no_proxy = "x"\n', 5, 12, 'no_proxy must be a list such as ["*.corp.example"'),
        (f'{TABLE}no_proxy = ["http://x"]\n', 5, 13, "a destination is a host, not a URL"),
        (f'{TABLE}no_proxy = ["*"]\n', 5, 13, "a rule can't allow every host"),
        (f"{TABLE}resolve = 1\n", 5, 11, "resolve must be true or false, not 1"),
        (f'{TABLE}proxi = "x"\n', 5, 1, 'unknown key "proxi" in the [upstream] table; did you mean "proxy"?'),
    ],
)
def test_what_is_wrong_is_told_at_its_place_and_never_a_password(
    text: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        load(text)
    (found,) = caught.value.problems
    assert (found.line, found.column) == (line, column)
    assert found.message.startswith(message), found
    assert "hunter22" not in str(caught.value)


def test_what_needs_no_proxy_is_direct_by_host_and_port() -> None:
    rules = "".join(
        f'[[egress]]\ndestination = "{name}"\nports = [22, 443]\nallow_private = true\n'
        for name in (
            "a.example",
            "x.corp.example",
            "git.example",
            "10.1.1.1",
            "host.internal:443",
            "c.example",
        )
        if name != "host.internal:443"
    )
    direct = 'no_proxy = ["*.corp.example", "10.0.0.0/8", "git.example:22"]\n'
    policy = load(f'{TABLE}{direct}{rules}[resolve]\n"c.example" = "127.0.0.1"\n')
    assert via_of(policy, "a.example") == VIA
    assert via_of(policy, "x.corp.example") is None
    assert via_of(policy, "10.1.1.1") is None
    assert via_of(policy, "c.example") is None
    assert (via_of(policy, "git.example", 22), via_of(policy, "git.example")) == (None, VIA)


def test_this_machines_loopback_is_direct() -> None:
    policy = load(f'{TABLE}[[egress]]\ndestination = "host.internal:5432"\n')
    decision = decide(policy, attempt("host.internal", 5432, Protocol.TCP))
    assert decision.upstream is not None
    assert decision.upstream.via is None


def test_the_compiled_form_has_all_but_defaults_and_no_login_and_reads_back() -> None:
    text = f'{TABLE}{LOGIN}no_proxy = ["b.example", "a.example", "b.example"]\n'
    policy = load(text)
    assert policy.upstream is not None
    assert json.loads(render_compiled(policy))["upstream"] == {
        "proxy": "http://proxy.corp.example:3128",
        "username": "ci",
        "password": {"env": "PROXY_PASSWORD"},
        "no_proxy": ["a.example", "b.example"],
    }
    assert parse_compiled(render_compiled(policy)).upstream == policy.upstream
    signed = attrs.evolve(policy, upstream=attrs.evolve(policy.upstream, login="Basic c2VjcmV0"))
    assert render_compiled(signed) == render_compiled(policy)
    assert signed == policy
    assert policy_hash(policy) != policy_hash(load(TABLE))
    assert json.loads(render_compiled(load(f"{TABLE}resolve = true\n")))["upstream"]["resolve"] is True


def test_files_may_say_the_same_and_add_to_what_is_direct() -> None:
    include = 'include = ["b.toml"]\n'
    both = load(
        f'{include}{TABLE}no_proxy = ["a.example"]\n', {"b.toml": f'{TABLE}no_proxy = ["b.example"]\n'}
    )
    assert both.upstream is not None
    assert [str(item) for item in both.upstream.table.no_proxy] == ["a.example", "b.example"]
    alone = load(include, {"b.toml": TABLE + LOGIN})
    assert alone.upstream is not None
    assert alone.upstream.place.file == "b.toml"
    line, _, message = problem(include + TABLE, {"b.toml": TABLE.replace("3128", "8080")})
    assert line == 4
    assert "upstream.proxy is" in message
    assert "it can have one value" in message


def test_a_denied_network_is_warned_of_where_the_proxy_looks_names_up() -> None:
    rule = '[[egress]]\ndestination = "192.0.2.0/24"\ndeny = true\n'
    (warning,) = load(TABLE + rule).warnings
    assert (warning.line, warning.warning) == (5, True)
    assert "no name that leads there" in warning.message
    assert load(f"{TABLE}resolve = true\n{rule}").warnings == load(rule).warnings == ()


def test_a_difference_is_told_in_words() -> None:
    changes = [change.text for change in compare(load(TABLE), load(TABLE.replace("3128", "8080") + LOGIN))]
    assert changes == [
        '[upstream] password: not set → {"env": "PROXY_PASSWORD"}',
        "[upstream] proxy: http://proxy.corp.example:3128 → http://proxy.corp.example:8080",
        "[upstream] username: not set → ci",
    ]


def test_in_yaml_too() -> None:
    text = 'version: "1.0"\ndefault_deny: true\nupstream:\n  proxy: "http://proxy.corp.example:3128"\n'
    assert load_policy(text, "f.yaml").upstream == load(TABLE).upstream
