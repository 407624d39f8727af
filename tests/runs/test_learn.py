"""`trio-egress learn`, for real: what an agent did in a run that only observes is what the learnt policy allows."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.runs.launch import ENVIRONMENT, Place, write_policy

from trio_egress.policy.load import load_policy

pytestmark = pytest.mark.sandbox

AGENT_SCRIPT = """
curl -s -o /dev/null http://web.example.com/a
curl -s -o /dev/null -X POST http://web.example.com/b
curl -s -o /dev/null -m 5 http://169.254.169.254/latest
exit 3
"""


class Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def web() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def learn(place: Place, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trio_egress", "learn", *arguments]
    return subprocess.run(
        command, cwd=place.work, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )


def observe(place: Place, web: int) -> tuple[subprocess.CompletedProcess[str], Path, Path]:
    """A run that only observes; what it printed, its packet and the policy that was learnt."""
    base = place.write("base.toml", write_policy(pins={"web.example.com": f"127.0.0.1:{web}"}))
    packet, learnt = place.path / "packet", place.path / "learnt.toml"
    ran = learn(
        place, "--policy", base, "--evidence", packet, "--output", learnt, "--", "bash", "-c", AGENT_SCRIPT
    )
    return ran, packet, learnt


def test_what_was_seen_is_allowed_by_what_is_learnt(place: Place, web: int) -> None:
    ran, packet, learnt = observe(place, web)
    assert ran.returncode == 3, ran.stderr
    assert "OBSERVING, NOT ENFORCING" in ran.stderr
    assert "wrote" in ran.stderr
    policy = load_policy(learnt.read_text(), "learnt.toml")
    assert [(str(rule.terms.destination), sorted(rule.terms.methods or ())) for rule in policy.rules] == [
        ("web.example.com", ["GET", "POST"])
    ]
    assert "169.254.169.254" in learnt.read_text().partition("# Denied while it was seen")[2]
    enforced = place.run(
        learnt.read_text() + f'\n[resolve]\n"web.example.com" = "127.0.0.1:{web}"\n',
        "bash",
        "-c",
        AGENT_SCRIPT,
    )
    assert [outcome.verdict for outcome in enforced.outcomes] == ["allow", "allow"]
    assert packet.is_dir()


def test_observed_evidence_is_never_valid(place: Place, web: int) -> None:
    _, packet, _ = observe(place, web)
    key = json.loads((packet / "packet.json").read_text())["verifier"]["signer_key"]
    command = [sys.executable, "-m", "trio_egress", "verify", packet, "--public-key", key]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 3
    assert ran.stdout.startswith("OBSERVED ONLY")
    posture = json.loads((packet / "packet.json").read_text())["posture"]
    assert posture["enforcement_mode"] == "observe"
    assert "Nothing was enforced" in (packet / "summary.md").read_text()


def test_evidence_teaches_the_same_as_the_run(place: Place, web: int) -> None:
    _, packet, learnt = observe(place, web)
    ran = learn(place, "--from", packet)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.partition("\n")[2] == learnt.read_text().partition("\n")[2]


def test_nothing_is_written_over_and_nothing_runs_then(place: Place) -> None:
    there = place.write("there.toml", "mine\n")
    ran = learn(place, "--output", there, "--", "touch", "ran")
    assert ran.returncode == 2
    assert "exists already" in ran.stderr
    assert there.read_text() == "mine\n"
    assert not (place.work / "ran").exists()


def test_a_run_that_never_was_leaves_no_empty_policy(place: Place) -> None:
    output = place.work / "learnt.toml"
    place.work.chmod(0o777)
    full = place.path / "full"
    full.mkdir()
    (full / "x").touch()
    ran = learn(place, "--output", output, "--evidence", full, "--", "true")
    assert ran.returncode == 125
    assert "is not empty" in ran.stderr
    assert not output.exists()


def test_a_command_that_is_not_found_leaves_no_empty_policy(place: Place) -> None:
    place.work.chmod(0o777)
    ran = learn(place, "--evidence", place.path / "packet", "--", "no-such-command")
    assert ran.returncode == 127
    assert "wrote" not in ran.stderr
    assert not (place.work / "trio-egress.toml").exists()


def test_a_policy_that_does_not_fit_on_the_disk_is_told(place: Place, web: int) -> None:
    _, packet, _ = observe(place, web)
    command = [sys.executable, "-m", "trio_egress", "learn", "--from", str(packet)]
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            command, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert "Traceback" not in ran.stderr
    assert ran.returncode != 0


@pytest.mark.parametrize("arguments", [("--from", "nowhere"), ("--from", ".", "--", "true")])
def test_what_cannot_be_learnt_from_is_told(place: Place, arguments: tuple[str, ...]) -> None:
    ran = learn(place, *arguments)
    assert ran.returncode == 2
    assert ran.stderr.startswith("trio-egress learn: ")


ADDS_TO_THEM = """
for name in learnt.toml status.json its.own; do
  echo 'destination = "*.evil.example"' 2>/dev/null >>$name && echo wrote $name
  mv $name moved-$name 2>/dev/null && echo moved $name
done
exit 0
"""


def test_the_agent_adds_nothing_to_what_is_written_when_it_has_ended(place: Place) -> None:
    """They are in its own directory, open and empty, while it runs; a file of its own it does write and move."""
    (place.work / "its.own").touch()
    (place.work / "its.own").chmod(0o666)
    options = ("--output", "learnt.toml", "--status-file", "status.json", "--evidence", place.path / "packet")
    ran = learn(place, *options, "--", "bash", "-c", ADDS_TO_THEM)
    assert ran.stdout.splitlines() == ["wrote its.own", "moved its.own"]
    load_policy((place.work / "learnt.toml").read_text(), "learnt.toml")
    assert "evil" not in (place.work / "learnt.toml").read_text()
    assert json.loads((place.work / "status.json").read_text())["exit_code"] == ran.returncode == 0


SECRET = """
[[secret]]
name = "api-token"
from = { env = "API_TOKEN" }
to = ["web.example.com"]
"""


def test_a_policy_that_is_here_holds_while_it_is_learnt(place: Place, web: int) -> None:
    """As the help says: its secrets, for instance, are none of the agent's."""
    pins = {"web.example.com": f"127.0.0.1:{web}"}
    (place.work / "trio-egress.toml").write_text(write_policy("web.example.com", pins=pins, more=SECRET))
    command = ["sh", "-c", 'echo "token=$API_TOKEN"; curl -s http://web.example.com/']
    packet, learnt = place.path / "packet", place.path / "learnt.toml"
    arguments: list[str | Path] = ["learn", "--evidence", packet, "--output", learnt, "--", *command]
    ran = subprocess.run(
        [sys.executable, "-m", "trio_egress", *arguments],
        cwd=place.work,
        env={**ENVIRONMENT, "API_TOKEN": "a-value-of-some-length"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "token=" in ran.stdout, ran.stderr
    assert "a-value-of-some-length" not in ran.stdout
    assert "web.example.com" in learnt.read_text()
