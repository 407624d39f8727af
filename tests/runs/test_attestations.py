"""What real runs leave for other programs: a statement of what was contacted, and a log proven while it lives."""

from __future__ import annotations

import json
import shutil
import signal

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]
from tests.cli.test_packet_prove import run_packet
from tests.runs.launch import Place, wait_until, write_policy
from tests.runs.test_host_internal import ASK, serving

pytestmark = pytest.mark.sandbox


def test_the_statement_lists_what_was_contacted_and_not_what_was_denied(place: Place) -> None:
    with serving() as service:
        policy = write_policy(f"host.internal:{service.port}", "*.internal")
        ended = place.run(
            policy, "python3", "-c", ASK, f"host.internal:{service.port}", "evil.example:443", "192.0.2.1:443"
        )
    assert ended.verify() == 0
    assert ended.blocks != []
    envelope = Envelope.from_dict(json.loads((ended.evidence / "statement.dsse.json").read_bytes()))
    (key_id,) = envelope.signatures
    envelope.verify([SSlibKey(key_id, "ed25519", "ed25519", {"public": place.key.public_hex})], 1)
    (row,) = json.loads(envelope.payload)["predicate"]["monitorLog"]["network"]
    assert (row["hostname"], row["ip"], row["port"]) == ("host.internal", "127.0.0.1", service.port)
    assert row["trioEgress"] == {"attempts": 1, "bytesUp": len(b"question"), "bytesDown": len(b"answer")}


def test_a_checkpoint_of_a_live_run_is_proven_to_be_its_beginning(place: Place) -> None:
    started = place.start(write_policy(), "sh", "-c", "touch began; exec sleep 1000")
    wait_until((place.work / "began").exists, "the agent runs")
    kept = place.path / "kept.txt"
    shutil.copy(started.evidence / "checkpoint.txt", kept)
    key = place.key.public_hex
    live = run_packet("prove", started.evidence, 0, "-o", "live", cwd=place.path)
    assert live.returncode == 0, live.stderr
    assert run_packet("prove", "--check", "live", "--public-key", key, cwd=place.path).returncode == 0
    started.send(signal.SIGTERM)
    ended = started.wait()
    assert ended.verify_by_command("--anchor", str(kept)) == 0
    run_packet("prove", ended.evidence, "--since", kept, "-o", "grown", cwd=place.path)
    given = ["prove", "--check", "grown", "--since", kept, "--public-key", key]
    checked = run_packet(*given, cwd=place.path)
    assert "begins with the 1 that it had before" in checked.stdout, checked.stderr


def test_a_run_that_was_killed_has_a_checkpoint_that_holds(place: Place) -> None:
    started = place.start(write_policy(), "sh", "-c", "touch began; exec sleep 1000")
    wait_until((place.work / "began").exists, "the agent runs")
    started.send(signal.SIGKILL)
    ended = started.wait()
    assert ended.verify() == 3
    evidence = ended.evidence / "evidence.jsonl"
    evidence.write_bytes(b"")
    assert ended.verify() == 1
