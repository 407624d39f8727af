"""Runs to make pages of: honest ones, huge ones, and ones whose every text was chosen by somebody hostile."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import attrs
from tests.evidence.specimens import KEY, SESSION, Scribe, replay

from trio_egress.evidence.chain import Chain
from trio_egress.evidence.redact import Redactor
from trio_egress.evidence.report import conclude
from trio_egress.evidence.session import Session
from trio_egress.pages.dossier import Dossier, compile_dossier
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.load import load_policy

POLICY = """version = "1.0"
default_deny = true

[[egress]]
destination = "api.example.com"

[[egress]]
destination = "docs.example.com"
protocol = "http"
methods = ["GET", "HEAD"]
"""
LOADED = load_policy(POLICY, "policy.toml")
OWN_SESSION: Session = attrs.evolve(SESSION, policy_hash=policy_hash(LOADED), able=("meter",))
API_RULE = "egress[0] 'api.example.com' (line 4)"
DOCS_RULE = "egress[1] 'docs.example.com' (line 7)"

HOSTILE = (
    "</style><script>alert(1)</script><img src=x onerror=alert(1)>\"'`|</code>\\\n"
    "# h\n[a](http://evil.example/)\x1b[2J\x00\u202e\u2066\u200b\ufeff\U000e0041\x85\u2028@octocat #1 "
    "https://evil.example/ www.evil.example " + "y" * 400
)
"""What an agent would like to stand on a page."""

POSTURE = {
    "enforcement_mode": "enforce",
    "runner_os": "linux",
    "raw_socket_status": "denied",
    "docker_socket_status": "masked",
    "dns_udp_status": "proxied",
    "browser_proxy_status": "forced",
    "websocket_frame_scanning": "off",
    "unsupported_paths": ["sibling steps: they run outside", "TLS tunnels: their content"],
    "agent_uid": 1000,
    "agent_user": "agent",
    "host_uid": 0,
}
RUN = {
    "command": {"program": "agent.sh", "arguments": 2, "sha256": "ab" * 32},
    "versions": {"python": "3.11.2", "trio_egress": "0.1.0"},
    "environment": ["HOME", "PATH"],
}


def begin() -> Scribe:
    scribe = Scribe(OWN_SESSION)
    scribe.reached = {"dialled": "198.51.100.1:443"}
    return scribe.open()


def allow(scribe: Scribe, host: str, rule: str, up: int, down: int, **told: object) -> Scribe:
    """By the rule that the policy has for it; `told` is what the attempt was, if it was not TLS."""
    number = scribe._ids + 1
    asked = {"host": host, "port": 443, "proto": "tls", **told}
    facts = {"flow": number, "connection": number, **asked, "rule": rule, "reason": "a reason"}
    target = f"{asked['proto']}://{host}:{asked['port']}"
    method = "GET" if asked["proto"] == "http" else ""
    return scribe.allow(host, up=up, down=down, facts=facts, target=target, method=method)


def deny(scribe: Scribe, host: str = "evil.example", **members: object) -> Scribe:
    """By whatever layer."""
    return scribe.append(scribe.draft(host, **{"verdict": "block", "layer": "default_deny", **members}))


def deny_method(scribe: Scribe) -> Scribe:
    """A POST that the second rule of POLICY doesn't allow."""
    reason = f"{DOCS_RULE} allows GET, HEAD, not POST"
    facts = {"host": "docs.example.com", "port": 80, "proto": "http", "rule": DOCS_RULE, "reason": reason}
    target = "http://docs.example.com:80/v1"
    return deny(
        scribe,
        layer="method",
        method="POST",
        target=target,
        facts={**facts, "connection": 900 + scribe.redirected},
    )


def deny_packet(scribe: Scribe) -> Scribe:
    facts = {"host": "203.0.113.7", "port": 9999, "proto": "udp", "count": 1, "reason": "only TCP and DNS"}
    return deny(scribe, layer="kernel", transport="packet", target="udp://203.0.113.7:9999", facts=facts)


def look_up(scribe: Scribe, name: str, count: int = 1, *, allowed: bool = False) -> Scribe:
    facts = {"host": name, "port": 0, "proto": "dns", "count": count, "reason": f"no rule allows {name}"}
    return scribe.append(
        scribe.draft(
            verdict="allow" if allowed else "block",
            layer="rule" if allowed else "default_deny",
            transport="dns",
            target=f"dns:{name}",
            facts={**facts, **({} if allowed else {"over": "tcp"})},
        )
    )


def write_secrets() -> list[bytes]:
    """A token in what was tried, once let through and once not."""
    scribe = Scribe(OWN_SESSION)
    scribe.chain = Chain(KEY, OWN_SESSION, Redactor(b"\x07" * 32, {"api-token": b"hunter2-and-more"}))
    scribe.open().allow("api.example.com", target="http://api.example.com:80/hunter2-and-more")
    return scribe.block("hunter2-and-more.evil.example").close().lines


def write_usual() -> list[bytes]:
    scribe = allow(begin(), "api.example.com", API_RULE, up=738, down=1454)
    look_up(deny_packet(deny_method(scribe)), "evil.example", count=20)
    allow(scribe, "docs.example.com", DOCS_RULE, up=1, down=2, port=80, proto="http")
    return scribe.close(facts={"agent_exit_code": 0}).lines


def write_hostile() -> list[bytes]:
    """Every text that an agent or its peer has a hand in is HOSTILE."""
    scribe = begin()
    facts = dict.fromkeys(("host", "proto", "reason", "rule", "sni", "dialled", "call", "detail"), HOSTILE)
    everything = {**facts, "port": 443, "connection": 1}
    scribe.block(target=HOSTILE, method=HOSTILE, facts=everything)
    scribe.allow(target=HOSTILE, method=HOSTILE, facts=everything)
    named = {"host": "evil.example", "port": 80, "proto": "http", "connection": 2, "reason": HOSTILE}
    path = "http://evil.example:80/" + HOSTILE
    scribe.block(target=path, method="POST", facts=named)
    scribe.block(target=f"syscall:{HOSTILE}", transport="syscall", facts={"count": 3, **facts})
    scribe.change_policy(rule=HOSTILE, reason=HOSTILE)
    return scribe.close(HOSTILE, facts={"agent_exit_code": -9}).lines


def write_huge(hosts: int = 10_000) -> list[bytes]:
    """So many hosts that were reached, and as many that were denied."""
    scribe = begin()
    for number in range(hosts // 2):
        name = f"{'h' * 60}.{'x' * 60}.host-{number}.example"
        scribe.allow(name, up=number, down=2 * number)
        scribe.block(f"{'d' * 60}.{'y' * 60}.denied-{number}.example")
    return scribe.close().lines


def make_dossier(
    lines: Sequence[bytes],
    *,
    pinned: bool = True,
    claimed: bool = True,
    policy: str = POLICY,
    files: dict[str, bytes] | None = None,
) -> Dossier:
    """As a run makes it of itself, and `packet report` of a packet."""
    played = replay(list(lines))
    report = conclude("evidence.jsonl", played, played.findings, pinned=pinned)
    packet = {
        "run": {"agent_exit_code": played.close_facts.get("agent_exit_code"), "provider": "local"},
        "posture": POSTURE,
        "policy": {"config_path": "agent.toml"},
    }
    own = {
        "policy.toml": policy.encode("utf-8", "surrogateescape"),
        "packet.json": json.dumps(packet).encode(),
        "posture.json": json.dumps({"kernel": "6.18", "probes": {"raw_socket": "denied:EPERM"}}).encode(),
        "run.json": json.dumps(RUN).encode(),
        **(files or {}),
    }
    policies = {policy_hash(LOADED): LOADED}
    return compile_dossier(io.BytesIO(b"".join(lines)), report, own, policies, claimed=claimed)


def write_used_secrets() -> list[bytes]:
    """A secret that the boundary put in twice, and that was asked for by somebody else once."""
    scribe = begin()
    asked = {"host": "api.example.com", "port": 443, "proto": "http", "connection": 1}
    for _ in range(2):
        scribe.allow(facts={**asked, "secrets_used": [f"[api-token:{'0' * 32}]"]}, transport="intercept")
    facts = {**asked, "host": "evil.example", "secrets_refused": ["api-token"], "reason": "goes elsewhere"}
    scribe.append(
        scribe.draft("evil.example", verdict="block", layer="secret", facts=facts, transport="intercept")
    )
    return scribe.close().lines


def write_messages() -> list[bytes]:
    """What an MCP server and its client say: two calls and a notification that go by, a call that doesn't."""
    scribe = begin()
    for method, target in (("tools/call", "tools/call:look"), ("tools/call", "tools/call:look"), ("x", "x")):
        facts = {"proto": "mcp", "from": "client", "reason": "a reason"}
        scribe.allow(
            target=f"mcp:{target}", method=method, transport="mcp_stdio", up=70, down=30, facts=facts
        )
    facts = {"proto": "mcp", "from": "client", "tool": "rm", "reason": "[mcp] (line 3) names no rm in tools"}
    scribe.append(
        scribe.draft(
            verdict="block",
            layer="operation",
            target="mcp:tools/call:rm",
            method="tools/call",
            transport="mcp_stdio",
            facts=facts,
        )
    )
    return scribe.close().lines
