"""Every example is one that works: policies load and mean what their comments say, programs at least parse."""

from __future__ import annotations

import re
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from trio_egress.model import Attempt, Host, Name, Protocol, Transport
from trio_egress.policy.engine import decide
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy

EXAMPLES = Path(__file__).parents[1] / "examples"
POLICIES = sorted(EXAMPLES.glob("*.toml"))


def load(name: str) -> Policy:
    return load_policy((EXAMPLES / name).read_text("utf-8"), name)


def is_allowed(policy: Policy, host: Host, port: int, protocol: Protocol, method: str | None = None) -> bool:
    return decide(policy, Attempt(Transport.TRANSPARENT, protocol, host, port, method)).allowed


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_example_policy_loads_and_allows_something(path: Path) -> None:
    assert load(path.name).rules


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_example_policy_names_its_own_command(path: Path) -> None:
    first = path.read_text("utf-8").splitlines()[0]
    assert first.startswith(f"# trio-egress run --policy examples/{path.name} ")
    programs = re.findall(r"examples/\S+", first)
    assert [name for name in programs if not (EXAMPLES.parent / name).is_file()] == []


def test_hello_allows_its_one_host_and_nothing_else() -> None:
    policy = load("hello.toml")
    assert is_allowed(policy, Name("example.com"), 443, Protocol.TLS)
    assert not is_allowed(policy, Name("elsewhere.example"), 443, Protocol.TLS)
    assert not is_allowed(policy, ip_address("203.0.113.7"), 2323, Protocol.TCP)


def test_github_readonly_opens_no_host_that_takes_a_push() -> None:
    policy = load("github-readonly.toml")
    assert is_allowed(policy, Name("codeload.github.com"), 443, Protocol.TLS)
    assert is_allowed(policy, Name("raw.githubusercontent.com"), 443, Protocol.TLS)
    for name in ("github.com", "api.github.com", "gist.github.com", "uploads.github.com"):
        assert not is_allowed(policy, Name(name), 443, Protocol.TLS)
        assert not is_allowed(policy, Name(name), 22, Protocol.TCP)


def test_coding_agent_reads_documentation_and_writes_none() -> None:
    policy = load("coding-agent.toml")
    docs = Name("python.docs.example.com")
    assert is_allowed(policy, docs, 80, Protocol.HTTP, "GET")
    assert not is_allowed(policy, docs, 80, Protocol.HTTP, "POST")
    assert is_allowed(policy, Name("git.example.com"), 22, Protocol.TCP)
    assert not is_allowed(policy, Name("git.example.com"), 443, Protocol.TLS)


def test_coding_agent_reaches_its_database_where_it_is_pinned() -> None:
    attempt = Attempt(Transport.TRANSPARENT, Protocol.TCP, Name("postgres.ci.example.com"), 5432)
    upstream = decide(load("coding-agent.toml"), attempt).upstream
    assert upstream is not None
    assert upstream.allow_private
    assert str(upstream.pin) == "10.20.0.5:5432"


def test_example_programs_parse() -> None:
    shells, pythons = sorted(EXAMPLES.glob("*.sh")), sorted(EXAMPLES.glob("*.py"))
    assert shells
    assert pythons
    for path in shells:
        assert path.stat().st_mode & 0o111, f"{path} is not executable"
        subprocess.run(["sh", "-n", path], check=True)
    for path in pythons:
        compile(path.read_text("utf-8"), str(path), "exec")
