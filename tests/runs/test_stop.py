"""All egress of a run ends at once and for good: by command, by signal, by a file; the agent lives on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from tests.runs.launch import ENVIRONMENT, Ended, Place, Started, read_lines, wait_until
from tests.runs.test_reload import intents, policy, server  # noqa: F401  a fixture

from trio_egress.runtime.presence import send_signal

pytestmark = pytest.mark.sandbox

KEEPS_ONE_OPEN = """
(exec 3<>/dev/tcp/a.example.com/PORT; echo hello >&3; touch a.open; cat <&3; touch a.ended) &
until [ -e again ]; do sleep 0.02; done
timeout 60 bash -c 'exec 3<>/dev/tcp/a.example.com/PORT; echo hello >&3; read -u 3 line'
exit 5
"""


def start(place: Place, port: int, *options: str, how: str = "run") -> Started:
    """A run with one open connection."""
    script = KEEPS_ONE_OPEN.replace("PORT", str(port))
    started = place.start(policy(port, "a"), "bash", "-c", script, options=options, how=how)
    wait_until((place.work / "a.open").exists, "a connection")
    wait_until(lambda: intents(started) == 1, "its receipt")
    return started


def stop(started: Started, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trio_egress", "stop", *options, str(started.evidence)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)


def end(place: Place, started: Started) -> Ended:
    """When the one connection has ended, and another was tried."""
    wait_until((place.work / "a.ended").exists, "the end of the connection")
    (place.work / "again").touch()
    return started.wait()


def hold_stopped(ended: Ended, port: int, by: str) -> None:
    """What was open was cut, what came later was denied, and all of it verifies."""
    assert ended.code == 5
    target = f"tcp://a.example.com:{port}"
    cut = next(receipt for receipt in ended.outcomes if receipt.target == target)
    assert (cut.verdict, cut.layer) == ("block", "default_deny")
    assert cut.facts["reason"] == f"the policy was changed: egress was stopped {by}, for the rest of this run"
    later = [
        receipt for receipt in ended.receipts if receipt.verdict == "block" and "example" in receipt.target
    ]
    refused = [r for r in later if r.facts["reason"] == f"egress was stopped {by}, for the rest of this run"]
    assert refused, later
    lines = [line for line in read_lines(ended.evidence) if line["action_record"]["target"] == "policy:stop"]
    facts = [line["ext"]["trio_egress"] for line in lines]
    assert [(fact["stopped"], fact["connections_ended"]) for fact in facts] == [(by, 1)]
    assert f"egress was stopped {by}\n" in ended.err
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0
    assert 'version = "1.0"' in (ended.evidence / "policy-2.toml").read_text()


def test_a_command_stops_it_and_no_reload_takes_that_back(place: Place, server: int) -> None:  # noqa: F811
    started = start(place, server)
    ran = stop(started)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "egress is stopped, 1 open connections were ended; the agent lives on" in ran.stdout
    reload = [sys.executable, "-m", "trio_egress", "policy", "reload", str(started.evidence)]
    again = subprocess.run(reload, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 1
    assert (
        "the policy was not changed: egress was stopped by SIGUSR1, for the rest of this run" in again.stderr
    )
    twice = json.loads(stop(started, "--json").stdout)
    assert twice["stopped_before"] is True
    hold_stopped(end(place, started), server, "by SIGUSR1")


def test_without_it_the_connection_stays_open(place: Place, server: int) -> None:  # noqa: F811
    started = start(place, server)
    (place.work / "again").touch()
    wait_until(lambda: intents(started) == 2, "the second connection")
    assert not (place.work / "a.ended").exists()
    started.send(signal.SIGTERM)
    started.wait()


def test_a_file_stops_it(place: Place, server: int) -> None:  # noqa: F811
    file = place.path / "stop"
    started = start(place, server, "--stop-file", str(file))
    file.touch()
    wait_until((place.work / "a.ended").exists, "the end of the connection")
    file.unlink()  # which changes nothing
    hold_stopped(end(place, started), server, f"by {file}")


@pytest.mark.parametrize("name", ["work/stop", "work/sub/stop", "work/led/stop", "way/led/stop", "more/stop"])
def test_a_file_that_the_agent_could_keep_from_being_seen_is_refused(place: Place, name: str) -> None:
    for folder in ("work/sub", "elsewhere", "more"):
        (place.path / folder).mkdir()
    (place.work / "led").symlink_to(place.path / "elsewhere")
    (place.path / "way").symlink_to(place.work)
    more = f'{policy(80, "a")}[files]\nwrite = ["{place.path}/more"]\n'
    ended = place.run(more, "touch", "ran", options=("--stop-file", str(place.path / name)))
    assert (ended.code, (place.work / "ran").exists()) == (125, False)
    assert f"--stop-file {place.path / name}: the agent can write in {place.path}" in ended.err
    assert "name one elsewhere" in ended.err
    for elsewhere in (str(place.path / "elsewhere/stop"), "../stop"):
        assert place.run(more, "true", options=("--stop-file", elsewhere)).code == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [("there", "nothing runs until it is removed"), ("gone/there", "No such file or directory")],
)
def test_where_the_file_is_there_or_could_not_be_seen_nothing_runs(
    place: Place, name: str, words: str
) -> None:
    (place.path / "there").touch()
    ended = place.run(policy(80, "a"), "touch", "ran", options=("--stop-file", str(place.path / name)))
    assert ended.code == 125
    assert words in ended.err
    assert not (place.work / "ran").exists()


def test_what_only_observes_stops_too(place: Place, server: int) -> None:  # noqa: F811
    started = start(place, server, "--output", str(place.path / "learnt.toml"), how="learn")
    send_signal(started.evidence, signal.SIGUSR1)
    ended = end(place, started)
    assert any(
        receipt.verdict == "block" and str(receipt.facts.get("reason", "")).startswith("egress was stopped")
        for receipt in ended.receipts
    )
