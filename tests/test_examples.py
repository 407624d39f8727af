"""Every example is one that works: policies load and mean what their comments say, programs at least parse."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

import trio_egress
from trio_egress.cli.main import main
from trio_egress.evidence.verify import verify
from trio_egress.model import (
    Action,
    Attempt,
    Call,
    CallKind,
    Host,
    Kind,
    Name,
    Need,
    Protocol,
    Side,
    StdioMessage,
    Transport,
)
from trio_egress.policy.engine import decide
from trio_egress.policy.load import load_policy
from trio_egress.policy.mcp_server import decide_message
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy
from trio_egress.policy.scan import resolve_action

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
    command = "mcp" if path.name.startswith("mcp") else "run"
    assert first.startswith(f"# trio-egress {command} --policy examples/{path.name} ")
    programs = re.findall(r"examples/\S+", first)
    assert [name for name in programs if not (EXAMPLES.parent / name).is_file()] == []


def test_hello_allows_its_one_host_and_nothing_else() -> None:
    policy = load("hello.toml")
    assert is_allowed(policy, Name("example.com"), 443, Protocol.TLS)
    assert not is_allowed(policy, Name("elsewhere.example"), 443, Protocol.TLS)
    assert not is_allowed(policy, ip_address("203.0.113.7"), 8080, Protocol.HTTP, "GET")


def test_github_readonly_opens_no_host_that_takes_a_push() -> None:
    policy = load("github-readonly.toml")
    assert is_allowed(policy, Name("codeload.github.com"), 443, Protocol.TLS)
    assert is_allowed(policy, Name("raw.githubusercontent.com"), 443, Protocol.TLS)
    for name in ("github.com", "api.github.com", "gist.github.com", "uploads.github.com"):
        assert not is_allowed(policy, Name(name), 443, Protocol.TLS)
        assert not is_allowed(policy, Name(name), 22, Protocol.TCP)


def test_mcp_server_may_comment_in_public_and_asks_nothing_of_its_client() -> None:
    policy = load("mcp-server.toml")

    def is_let_by(side: Side, method: str, tool: str | None = None, **arguments: str) -> bool:
        call = Call(CallKind.JSONRPC, method, tool, arguments=tuple(arguments.items()) if tool else None)
        return decide_message(policy, StdioMessage(side, call)).allowed

    assert is_let_by(Side.CLIENT, "initialize")
    assert is_let_by(Side.CLIENT, "tools/call", "comment", project="PUBLIC-1", text="hello")
    assert not is_let_by(Side.CLIENT, "tools/call", "comment", project="SECRET-1", text="hello")
    assert not is_let_by(Side.CLIENT, "tools/call", "delete_issue", id="1")
    assert is_let_by(Side.SERVER, "notifications/progress")
    assert not is_let_by(Side.SERVER, "sampling/createMessage")
    (server,) = json.loads((EXAMPLES / "mcp.json").read_text())["mcpServers"].values()
    assert server["args"][:3] == ["mcp", "--policy", "examples/mcp-server.toml"]


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


def test_scanning_looks_through_all_that_is_no_pack() -> None:
    policy = load("scanning.toml")
    scanned = {rule.terms.name: policy.find_scan(rule) for rule in policy.rules}
    assert scanned["git"] is None
    kinds = {
        name: [
            resolve_action(terms, kind, "any", Action.BLOCK, outward=False)
            for kind in (Kind.SECRET, Kind.INSTRUCTION, Kind.ENTROPY)
        ]
        for name, terms in scanned.items()
        if terms is not None
    }
    assert kinds == {
        "model": [Action.BLOCK, Action.WARN, Action.OFF],
        "github-read": [Action.BLOCK, Action.BLOCK, Action.OFF],
        "reading": [Action.BLOCK, Action.STRIP, Action.OFF],
    }
    assert [placed.canary.name for placed in policy.sought.canaries] == ["aws"]


def test_example_programs_parse() -> None:
    shells, pythons = sorted(EXAMPLES.glob("*.sh")), sorted(EXAMPLES.glob("*.py"))
    assert shells
    assert pythons
    for path in shells:
        assert path.stat().st_mode & 0o111, f"{path} is not executable"
        subprocess.run(["sh", "-n", path], check=True)
    for path in pythons:
        compile(path.read_text("utf-8"), str(path), "exec")


def run_example(
    tmp_path: Path, *command: str
) -> tuple[subprocess.CompletedProcess[str], set[tuple[str, str]]]:
    """Run it under hello.toml with its host pinned to a closed port; returns what the receipts say of each target."""
    pins = '\n[resolve]\n"example.com:443" = "127.0.0.1:1"\n"example.com:80" = "127.0.0.1:1"\n'
    (tmp_path / "hello.toml").write_text((EXAMPLES / "hello.toml").read_text("utf-8") + pins, "utf-8")
    options = [f"--policy={tmp_path}/hello.toml", f"--evidence={tmp_path}/packet", "--quiet"]
    ran = subprocess.run(
        [sys.executable, "-m", "trio_egress", "run", *options, "--", *command],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(Path(trio_egress.__file__).parents[1])},
        check=False,
    )
    assert verify(tmp_path / "packet").finding_count == 0, ran.stderr
    lines = (tmp_path / "packet" / "evidence.jsonl").read_text("ascii").splitlines()
    records = [json.loads(line)["action_record"] for line in lines]
    return ran, {(record["target"], record["verdict"]) for record in records}


@pytest.mark.sandbox
@pytest.mark.programs
def test_hello_agent_is_denied_what_its_policy_leaves_out(tmp_path: Path) -> None:
    ran, verdicts = run_example(tmp_path, "sh", "-c", (EXAMPLES / "hello-agent.sh").read_text("utf-8"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert {
        ("tls://example.com:443", "allow"),
        ("dns:elsewhere.example", "block"),
        ("http://203.0.113.7:8080/", "block"),
    } <= verdicts


@pytest.mark.sandbox
def test_fetch_agent_reads_why_it_was_denied(tmp_path: Path) -> None:
    program = (EXAMPLES / "fetch-agent.py").read_text("utf-8")
    urls = ("http://example.com/", "http://elsewhere.example/", "http://203.0.113.7:8080/")
    ran, _ = run_example(tmp_path, "python3", "-I", "-c", program, *urls)
    allowed, name, address = ran.stdout.splitlines()
    assert allowed == "http://example.com/: 502 from the server"
    assert name.startswith("http://elsewhere.example/: not reached: ")
    assert address.startswith(
        "http://203.0.113.7:8080/: denied: no rule allows 203.0.113.7:8080 (a person can "
    )


def test_stores_are_reached_by_name_and_port_alone() -> None:
    policy, counted = load("database.toml"), Moment(able=frozenset(Need))

    def is_reached(name: str, port: int) -> bool:
        attempt = Attempt(Transport.TRANSPARENT, Protocol.TCP, Name(name), port)
        return decide(policy, attempt, counted).allowed

    for name, port in (("db", 5432), ("cache", 6379), ("mail", 25)):
        assert is_reached(f"{name}.example.com", port)
        assert not is_reached(f"{name}.example.com", 22)
        assert not is_reached(f"{name}.example.org", port)
    assert main(["policy", "test", str(EXAMPLES / "database.toml")]) == 0


def test_tools_over_http_are_called_with_what_is_named() -> None:
    policy = load("tools-over-http.toml")
    everything = Moment(able=frozenset(Need))

    def is_let_by(host: str, call: Call, path: str = "/mcp") -> bool:
        request = Attempt(
            Transport.INTERCEPT, Protocol.HTTP, Name(host), 443, "POST", path, secure=True, calls=(call,)
        )
        return decide(policy, request, everything).allowed

    def use(tool: str, **arguments: str) -> Call:
        return Call(CallKind.JSONRPC, "tools/call", tool, arguments=tuple(arguments.items()))

    assert is_let_by("files.example.com", use("read_file", path="/src/a.py", head="5"))
    assert not is_let_by("files.example.com", use("read_file", path="/etc/passwd"))
    assert not is_let_by("files.example.com", use("write_file", path="/src/a.py"))
    assert is_let_by("search.example.com", use("find"))
    assert not is_let_by("search.example.com", use("delete_index"))
    assert is_let_by("api.example.com", Call(CallKind.GRAPHQL, "query", None, ("viewer",)), "/graphql")
    assert not is_let_by("api.example.com", Call(CallKind.GRAPHQL, "mutation", None, ("viewer",)), "/graphql")
