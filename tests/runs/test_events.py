"""What a run tells outside while it lives, beside real agents: copies of receipts, and figures."""

from __future__ import annotations

import json
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.runs.launch import AS_ROOT, ENVIRONMENT, Place, read_lines, wait_until, write_policy

pytestmark = pytest.mark.sandbox

ASKS = "exec 3<>/dev/tcp/denied.example/80 || exit 0"
REACHES = """
import socket, sys
for path in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
            sock.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
            print("reached", path)
        except OSError as error:
            print(type(error).__name__, path)
"""
SPOILS = """
cat events.jsonl; echo forged >>events.jsonl; rm -f events.jsonl; mv events.jsonl x
touch tried; until [ -e go ]; do sleep 0.02; done
"""


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.settimeout(120)
    listener.bind(str(path))
    path.chmod(0o777)
    listener.listen()
    return listener


def read_figures(text: str) -> dict[str, float]:
    """The sums over labels."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def test_copies_are_the_evidence_itself_and_figures_agree_with_it(place: Place) -> None:
    events, figures_file = place.path / "events.jsonl", place.path / "figures.prom"
    options = ["--events", str(events), "--metrics", str(figures_file)]
    ended = place.run(write_policy(), "bash", "-c", ASKS, options=options)
    assert events.read_bytes() == (ended.evidence / "evidence.jsonl").read_bytes()
    figures = read_figures(figures_file.read_text())
    assert figures["trio_egress_receipts_written_total"] == len(read_lines(ended.evidence))
    told = re.search(r"([\d,]+) denied", ended.err)
    assert told is not None
    assert figures["trio_egress_attempts_total"] == int(told[1].replace(",", "")) > 0
    assert figures["trio_egress_events_dropped_total"] == 0
    assert read_lines(ended.evidence)[-1]["ext"]["trio_egress"]["events_dropped"] == 0
    assert ended.verify() == ended.verify_foreign() == 0


def test_an_export_of_ocsf_comes_while_it_runs(place: Place) -> None:
    options = ["--events", f"unix:{place.path / 'events'}", "--events-format", "ocsf"]
    with listen(place.path / "events") as listener:
        started = place.start(
            write_policy(), "bash", "-c", f"{ASKS}; until [ -e go ]; do sleep 0.02; done", options=options
        )
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            event = json.loads(stream.readline())
            assert (event["class_uid"], event["status"]) == (4003, "Failure")
            assert started.process.poll() is None  # it still runs
            (place.work / "go").touch()
            stream.read()
    ended = started.wait()
    assert (ended.code, ended.verify()) == (0, 0)


def test_who_reads_nothing_holds_up_nothing_and_who_dies_ends_nothing(place: Place) -> None:
    stuck, gone = place.path / "stuck", place.path / "gone"
    options = ["--events", f"unix:{stuck}", "--events", f"unix:{gone}"]
    asks = f"({ASKS}) 2>/dev/null; touch asked; until [ -e go ]; do sleep 0.02; done; ({ASKS}) 2>/dev/null"
    with listen(stuck) as one:
        with listen(gone) as other:
            started = place.start(write_policy(), "bash", "-c", asks, options=options)
            kept, _ = one.accept()
            dies, _ = other.accept()
            dies.close()
        gone.unlink()
        wait_until((place.work / "asked").exists, "the first attempt")
        (place.work / "go").touch()
        ended = started.wait()
        kept.close()
    assert ended.verify() == 0
    assert re.search(rf"--events unix:{gone}: \d+ of \d+ events were dropped", ended.err), ended.err
    assert f"--events unix:{stuck}" not in ended.err  # its buffer had room for all of it


def test_an_agent_reaches_none_of_it(place: Place) -> None:
    events, figures = place.work / "events.jsonl", place.path / "figures"
    options = [
        "--events",
        str(events),
        "--events",
        f"unix:{place.path / 'events'}",
        "--metrics",
        f"unix:{figures}",
    ]
    paths = [str(place.path / "events"), str(figures)]
    script = f"{REACHES}\nimport subprocess\nsubprocess.run({SPOILS!r}, shell=True)"
    with listen(place.path / "events") as listener:
        started = place.start(write_policy(), sys.executable, "-c", script, *paths, options=options)
        wait_until((place.work / "tried").exists, "the agent's tries")
        # The control: from outside both are reached by the same program.
        ran = subprocess.run(
            [sys.executable, "-c", REACHES, *paths],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.count("reached") == 2
        assert stat.S_IMODE(figures.stat().st_mode) == 0o600
        (place.work / "go").touch()
        ended = started.wait()
        listener.close()
    assert "reached" not in ended.text
    assert ended.text.count(str(place.path)) == 2
    assert "action_record" not in ended.text
    assert events.read_bytes() == (ended.evidence / "evidence.jsonl").read_bytes()
    assert AS_ROOT or not figures.exists()


@pytest.mark.parametrize("option", ["--events", "--metrics"])
def test_a_socket_where_the_agent_can_write_is_refused(place: Place, option: str) -> None:
    ended = place.run(write_policy(), "touch", "ran", options=[option, "unix:events"])
    assert ended.code == 125
    assert f"{option} unix:events: the agent can write in" in ended.err
    assert not (place.work / "ran").exists()


def test_a_file_that_cannot_be_used_is_told_before_anything_runs(place: Place) -> None:
    (place.path / "link").symlink_to("elsewhere")
    for name in ("link", "gone/events", "work"):
        ended = place.run(write_policy(), "touch", "ran", options=["--events", str(place.path / name)])
        assert (ended.code, (place.work / "ran").exists()) == (125, False)


def test_nothing_of_it_is_loaded_where_nobody_asks() -> None:
    program = (
        "import sys, trio_egress.cli.run, trio_egress.cli.learn, trio_egress.runtime.supervisor;"
        "print([name for name in sys.modules if name.startswith('trio_egress.telemetry')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
