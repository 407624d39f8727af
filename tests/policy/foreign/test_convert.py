"""Policies of other tools become policies that load, and what they can't say is told."""

from __future__ import annotations

import json
import sys

import pytest

from trio_egress.errors import PolicyError
from trio_egress.model import Attempt, Protocol, Transport
from trio_egress.policy.engine import decide
from trio_egress.policy.foreign import TOOLS
from trio_egress.policy.foreign.convert import _OF_DOCUMENT, _OF_TEXT, Converted, convert
from trio_egress.policy.foreign.draft import NOTES_MAX
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.load import load_policy

DENIED = """
network:
  allowDomains: [gist.github.example, github.example]
  blockDomains: [gist.github.example]
"""

PIPELOCK = """
version: 1
mode: strict
enforce: true
api_allowlist:
  - "*.example.com"
  - "git.example.org"
trusted_domains: ["intranet.example.net"]
internal: ["10.0.0.0/8"]
fetch_proxy:
  listen: "127.0.0.1:8888"
  monitoring:
    blocklist: ["*.paste.example.com"]
    max_requests_per_minute: 120
    entropy_threshold: 5.0
ssrf:
  ip_allowlist: ["192.168.7.0/24"]
  something_new: 1
dlp: {scan_env: true}
surprise: 1
"""

AWF = """
network:
  allowDomains: [github.example, "https://api.example.com", "*.cdn.example.com", "pre-*.example.com", "ftp://x.example.com"]
  blockDomains: [gist.github.example]
  upstreamProxy: http://proxy.example.com:8080
security:
  allowHostPorts: "5432, 6379"
  sslBump: true
rateLimiting: {enabled: true}
"""

HARDEN_RUNNER = """
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: Step-Security/harden-runner@v2
        with:
          egress-policy: audit
          disable-sudo: true
          allowed-endpoints: >
            api.github.example:443
            git.example.com:22
            *.blob.example.net:443
            example.org
"""

BULLFROG = """
jobs:
  build:
    steps:
      - uses: bullfrogsec/bullfrog@v0
        with:
          egress-policy: block
          dns-policy: any
          allowed-domains: |
            *.example.com   # all of it
            api.example.org
          allowed-ips: |
            8.8.8.8
            198.51.100.0/24
"""

SRT = {
    "network": {
        "allowedDomains": [
            "example.com",
            "*.example.com",
            "db.example.net:5432",
            "[2606:4700:4700::1111]:443",
        ],
        "deniedDomains": ["bad.example.com", "*"],
        "allowUnixSockets": ["/run/docker.sock"],
        "allowLocalBinding": True,
    },
    "filesystem": {
        "allowWrite": [".", "~/.cache"],
        "denyRead": ["~/.ssh", "/srv/*"],
        "denyWrite": ["Makefile"],
    },
    "ignoreViolations": {},
}

SQUID = r"""
# a comment
acl localnet src 10.0.0.0/8
acl SSL_ports port 443
acl Safe_ports port 80 443
acl CONNECT method CONNECT
acl good dstdomain .example.com \
    api.example.org
acl bad dstdomain bad.example.com
acl late dstdomain api.example.org
acl files dstdomain "/etc/squid/allowed.txt"
acl database port 5432
acl readers method GET HEAD
acl office time 09:00-17:00
acl docs dstdomain docs.example.net
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access deny bad
http_access allow localnet good
http_access deny late
http_access allow docs readers
http_access allow good database
http_access allow office good
http_access allow !bad
http_access allow database
http_access deny all
"""


def reaches(converted: Converted, host: str, port: int = 443, protocol: Protocol = Protocol.TLS) -> bool:
    policy = load_policy(converted.text, "converted.toml")
    return decide(policy, Attempt(Transport.TRANSPARENT, protocol, parse_host(host), port)).allowed


def notes(converted: Converted) -> str:
    return "\n".join(converted.notes)


def test_pipelock() -> None:
    converted = convert("pipelock", PIPELOCK, "pipelock.yaml")
    assert reaches(converted, "example.com")  # its wildcard includes the domain
    assert reaches(converted, "a.b.example.com")
    assert reaches(converted, "git.example.org")
    assert reaches(converted, "192.168.7.9")
    assert not reaches(converted, "x.paste.example.com")
    assert not reaches(converted, "other.example")
    for word in ("max_requests_per_minute", "entropy_threshold", "dlp", "surprise", "ssrf.something_new"):
        assert word in notes(converted)
    assert 'destination = "intranet.example.net"\nallow_private = true' in converted.text


@pytest.mark.parametrize("mode", ["balanced", "audit"])
def test_pipelocks_open_modes_are_told(mode: str) -> None:
    converted = convert("pipelock", f"mode: {mode}\nenforce: false\n", "pipelock.yaml")
    assert f"mode: {mode}" in notes(converted)
    assert "enforce: false" in notes(converted)
    assert not reaches(converted, "example.com")


def test_awf() -> None:
    converted = convert("awf", AWF, "awf.yaml")
    assert reaches(converted, "github.example")
    assert reaches(converted, "raw.github.example")
    assert not reaches(converted, "gist.github.example")
    assert not reaches(converted, "a.gist.github.example")
    assert reaches(converted, "api.example.com")
    assert not reaches(converted, "api.example.com", 80, Protocol.HTTP)
    assert reaches(converted, "x.cdn.example.com")
    assert not reaches(converted, "cdn.example.com")
    assert reaches(converted, "host.internal", 6379, Protocol.TCP)
    for word in ("pre-*.example.com", "ftp://", "upstreamProxy", "security.sslBump", "rateLimiting"):
        assert word in notes(converted)


def test_awfs_list_of_domains() -> None:
    converted = convert("awf", "# ours\nexample.com, example.org # two\n\n*.example.net\n", "domains.txt")
    assert [reaches(converted, host) for host in ("a.example.com", "example.org", "example.net")] == [
        True,
        True,
        False,
    ]
    assert converted.notes == ()


def test_harden_runner() -> None:
    converted = convert("harden-runner", HARDEN_RUNNER, "ci.yml")
    assert reaches(converted, "api.github.example")
    assert not reaches(converted, "api.github.example", 80, Protocol.HTTP)
    assert reaches(converted, "git.example.com", 22, Protocol.TCP)
    assert reaches(converted, "x.blob.example.net")
    assert reaches(converted, "example.org")
    assert "egress-policy audit" in notes(converted)
    assert "disable-sudo" in notes(converted)
    assert converted.rules == 4


def test_bullfrog() -> None:
    converted = convert("bullfrog", BULLFROG, "ci.yml")
    assert [reaches(converted, host) for host in ("a.example.com", "api.example.org", "8.8.8.8")] == [
        True
    ] * 3
    assert not reaches(converted, "example.com")
    assert "dns-policy any" in notes(converted)
    assert "every port" in notes(converted)


def test_srt() -> None:
    converted = convert("srt", json.dumps(SRT), "srt-settings.json")
    assert reaches(converted, "example.com")
    assert not reaches(converted, "bad.example.com")
    assert reaches(converted, "db.example.net", 5432, Protocol.TCP)
    assert reaches(converted, "2606:4700:4700::1111")
    policy = load_policy(converted.text, "converted.toml")
    assert policy.files.write == ("~/.cache",)
    assert policy.files.hide == ("~/.ssh",)
    assert "Makefile" in policy.files.protect
    for word in ("any port", "allowUnixSockets", "/srv/*", "ignoreViolations"):
        assert word in notes(converted)


def test_squid() -> None:
    converted = convert("squid", SQUID, "squid.conf")
    assert [reaches(converted, host) for host in ("example.com", "a.example.com", "api.example.org")] == [
        True
    ] * 3
    assert not reaches(converted, "bad.example.com")
    assert reaches(converted, "a.example.com", 5432, Protocol.TCP)
    assert 'methods = ["GET", "HEAD"]' in converted.text
    for word in (
        "line 11: acl files",
        "line 20: api.example.org was allowed",
        "(time)",
        "!bad",
        "names no destination",
    ):
        assert word in notes(converted)


def test_squid_open_to_all_is_told() -> None:
    converted = convert("squid", "http_access allow all\n", "squid.conf")
    assert "allow all" in notes(converted)
    assert "no `http_access deny all`" in notes(converted)
    assert converted.rules == 0


@pytest.mark.parametrize(
    ("tool", "text"),
    [
        ("srt", '{"network": '),
        ("srt", "[1, 2]"),
        ("srt", '{"network": {"allowedDomains": "example.com"}}'),
        ("srt", '{"network": ["example.com"]}'),
        ("pipelock", "a: [1"),
        ("pipelock", "just words"),
        ("harden-runner", "jobs: {build: {steps: [{uses: actions/checkout@v4}]}}"),
        ("harden-runner", "jobs: {build: {steps: {a: 1}}}"),
        (
            "bullfrog",
            "jobs: {build: {steps: [{uses: bullfrogsec/bullfrog@v0, with: {allowed-domains: [x]}}]}}",
        ),
        ("awf", "security: {allowHostPorts: http}"),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_name(tool: str, text: str) -> None:
    with pytest.raises(PolicyError, match="theirs"):
        convert(tool, text, "theirs")


def test_a_destination_without_a_rule_is_told_and_not_written() -> None:
    converted = convert("bullfrog", BULLFROG.replace("8.8.8.8", "no host!"), "ci.yml")
    assert "'no host!'" not in converted.text.partition("[[egress]]")[2]
    assert "has no rule here" in notes(converted)


def test_notes_stand_in_the_policy_too() -> None:
    converted = convert("squid", SQUID, "squid.conf")
    comments = [line for line in converted.text.splitlines() if line.startswith("# Not said here: ")]
    assert len(comments) == len(converted.notes)


def test_every_tool_is_known() -> None:
    assert set(TOOLS) == {*_OF_DOCUMENT, *_OF_TEXT}
    for tool in TOOLS:
        with pytest.raises(PolicyError):
            convert(tool, "{", "theirs") if tool != "squid" else load_policy("{", "theirs")


def test_a_rule_that_another_denies_whole_is_left_out_and_told() -> None:
    converted = convert("awf", DENIED, "f")
    assert not load_policy(converted.text, "f.toml").warnings
    assert (
        "gist.github.example: left out, since another rule denies all that it would allow" in converted.notes
    )
    assert 'destination = "github.example"' in converted.text


@pytest.mark.parametrize(
    ("tool", "text", "said"),
    [
        ("awf", "network: {dnsServers: [1.1.1.1]}\n", "network.dnsServers"),
        ("awf", "network: {upstreamProxy: ''}\nsecurity: {allowHostPorts: ' '}\n", ""),
        ("pipelock", "mode: strict\napi_allowlist: ['*.example.com', '*.example.com']\n", ""),
        ("srt", '{"network": {"allowUnixSockets": [], "allowAllUnixSockets": true}}', "allowAllUnixSockets"),
        ("srt", '{"network": {"deniedDomains": ["*"], "allowedDomains": []}}', ""),
        ("srt", '{"filesystem": {"allowRead": ["~/.ssh/config"]}}', "filesystem.allowRead"),
        ("srt", '{"filesystem": {"allowWrite": [".", "./", "a/../b"]}}', '".." is not allowed'),
        ("squid", "include /etc/squid/conf.d/*.conf\nhttp_access deny all\n", "line 1: include"),
        ("squid", "ssl_bump peek all\nhttp_access deny all\n", "line 1: ssl_bump"),
        ("squid", "http_access allow all\n", "line 1: http_access allow all"),
        ("squid", "acl a dstdomain a.example\nhttp_access deny all\nhttp_access allow a\n", ""),
        ("squid", "http_access allow\nacl x\n", "no `http_access deny all`"),
        (
            "squid",
            "acl a dstdomain a.example\nacl p port 1-65535\nhttp_access allow a p\nhttp_access deny all\n",
            "more than 16 ports",
        ),
        (
            "squid",
            "acl a dstdomain a.example\nacl p port 80 x\nhttp_access allow a p\nhttp_access deny all\n",
            "",
        ),
        ("squid", "http_access allow localhost manager\nhttp_access deny all\n", ""),
        ("squid", "acl a dstdomain it's.example # one quote\nhttp_access deny all\n", ""),
    ],
)
def test_what_is_said_of_one_line(tool: str, text: str, said: str) -> None:
    converted = convert(tool, text, "f")
    assert notes(converted) == "" if not said else said in notes(converted)


def test_without_pyyaml_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(PolicyError, match=r"trio-egress\[yaml\]"):
        convert("awf", "network: {}", "f")


def test_json_that_is_none_and_more_notes_than_people_read() -> None:
    with pytest.raises(PolicyError, match="it is not JSON"):
        convert("srt", "{", "f")
    keys = {f"unknown{number}": 1 for number in range(NOTES_MAX + 3)}
    assert convert("srt", json.dumps(keys), "f").notes[-1] == "and 3 more that could not be said"


@pytest.mark.parametrize("tool", ["harden-runner", "bullfrog"])
def test_steps_that_use_something_else_are_passed_over(tool: str) -> None:
    action = {"harden-runner": "step-security/harden-runner@v2", "bullfrog": "bullfrogsec/bullfrog@v0"}[tool]
    steps = [
        {"run": "make"},
        {"uses": "actions/checkout@v4"},
        {"uses": action, "with": {"egress-policy": "block"}},
    ]
    converted = convert(tool, json.dumps({"jobs": {"build": {"steps": steps}, "other": {}}}), "ci.yml")
    assert (converted.rules, converted.notes) == (0, ())
