"""Whether a run can read what its policy is about, and what that loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy
from trio_egress.runtime.bodies import can_read, open_bodies


def make_policy(keys: str) -> Policy:
    head = 'version = "1.0"\ndefault_deny = true\n'
    return load_policy(f'{head}[[egress]]\ndestination = "a.example"\n{keys}\n', "agent.toml")


PLAIN, MCP, GRAPHQL = map(make_policy, ("", 'mcp = { tools = ["a"] }', 'graphql = { queries = ["a"] }'))


def test_nothing_is_opened_where_no_rule_is_about_bodies() -> None:
    assert open_bodies(PLAIN) is None


@pytest.mark.parametrize(("policy", "graphql"), [(MCP, False), (GRAPHQL, True)])
def test_graphql_is_read_where_a_rule_is_about_it(policy: Policy, graphql: bool) -> None:
    bodies = open_bodies(policy)
    assert bodies is not None
    assert bodies.graphql is graphql


def test_a_policy_that_comes_later_is_read_with_what_was_opened() -> None:
    assert can_read(None, PLAIN)
    assert not can_read(None, MCP)
    assert can_read(open_bodies(MCP), MCP)
    assert can_read(open_bodies(MCP), PLAIN)
    assert not can_read(open_bodies(MCP), GRAPHQL)
    assert can_read(open_bodies(GRAPHQL), MCP)


ASK = """
import sys
from tests.runtime.test_bodies import {0}
from trio_egress.runtime.bodies import open_bodies
open_bodies({0})
print(*sorted(name for name in ("graphql", "trio_egress.proxy.bodies") if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("policy", "loaded"),
    [("PLAIN", ""), ("MCP", "trio_egress.proxy.bodies"), ("GRAPHQL", "graphql trio_egress.proxy.bodies")],
)
def test_what_no_rule_needs_is_not_loaded(policy: str, loaded: str) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", ASK.format(policy)], capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == loaded
