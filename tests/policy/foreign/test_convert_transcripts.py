"""What becomes of each tool's words, as a whole: every rule that is made, and every note, in their order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trio_egress.errors import PolicyError
from trio_egress.policy.foreign.convert import Converted, convert
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Rule


def render(rule: Rule) -> str:
    """`[deny ]destination[ METHOD…][ private][ (reason)]`"""
    terms = rule.terms
    words = [*(["deny"] if terms.deny else []), str(terms.destination), *sorted(terms.methods or ())]
    words += (["private"] if terms.allow_private else []) + ([f"({terms.reason})"] if terms.reason else [])
    return " ".join(words)


def rules_of(converted: Converted) -> list[str]:
    rules = [render(rule) for rule in load_policy(converted.text, "converted.toml").rules]
    assert converted.rules == len(rules)
    return rules


def squid(*lines: str) -> tuple[list[str], list[str]]:
    """Rules and notes of some lines and the last one that everybody has."""
    converted = convert("squid", "\n".join([*lines, "http_access deny all\n"]), "squid.conf")
    return rules_of(converted), list(converted.notes)


PIPELOCK: dict[str, Any] = {
    "enforce": "off",
    "api_allowlist": ["a.example", "*.b.example", "in.example", "no host"],
    "trusted_domains": ["in.example", "*.c.example"],
    "fetch_proxy": {
        "monitoring": {
            "blocklist": ["*.bad.example"],
            "max_requests_per_minute": 1,
            "max_data_per_minute": 1,
            "max_url_length": 1,
            "entropy_threshold": 0,
            "subdomain_entropy_threshold": 0,
        }
    },
    "ssrf": {"ip_allowlist": ["10.0.0.0/8"], "other": 1},
    **dict.fromkeys(["version", "forward_proxy", "internal", "logging"], 1),
}
SCANNERS = (
    *("dlp", "response_scanning", "request_body_scanning", "mcp_input_scanning", "mcp_tool_scanning"),
    *("mcp_tool_policy", "mcp_session_binding", "tool_chain_detection", "adaptive_enforcement"),
    *("websocket_proxy", "git_protection", "session_profiling", "canary_tokens"),
)


def test_pipelock() -> None:
    converted = convert("pipelock", json.dumps(PIPELOCK), "pipelock.yaml")
    assert rules_of(converted) == [
        "a.example",
        "b.example",
        "*.b.example",
        "in.example private",
        "c.example private",
        "*.c.example private",
        "deny bad.example (blocked by Pipelock's blocklist)",
        "deny *.bad.example (blocked by Pipelock's blocklist)",
        "10.0.0.0/8 private",
    ]
    monitoring = "fetch_proxy.monitoring."
    assert list(converted.notes) == [
        (
            "mode: balanced: Pipelock reaches every host that it does not block in this mode; here only "
            "the hosts of api_allowlist are reached, because what no rule allows is denied"
        ),
        "enforce: false: Pipelock only warns; a policy here is always enforced",
        "api_allowlist: 'no host' has no rule here: the character ' ' is not allowed in a host name",
        f"{monitoring}max_requests_per_minute: counts per domain; give rules `limits` where it matters",
        f"{monitoring}max_data_per_minute: counts per domain; give rules `limits` where it matters",
        f"{monitoring}max_url_length: not converted",
        f"{monitoring}entropy_threshold: not converted",
        f"{monitoring}subdomain_entropy_threshold: not converted",
        "ssrf.other: not understood, and not converted",
    ]
    strict = convert("pipelock", json.dumps({"mode": "strict", **dict.fromkeys(SCANNERS, 1)}), "f")
    looks = "here `every_rule = true` in [scan], or `scan = true` in a rule, has requests and answers looked through"
    said = {
        **dict.fromkeys(("dlp", "request_body_scanning", "response_scanning"), looks),
        "canary_tokens": "here a [[canary]] is planted in a variable",
    }
    usual = "what looks into requests and answers is no part of a rule's destination"
    assert list(strict.notes) == [f"{scanner}: {said.get(scanner, usual)}" for scanner in SCANNERS]


def test_awf() -> None:
    document = {
        "$schema": "x",
        "network": {
            "allowDomains": [
                "a.example",
                ".b.example/",
                "http://c.example",
                "*.d.example",
                "https://*.e.example",
            ],
            "blockDomains": ["x.a.example"],
            "upstreamProxy": "p",
            "dnsServers": ["1.1.1.1"],
            "new": 1,
        },
        "security": {"allowHostPorts": "5432, 6379", "allowHostServicePorts": ["8080"], "new": 1},
        "rateLimiting": {"a": 1},
        "new": 1,
    }
    converted = convert("awf", json.dumps(document), "awf.json")
    assert rules_of(converted) == [
        *("a.example", "*.a.example", "b.example", "*.b.example", "c.example:80", "*.c.example:80"),
        *("*.d.example", "*.e.example:443"),
        "deny x.a.example (blocked by awf's blockDomains)",
        "deny *.x.a.example (blocked by awf's blockDomains)",
        *("host.internal:5432", "host.internal:6379", "host.internal:8080"),
    ]
    assert list(converted.notes) == [
        "network.upstreamProxy: not converted; [upstream] proxy names one, and where its password is found",
        "network.dnsServers: names are resolved outside, by this machine's resolver",
        "network.new: not understood, and not converted",
        "security.new: not understood, and not converted",
        "rateLimiting: counts over all hosts; give rules `limits` where it matters",
        "new: not understood, and not converted",
    ]
    listed = convert("awf", "a.example, ftp://b.example\nx*.c.example # d.example\n", "domains.txt")
    assert rules_of(listed) == ["a.example", "*.a.example"]
    assert list(listed.notes) == [
        "line 1: 'ftp://b.example' has a scheme that awf does not know",
        "line 2: 'x*.c.example': a wildcard stands for whole labels at the front here (`*.example.com`)",
    ]


def steps(action: str, **given: str) -> str:
    return json.dumps({"jobs": {"build": {"steps": [{"run": "x"}, {"uses": f"{action}@v2", "with": given}]}}})


def test_harden_runner() -> None:
    text = steps(
        "Step-Security/harden-runner",
        **{
            "egress-policy": "audit",
            "allowed-endpoints": "a.example:443 b.example:22 # none\nc.example *.d.example:80",
            "disable-sudo": "true",
            "disable-sudo-and-containers": "true",
            "disable-telemetry": "true",
            "disable-file-monitoring": "true",
            "new": "1",
        },
    )
    converted = convert("harden-runner", text, "ci.yml")
    assert rules_of(converted) == ["a.example:443", "b.example:22", "c.example:443", "*.d.example:80"]
    place = "jobs.build.steps[1]"
    assert list(converted.notes) == [
        f"{place}: egress-policy audit: it only reports; here it is enforced",
        f"{place}: disable-sudo: sudo and containers never work for the agent here",
        f"{place}: disable-sudo-and-containers: sudo and containers never work for the agent here",
        f"{place}: new: not understood, and not converted",
    ]
    quiet = convert("harden-runner", steps("step-security/harden-runner", **{"disable-sudo": "false"}), "f")
    assert (quiet.notes, quiet.rules) == ((), 0)


def test_bullfrog() -> None:
    text = steps(
        "bullfrogsec/bullfrog",
        **{"allowed-domains": "a.example\n*.b.example", "allowed-ips": "8.8.8.8", "dns-policy": "any"},
        **{"log-directory": "x", "new": "1"},
    )
    converted = convert("bullfrog", text, "ci.yml")
    assert rules_of(converted) == ["a.example", "*.b.example", "8.8.8.8"]
    place = "jobs.build.steps[1]"
    assert list(converted.notes) == [
        f"{place}: egress-policy audit: it only reports; here it is enforced",
        "Bullfrog allows every port of a destination; here HTTP on 80 and 443, and TLS on 443",
        f"{place}: dns-policy any: a name that no rule allows is never resolved here",
        f"{place}: new: not understood, and not converted",
    ]
    block = {"egress-policy": "block", "dns-policy": "allowed-domains-only"}
    assert convert("bullfrog", steps("bullfrogsec/bullfrog", **block), "f").notes == ()


def test_srt() -> None:
    document = {
        "network": {
            "allowedDomains": ["a.example", "b.example:22", "[2606:4700::1]:443", "2606:4700::2"],
            "deniedDomains": ["*", "x.a.example:443"],
            "allowUnixSockets": ["/run/x"],
            "allowAllUnixSockets": True,
            "allowLocalBinding": True,
            "new": 1,
        },
        "filesystem": {
            "allowWrite": [".", "./", "w", "a/../b"],
            "denyRead": [".", "h"],
            "denyWrite": ["./p", "**x/"],
            "allowRead": ["h/x"],
            "new": 1,
        },
        "new": 1,
    }
    converted = convert("srt", json.dumps(document), "srt.json")
    assert rules_of(converted) == [
        *("a.example", "b.example:22", "[2606:4700::1]:443", "2606:4700::2"),
        "deny x.a.example:443 (denied by srt's deniedDomains)",
    ]
    files = load_policy(converted.text, "f.toml").files
    assert (files.write, files.hide, "p" in files.protect) == (("w",), ("h",), True)
    assert list(converted.notes) == [
        "a domain without a port: srt means any port; here HTTP on 80 and 443, and TLS on 443",
        "network.allowUnixSockets: no Unix socket of this machine can be opened to the agent",
        "network.allowAllUnixSockets: the agent may use its own Unix sockets, never the machine's",
        "network.new: not understood, and not converted",
        'filesystem.allowWrite: "a/../b": ".." is not allowed; write where it leads',
        "filesystem.denyRead: the working directory can't be hidden: the agent starts in it",
        'filesystem.denyWrite: "**x/": "**" stands alone between slashes, as in "**/.envrc"',
        "filesystem.allowRead: nothing below a hidden path can be shown again",
        "filesystem.new: not understood, and not converted",
        "new: not understood, and not converted",
    ]


@pytest.mark.parametrize(
    ("lines", "rules"),
    [
        (
            ["acl d dstdomain .a.example b.example", "http_access allow d"],
            ["a.example", "*.a.example", "b.example"],
        ),
        (["acl d ssl::server_name a.example", "http_access allow d"], ["a.example"]),
        (["acl d dst 192.0.2.0/24", "http_access allow d"], ["192.0.2.0/24"]),
        (["acl d dstdomain -n a.example", "http_access allow localnet all d"], ["a.example"]),
        (["acl d dstdomain a.example", "acl p port 80 443", "http_access allow d p"], ["a.example"]),
        (
            ["acl d dstdomain a.example", "acl p port 443 22 22", "http_access allow d p"],
            ["a.example:22", "a.example:443"],
        ),
        (
            ["acl d dstdomain a.example", "acl p port 8000-8001", "http_access allow d p"],
            ["a.example:8000", "a.example:8001"],
        ),
        (
            ["acl d dstdomain a.example", "acl p port 1-16", "http_access allow d p"],
            [f"a.example:{n}" for n in range(1, 17)],
        ),
        (
            ["acl d dstdomain a.example", "acl m method GET", "acl m method PUT", "http_access allow d m"],
            ["a.example GET PUT"],
        ),
        (
            ["acl d dstdomain a.example", "http_access deny d"],
            ["deny a.example (denied by Squid's http_access)"],
        ),
        (
            [
                "acl d dstdomain a.example",
                "http_access deny !Safe_ports d",
                "http_access deny CONNECT !SSL_ports d",
            ],
            [],
        ),
        (["acl d dstdomain a.example", "http_access deny SSL_ports d"], []),
        (["acl d dstdomain a.example", "http_access deny CONNECT d"], []),
        (["acl d dstdomain a.example\\", "b.example", "http_access allow d"], ["a.example", "b.example"]),
        (["acl d dstdomain a.example", "http_access allow localhost", "http_access deny to_localhost"], []),
        (["http_access deny manager", "http_access deny to_linklocal", "http_access deny all localnet"], []),
        (
            ["acl d dstdomain a.example \\", "  b.example # c.example", "http_access allow d"],
            ["a.example", "b.example"],
        ),
        (["acl d dstdomain a.example", "http_access deny all", "http_access allow d"], []),
    ],
)
def test_lines_of_squid_that_can_be_said(lines: list[str], rules: list[str]) -> None:
    assert squid(*lines) == (rules, [])


@pytest.mark.parametrize(
    ("lines", "rules", "notes"),
    [
        (["include /etc/x"], [], ["line 1: include: convert that file as well, and include it"]),
        (["", "ssl_bump x"], [], ["line 2: ssl_bump: rules say themselves what must be seen inside TLS"]),
        (["http_access allow all"], [], ["line 1: http_access allow all: there is no rule for every host"]),
        (
            ["acl d ssl::server_name a.example /etc/x", "http_access allow d"],
            ["a.example"],
            ["line 1: acl d reads another file, which is not converted"],
        ),
        (
            ["acl u proxy_auth /etc/x", "acl d dstdomain a.example", "http_access allow u d"],
            [],
            ["line 3: acl u (proxy_auth) has no rule here, so the line is left out"],
        ),
        (
            ["acl d dstdomain a.example", "http_access allow !d"],
            [],
            ["line 2: !d: a negation or an unknown list is not converted"],
        ),
        (
            ["acl d dstdomain a.example", "http_access allow x"],
            [],
            ["line 2: x: a negation or an unknown list is not converted"],
        ),
        (
            ["acl p port 22", "http_access allow p"],
            [],
            ["line 2: names no destination, and there is no rule for every host"],
        ),
        (
            ["acl d dstdomain a.example", "acl p port 1-17", "http_access allow d p"],
            [],
            ["line 3: more than 16 ports; name those that are needed"],
        ),
        (
            ["acl d dstdomain .a.example", "http_access allow d", "http_access deny d"],
            ["a.example", "*.a.example"],
            ["line 3: .a.example was allowed by a line before, which Squid takes first"],
        ),
        (
            ["acl d dstdomain a.example \\", "  a_b!", "http_access allow d"],
            ["a.example"],
            ["line 3: 'a_b!' has no rule here: the character '!' is not allowed in a host name"],
        ),
    ],
)
def test_lines_of_squid_that_cannot_be_said(lines: list[str], rules: list[str], notes: list[str]) -> None:
    assert squid(*lines) == (rules, notes)


def test_squid_without_its_last_line_is_told() -> None:
    said = "no `http_access deny all`: what no rule allows is denied here all the same"
    assert convert("squid", "acl d dstdomain a.example\nhttp_access allow d\n", "f").notes == (said,)


@pytest.mark.parametrize(
    ("tool", "text", "said"),
    [
        ("srt", "{", "it is not JSON: "),
        ("srt", "[1, 2]", "it is not a table"),
        ("srt", '{"network": 1}', "network must be a table"),
        ("srt", '{"network": {"allowedDomains": [1]}}', "network.allowedDomains must be a list of texts"),
        ("srt", '{"network": {"deniedDomains": 1}}', "network.deniedDomains must be a list of texts"),
        ("srt", '{"network": {"allowUnixSockets": 1}}', "network.allowUnixSockets must be a list of texts"),
        ("srt", '{"filesystem": 1}', "filesystem must be a table"),
        ("srt", '{"filesystem": {"denyRead": 1}}', "filesystem.denyRead must be a list of texts"),
        ("pipelock", "a: [1", "it is not YAML: "),
        ("pipelock", '{"api_allowlist": 1}', "api_allowlist must be a list of texts"),
        ("pipelock", '{"trusted_domains": 1}', "trusted_domains must be a list of texts"),
        ("pipelock", '{"fetch_proxy": 1}', "fetch_proxy must be a table"),
        ("pipelock", '{"fetch_proxy": {"monitoring": 1}}', "fetch_proxy.monitoring must be a table"),
        (
            "pipelock",
            '{"fetch_proxy": {"monitoring": {"blocklist": 1}}}',
            "fetch_proxy.monitoring.blocklist must be a list of texts",
        ),
        ("pipelock", '{"ssrf": 1}', "ssrf must be a table"),
        ("pipelock", '{"ssrf": {"ip_allowlist": 1}}', "ssrf.ip_allowlist must be a list of texts"),
        ("awf", '{"network": 1}', "network must be a table"),
        ("awf", '{"network": {"allowDomains": 1}}', "network.allowDomains must be a list of texts"),
        ("awf", '{"network": {"blockDomains": 1}}', "network.blockDomains must be a list of texts"),
        ("awf", '{"security": 1}', "security must be a table"),
        ("awf", '{"security": {"allowHostPorts": "80 x"}}', "security.allowHostPorts: 'x' is not a port"),
        (
            "awf",
            '{"security": {"allowHostServicePorts": 1}}',
            "security.allowHostServicePorts must be a list of texts",
        ),
        ("harden-runner", '{"jobs": 1}', "jobs must be a table"),
        ("harden-runner", '{"jobs": {"b": 1}}', "jobs.b must be a table"),
        ("harden-runner", '{"jobs": {"b": {"steps": 1}}}', "jobs.b.steps must be a list"),
        ("harden-runner", '{"jobs": {"b": {"steps": [1]}}}', "jobs.b.steps[0] must be a table"),
        ("harden-runner", "{}", "no step of it uses step-security/harden-runner"),
        (
            "harden-runner",
            '{"jobs": {"b": {"steps": [{"uses": "step-security/harden-runner@v2", "with": 1}]}}}',
            "jobs.b.steps[0].with must be a table",
        ),
        ("bullfrog", "{}", "no step of it uses bullfrogsec/bullfrog"),
        (
            "bullfrog",
            '{"jobs": {"b": {"steps": [{"uses": "bullfrogsec/bullfrog", "with": {"allowed-ips": []}}]}}}',
            "allowed-ips must be a text",
        ),
    ],
)
def test_what_is_no_such_file_is_told_with_the_reason(tool: str, text: str, said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        convert(tool, text, "theirs")
    (problem,) = refused.value.problems
    assert (problem.file, problem.line, problem.column) == ("theirs", 1, 1)
    message = f"this is no configuration of {tool}: {said}"
    assert problem.message == message or (said.endswith(" ") and problem.message.startswith(message))


@pytest.mark.parametrize("word", ["true", "yes", "On"])
def test_a_switch_of_yaml_is_a_word(word: str) -> None:
    text = f"network:\n  allowAllUnixSockets: {word}\n"
    assert convert("srt", text, "f").notes == (
        "network.allowAllUnixSockets: the agent may use its own Unix sockets, never the machine's",
    )
    assert convert("srt", text.replace(word, "x" + word), "f").notes == ()


@pytest.mark.parametrize("word", ["false", "no", "Off"])
def test_a_switch_of_yaml_that_is_off_is_a_word_too(word: str) -> None:
    said = "enforce: false: Pipelock only warns; a policy here is always enforced"
    assert said in convert("pipelock", f"mode: strict\nenforce: {word}\n", "f").notes
    assert convert("pipelock", "mode: strict\nenforce: 'true'\n", "f").notes == ()
    assert convert("pipelock", '{"mode": "strict", "enforce": false}', "f").notes == (said,)


def test_the_policy_says_where_it_comes_from_and_each_note_once() -> None:
    text = "acl d dstdomain a.example\nhttp_access allow !d\nhttp_access allow !d\nhttp_access deny all\n"
    assert convert("squid", text, "squid.conf").text.splitlines()[:4] == [
        "# Converted from squid.conf (squid).",
        "# Not said here: line 2: !d: a negation or an unknown list is not converted",
        "# Not said here: line 3: !d: a negation or an unknown list is not converted",
        'version = "1.0"',
    ]
    twice = {"network": {"allowedDomains": ["a.example", "b.example", "a.example"]}}
    converted = convert("srt", json.dumps(twice), "f")
    assert (rules_of(converted), len(converted.notes)) == (["a.example", "b.example"], 1)
