"""Packets to look at: an honest one with every kind of receipt, and what an agent would like to make of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import attrs
from tests.evidence.specimens import KEY, SESSION, Scribe, render_counters, rewrite, setting, setting_fact
from tests.evidence.test_packet import FACTS, make_packet

from trio_egress.evidence.findings import Findings
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.report import conclude
from trio_egress.evidence.session import Session
from trio_egress.evidence.stream import replay_stream
from trio_egress.evidence.verify import verify
from trio_egress.views.picture import Picture, take_picture

POLICY = b"""\
version = "1.0"

default_deny = true

[[egress]]
destination = "api.example.com"
"""
COMPILED = b"{}"
RULED = attrs.evolve(SESSION, policy_hash=f"sha256:{sha256(COMPILED).hexdigest()}")

HOSTILE = '\x1b[31m[x](https://evil.example) {0} <b>"&]]>\x00\x85\ud800\u202e\U0001f600@all\r\n'
"""What no reader may take for more than text."""


def write_lines(session: Session = RULED) -> list[bytes]:
    """Line 1 open; 2, 3 TLS and 4, 5 HTTP, allowed; 6 a method; 7 no rule; 8 DNS; 9 UDP; 10 a call; 11 close."""
    scribe = Scribe(session).open()

    def block(facts: Mapping[str, object], **members: str) -> None:
        scribe.append(scribe.draft("evil.example", verdict="block", facts=facts, **members))

    rule = "egress[0] 'api.example.com' (line 5)"
    facts = {
        "host": "api.example.com",
        "port": 443,
        "proto": "tls",
        "rule": rule,
        "reason": f"{rule} allows it",
    }
    scribe.allow(
        up=100, down=2000, facts={**facts, "dialled": "192.0.2.1:443", "sni": "api.example.com", "flow": 1}
    )
    web = {
        **facts,
        "port": 80,
        "proto": "http",
        "connection": 2,
        "status": 204,
        "dialled": "[2001:db8::1]:80",
    }
    target = "http://api.example.com:80/v1"
    scribe.allow(target=target, facts=web, method="GET")
    block(target=target, facts={**web, "reason": f"{rule} allows GET"}, method="POST", layer="method")
    scribe.block()
    query = {"host": "evil.example", "port": 0, "proto": "dns", "count": 20, "over": "udp", "rdtype": "A"}
    dns = {"target": "dns:evil.example", "transport": "dns", "layer": "default_deny"}
    block(facts={**query, "reason": "no rule allows evil.example"}, **dns)
    packet = {
        "counter": "udp",
        "proto": "udp",
        "host": "203.0.113.7",
        "port": 9999,
        "count": 3,
        "reason": "only TCP",
    }
    block(target="udp://203.0.113.7:9999", transport="packet", layer="kernel", facts=packet)
    call = {
        "call": "bpf",
        "detail": "BPF_PROG_LOAD",
        "errno": "EPERM",
        "count": 2,
        "reason": "bpf is refused",
    }
    block(target="syscall:bpf", transport="syscall", layer="kernel", facts=call)
    counters = {"redirected": 2, "dns_udp": 20, "udp": 3, "syscall": 2}
    return scribe.close(facts=render_counters(**counters)).lines


def write_packet(directory: Path, lines: Iterable[bytes], config_path: str = "ci/agent.toml") -> Path:
    """As much of a packet as the views read."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "evidence.jsonl").write_bytes(b"".join(lines))
    (directory / "policy.toml").write_bytes(POLICY)
    (directory / "policy-compiled.json").write_bytes(COMPILED)
    (directory / "packet.json").write_text(json.dumps({"policy": {"config_path": config_path}}))
    return directory


def write_whole_packet(directory: Path, lines: list[bytes]) -> Path:
    """All of a packet."""
    directory.mkdir(parents=True)
    make_packet(directory, lines, attrs.evolve(FACTS, policy_text=POLICY.decode(), policy_compiled=COMPILED))
    return directory


def take(directory: Path, *, pinned: bool = True, root: Path | None = None) -> Picture:
    """The picture of an evidence file alone, as what stands beside it is not a whole packet here."""
    findings = Findings()
    replay = Replay(findings, "evidence.jsonl", {KEY.public_hex} if pinned else None)
    with (directory / "evidence.jsonl").open("rb") as stream:
        replay_stream(stream, replay)
    report = conclude(str(directory), replay, findings, pinned=pinned)
    return take_picture(directory, report, root)


def take_broken(directory: Path) -> Picture:
    """A packet that does not verify: a line is gone."""
    lines = write_lines()
    return take(write_packet(directory, [*lines[:4], *lines[5:]]))


def take_hostile(directory: Path) -> Picture:
    """Every text that an agent may choose, and some that it can't, is HOSTILE; signed by who holds the key."""
    lines = write_lines()
    for index in range(1, len(lines) - 1):
        for name in ("target", "method", "layer", "action_id", "actor", "principal"):
            if name != "action_id" or index > 4:
                lines = rewrite(lines, {index: setting(name, HOSTILE.replace("\ud800", ""))})
        for name in ("host", "reason", "rule", "call", "detail", "sni", "rdtype", "proto", "dialled"):
            lines = rewrite(lines, {index: setting_fact("port", 65_536 + index)})
            lines = rewrite(lines, {index: setting_fact(name, HOSTILE.replace("\ud800", ""))})
    lines.insert(3, lines[3].replace(b'"target":"', b'"target":"\\ud800'))
    return take(write_packet(directory, lines, config_path=HOSTILE.replace("\ud800", "")))


def verify_unreadable(directory: Path) -> Picture:
    return take_picture(directory, verify(directory), None)
