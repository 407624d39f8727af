"""Whatever receipts hold, every view shows it: nothing raises, and what comes out is what its format allows."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.views.pictures import take, write_packet
from tests.views.test_ocsf import find_misfits

from trio_egress.views.compare import compare, read_run
from trio_egress.views.junit import render_junit
from trio_egress.views.lines import describe_attempt, leave_plain, render_attempt, render_receipt
from trio_egress.views.ocsf import render_ocsf
from trio_egress.views.picture import Picture
from trio_egress.views.sarif import render_sarif
from trio_egress.views.watching import Watching

TEXT = st.text(st.characters(), max_size=30)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
WORDS = {
    "verdict": ["allow", "block"],
    "decision_phase": ["intent", "outcome"],
    "transport": ["transparent", "dns", "packet", "syscall", "policy", "receipt_session"],
    "layer": ["rule", "observe", "kernel", "path"],
    "method": ["GET", "BREW"],
    "target": ["http://a.example:80/x", "dns:a.example", "syscall:bpf"],
    "timestamp": ["2026-11-22T12:16:41.5Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
    "proto": ["http", "tls", "dns", "udp", "sctp"],
    "host": ["a.example", "192.0.2.1", "2001:db8::1", "fe80::1%lo"],
    "rule": ["egress[0] 'a' (line 5)", "egress[0] 'a' (b.toml line 5)"],
    "dialled": ["192.0.2.1:80", "[2001:db8::1]:80"],
}
RECORD = [
    *("verdict", "decision_phase", "transport", "layer", "method", "target", "timestamp", "action_id"),
    *("chain_seq", "session_control", "policy_hash", "actor", "principal", "session_id"),
]
FACTS = [
    *("proto", "host", "rule", "dialled", "port", "reason", "count", "status", "bytes_up", "duration_us"),
    *("call", "detail", "connection", "alpn", "sni", "over", "rdtype", "agent_exit_code", "policy_to"),
]


def choose(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Members of these names, each what it should be or anything at all."""
    return st.fixed_dictionaries(
        {},
        optional={name: st.sampled_from(WORDS[name]) | ANY if name in WORDS else ANY for name in names},
    )


def render_line(record: dict[str, Any], facts: dict[str, Any]) -> bytes:
    receipt = {
        "version": 1,
        "action_record": record or {"version": 1},
        "signature": f"ed25519:{'0' * 128}",
        "signer_key": "0" * 64,
        "ext": {"trio_egress": facts},
    }
    return json.dumps(receipt, separators=(",", ":")).encode() + b"\n"


LINES = st.lists(st.builds(render_line, choose(RECORD), choose(FACTS)), max_size=5)


@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(LINES)
def test_whatever_receipts_hold_every_export_is_of_its_format(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        picture = take(write_packet(Path(directory), lines))
        events = [json.loads(line) for line in render_ocsf(picture)]
        assert [misfit for event in events for misfit in find_misfits(event)] == []
        assert len(json.loads("".join(render_sarif(picture)))["runs"][0]["results"]) >= 1
        assert ElementTree.fromstring("".join(render_junit(picture))).tag == "testsuites"
        check_text("".join([*render_ocsf(picture), *render_sarif(picture), *render_junit(picture)]))
        check_lines(picture, lines)
        assert compare(read_run(Path(directory)), read_run(Path(directory))) == []


def check_text(text: str) -> None:
    assert text.isascii()
    assert text.replace("\n", "").isprintable()


def check_lines(picture: Picture, lines: list[bytes]) -> None:
    """What a terminal is shown."""
    watching = Watching(leave_plain)
    said = [said for raw in lines for said in watching.feed(raw[:-1])]
    shown = [one.line for one in said] + [json.dumps(one.members) for one in said]
    for attempt in picture.attempts():
        shown += [render_attempt(attempt), json.dumps(describe_attempt(attempt))]
    shown += [line for told in picture.receipts() for line in render_receipt(told)]
    for line in shown:
        assert line.isascii()
        assert line.isprintable()
