"""Which hosts need their TLS ended: by what their rules say, allowing or denying."""

from __future__ import annotations

import pytest

from trio_egress.policy.intercepted import find_intercepted
from trio_egress.policy.load import load_policy

HEAD = 'version = "1.0"\ndefault_deny = true\n'


def find(*rules: str) -> list[str]:
    tables = "".join(f"[[egress]]\n{rule}\n" for rule in rules)
    policy = load_policy(HEAD + tables, "agent.toml")
    by_pattern = {rule.terms.destination.pattern: str(rule.terms.destination) for rule in policy.rules}
    return [by_pattern[pattern] for pattern in find_intercepted(policy)]


@pytest.mark.parametrize(
    "more",
    [
        'methods = ["GET"]',
        'paths = ["/a"]',
        "query = []",
        'git = { fetch = ["**"] }',
        'tls = "intercept"',
        'limits = { requests = "1/day" }',
        "scan = true",
        'deny = true\npaths = ["/a"]',
        'deny = true\nmethods = ["DELETE"]',
        'protocol = "https"\nports = [8443]\nmethods = ["GET"]',
    ],
)
def test_a_rule_about_requests_has_tls_ended(more: str) -> None:
    assert find(f'destination = "api.example"\n{more}', 'destination = "other.example"') == ["api.example"]


@pytest.mark.parametrize(
    "more",
    [
        "",
        "deny = true",
        'limits = { bytes_up = "1 MiB" }',
        'tls = "passthrough"',
        'protocol = "http"\nmethods = ["GET"]',
        'deny = true\nprotocol = "http"\npaths = ["/a"]',
        'protocol = "ssh"',
        "ports = [22]",
    ],
)
def test_another_rule_leaves_it_alone(more: str) -> None:
    assert find(f'destination = "api.example"\n{more}') == []


def test_each_host_is_told_once() -> None:
    rule = 'destination = "*.example.com"\nmethods = ["{}"]'
    assert find(rule.format("GET"), rule.format("PUT")) == ["*.example.com"]
