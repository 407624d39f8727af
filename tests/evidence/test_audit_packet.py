"""packet.json: what it says comes from the evidence, and whatever it says otherwise is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
from tests.evidence.specimens import (
    KEY,
    POLICY_HASH,
    SESSION,
    START_NS,
    STRANGER,
    Scribe,
    replay,
    rewrite,
    setting,
    write_chain,
)

from trio_egress.evidence.audit_packet import check_packet, render_packet
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.packet_form import Posture, RunFacts
from trio_egress.evidence.replay import Replay

POSTURE = Posture(
    enforcement_mode="linux_netns",
    runner_os="linux",
    raw_socket_status="denied",
    docker_socket_status="masked",
    dns_udp_status="proxied",
    browser_proxy_status="forced",
    websocket_frame_scanning="off",
    unsupported_paths=("stdout",),
    agent_uid=0,
    script_arg_count=2,
)
RUN = RunFacts(
    provider="github_actions",
    agent_identity="agent.sh",
    started_ns=START_NS,
    completed_ns=START_NS + 10**9,
    agent_exit_code=0,
    repository="o/r",
    run_id="77",
)
SNAPSHOT = {"config_path": "agent.toml", "config_snapshot_sha256": "sha256:" + "1" * 64}


def render(played: Replay, verdict: str = "valid", run: RunFacts = RUN, posture: Posture = POSTURE) -> bytes:
    return render_packet(played, verdict, run, posture, SNAPSHOT, START_NS, summary=True)


PACKET: dict[str, Any] = json.loads(render(replay(write_chain())))


def _check(packet: Mapping[str, Any] | bytes, lines: list[bytes] | None = None) -> list[tuple[str, str]]:
    played = replay(write_chain() if lines is None else lines)
    raw = packet if isinstance(packet, bytes) else json.dumps(packet).encode()
    before = played.findings.count
    check_packet(raw, played, played.findings)
    return [(finding.code, finding.place) for finding in played.findings.kept[before:]]


def test_a_packet_says_what_the_evidence_says() -> None:
    played = replay(write_chain())
    assert PACKET["packet_id"] == "run-1"
    assert PACKET["policy"] == {"policy_hashes": [POLICY_HASH], **SNAPSHOT}
    assert PACKET["summary"] == {
        "receipt_count": 8,
        "totals": {
            "allow": 7,
            "block": 1,
            **dict.fromkeys(("warn", "ask", "strip", "forward", "redirect", "other"), 0),
        },
        "transports": {"receipt_session": 3, "transparent": 5},
        "layers": {"default_deny": 1},
        "domains_touched": ["api.example.com", "b.example.com", "evil.example"],
    }
    assert PACKET["verifier"] == {
        "verdict": "valid",
        "trusted": True,
        "receipt_count": 8,
        "root_hash": played.head,
        "final_seq": 7,
        "signer_key": KEY.public_hex,
        "output_file": "verifier.txt",
    }


def test_a_packet_says_what_the_run_knew_and_leaves_out_what_it_did_not() -> None:
    assert PACKET["run"] == {
        "provider": "github_actions",
        "agent_identity": "agent.sh",
        "started_at": "2027-01-15T08:00:00Z",
        "completed_at": "2027-01-15T08:00:01Z",
        "agent_exit_code": 0,
        "repository": "o/r",
        "run_id": "77",
    }
    assert PACKET["posture"]["agent_uid"] == 0
    assert not {"host_uid", "proxy_url", "agent_user"} & set(PACKET["posture"])
    least = json.loads(render(replay(write_chain()), run=RunFacts("local", "a", START_NS)))
    assert list(least["run"]) == ["agent_identity", "provider", "started_at"]


def test_the_identity_is_the_one_that_the_receipts_carry_where_they_do() -> None:
    other = attrs.evolve(RUN, agent_identity="other")
    assert json.loads(render(replay(write_chain()), run=other))["run"]["agent_identity"] == "agent.sh"
    unnamed = replay(write_chain(attrs.evolve(SESSION, actor="")))
    assert json.loads(render(unnamed, run=other))["run"]["agent_identity"] == "other"


def test_its_bytes_are_sorted_and_compact() -> None:
    raw = render(replay(write_chain()))
    assert raw == json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":")).encode()


def test_strange_text_of_the_run_is_made_valid() -> None:
    raw = render(replay(write_chain()), run=attrs.evolve(RUN, ref="é\udc80", workflow="x" * 9999))
    assert "é\ufffd" in raw.decode()
    assert _check(raw) == []


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        (write_chain(), "valid"),
        (write_chain(), "self_consistent_only"),
        (write_chain(), "not_run"),
        (write_chain()[:5], "self_consistent_only"),
        (write_chain()[:5], "error"),
        (Scribe().open().close().lines, "valid"),
        ([], "error"),
        (rewrite(write_chain(), {3: setting("timestamp", "2026-01-01T00:00:00Z")}), "invalid"),
    ],
)
def test_what_we_render_of_any_evidence_is_accepted(lines: list[bytes], verdict: str) -> None:
    assert _check(render(replay(lines), verdict), lines) == []


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        (lambda p: p.update(packet_id="run-2"), "packet_id"),
        (lambda p: p["policy"].update(policy_hashes=[]), "policy.policy_hashes"),
        (lambda p: p["policy"].update(policy_hashes=["sha256:00"]), "policy.policy_hashes"),
        (lambda p: p["summary"].update(receipt_count=9), "summary.receipt_count"),
        (lambda p: p["summary"]["totals"].update(allow=6, block=2), "summary.totals.block"),
        (lambda p: p["summary"]["totals"].update(other=1), "summary.totals"),
        (lambda p: p["summary"].update(transports={}), "summary.transports"),
        (lambda p: p["summary"].update(layers={}), "summary.layers"),
        (lambda p: p["summary"].update(domains_touched=[]), "summary.domains_touched"),
        (lambda p: p["verifier"].update(receipt_count=7), "verifier.receipt_count"),
        (lambda p: p["verifier"].update(root_hash="0" * 64), "verifier.root_hash"),
        (lambda p: p["verifier"].update(final_seq=6), "verifier.final_seq"),
        (lambda p: p["verifier"].update(signer_key=STRANGER.public_hex), "verifier.signer_key"),
        (lambda p: p["verifier"].pop("signer_key"), "verifier.signer_key"),
        (lambda p: p["verifier"].update(trusted=False), "verifier.trusted"),
        (lambda p: p["verifier"].update(verdict="not_run"), "verifier.trusted"),
        (lambda p: p["verifier"].update(verdict="invalid", trusted=False), "verifier.verdict"),
        (lambda p: p["verifier"].update(verdict="error", trusted=False), "verifier.verdict"),
        (lambda p: p["verifier"].update(output_file="other.txt"), "verifier.output_file"),
        (lambda p: p["artifacts"].update(packet="other.json"), "artifacts.packet"),
        (lambda p: p["artifacts"].update(evidence="other.jsonl"), "artifacts.evidence"),
        (lambda p: p["run"].update(agent_identity="other"), "run.agent_identity"),
        (lambda p: p["run"].update(completed_at="2027-01-15T07:59:59Z"), "run.completed_at"),
    ],
)
def test_a_claim_that_the_evidence_does_not_bear_is_found(edit: Edit, place: str) -> None:
    packet = json.loads(json.dumps(PACKET))
    edit(packet)
    assert ("packet.claim", place) in _check(packet)


def test_the_control_of_all_these_edits_is_accepted() -> None:
    assert _check(PACKET) == []


def test_a_prefix_is_never_called_valid() -> None:
    lines = write_chain()[:5]
    assert ("packet.claim", "verifier.verdict") in _check(render(replay(lines), "valid"), lines)


def test_what_was_only_observed_is_never_called_valid() -> None:
    lines = write_chain(attrs.evolve(SESSION, observing=True))
    assert ("packet.claim", "verifier.verdict") in _check(render(replay(lines), "valid"), lines)
    assert _check(render(replay(lines), "self_consistent_only"), lines) == []


def test_a_signed_exit_code_cannot_be_contradicted() -> None:
    lines = Scribe().open().close("exited", {"agent_exit_code": 3}).lines
    for run, found in (
        (attrs.evolve(RUN, agent_exit_code=3), []),
        (RUN, [("packet.claim", "run.agent_exit_code")]),
        (attrs.evolve(RUN, agent_exit_code=None), [("packet.claim", "run.agent_exit_code")]),
    ):
        assert _check(render(replay(lines), run=run), lines) == found


def test_a_session_of_commands_has_no_exit_code() -> None:
    lines = Scribe().open().close("exited", {"commands": 0}).lines
    assert _check(render(replay(lines), run=attrs.evolve(RUN, agent_exit_code=None)), lines) == []
    assert _check(render(replay(lines), run=RUN), lines) == [("packet.claim", "run.agent_exit_code")]


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b"\xff", b"[" * 9999, b'{"a":1.5}', b"null", json.dumps({**PACKET, "x": 1}).encode()],
)
def test_bytes_that_are_no_packet_are_a_finding(raw: bytes) -> None:
    assert {code for code, _ in _check(raw)} == {"packet.form"}


def test_a_member_that_stands_twice_is_found() -> None:
    raw = json.dumps(PACKET).encode().replace(b'{"artifacts"', b'{"packet_id":"evil","artifacts"', 1)
    assert _check(raw) == [("packet.form", "")]


def test_a_claim_is_told_in_full_but_not_endlessly() -> None:
    packet = json.loads(json.dumps(PACKET))
    packet["summary"]["domains_touched"] = [f"{n:05}.example" for n in range(1000)]
    played = replay(write_chain())
    check_packet(json.dumps(packet).encode(), played, played.findings)
    (finding,) = played.findings.kept
    assert finding.expected == '["api.example.com", "b.example.com", "evil.example"]'
    assert len(finding.found) < 200


def test_a_packet_of_other_findings_alone_is_not_blamed_twice() -> None:
    played = replay(write_chain())
    assert check_packet(render(played), played, Findings()) is not None
