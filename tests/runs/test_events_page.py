"""docs/events.md: its commands as one, in which whoever listens is the test, and what then is where the page says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from tests.blocks import ROOT, write_program
from tests.runs.launch import ENVIRONMENT, PATIENCE_SECONDS, Place, wait_until, write_policy
from tests.runs.test_events import ASKS, listen, read_figures
from tests.serving import Handler, serve

pytestmark = pytest.mark.sandbox

PAGE = (ROOT / "docs/events.md").read_text("utf-8")
RUNS = re.findall(r"^    trio-egress run (.*) -- \./agent\.sh$", PAGE, re.MULTILINE)
(ASK,) = re.findall(r"^    (curl .*)$", PAGE, re.MULTILINE)
(VERIFY,) = re.findall(r"`(trio-egress verify [^`]*)`", PAGE)
AGENT = f"#!/usr/bin/env bash\n({ASKS})\ntouch asked; until [ -e go ]; do sleep 0.02; done\n"


class Collector(Handler):
    """Of OpenTelemetry's logs: the lines that it was told."""

    told: list[str]

    def do_POST(self) -> None:
        logs = json.loads(self.read_body())
        records = [
            record
            for resource in logs["resourceLogs"]
            for scope in resource["scopeLogs"]
            for record in scope["logRecords"]
        ]
        self.told += [self.path, *(record["body"]["stringValue"] for record in records)]
        self.answer(b"")


def place_of(place: Place, text: str, port: int) -> str:
    """With directories of this test in place of the machine's."""
    text = re.sub(r"/var/(?:log/agents|lib/agents|lib/vector)/", f"{place.path}/", text)
    return text.replace("localhost:4318", f"localhost:{port}")


def test_its_commands_tell_what_it_says(place: Place) -> None:
    write_program(place.work, "agent.sh", AGENT)
    write_program(
        place.path / "programs", "trio-egress", f'#!/bin/sh\nexec {sys.executable} -m trio_egress "$@"\n'
    )
    told: list[str] = []
    with (
        serve(type("Collected", (Collector,), {"told": told})) as port,
        listen(place.path / "agents.sock") as listener,
    ):
        options = [word for line in RUNS for word in shlex.split(place_of(place, line, port))]
        started = place.start(write_policy(), "./agent.sh", options=options)
        connection, _ = listener.accept()
        wait_until(lambda: (place.work / "asked").exists() and told, "the agent, and what it tried")
        asked = run(place, place_of(place, ASK, port))
        (place.work / "go").touch()
        ended = started.wait()
        with connection, connection.makefile("rb") as stream:
            streamed = stream.read()
    raw = (ended.evidence / "evidence.jsonl").read_bytes()
    assert (place.path / "events.jsonl").read_bytes() == raw
    assert raw.startswith(streamed)
    lines = [line for line in told if line != "/v1/logs"]
    assert lines == raw.decode().splitlines()[: len(lines)]
    assert min(len(lines), len(streamed)) > 0
    assert read_figures((place.work / "figures.prom").read_text())["trio_egress_run_info"] == 1
    assert read_figures(asked)["trio_egress_attempts_total"] >= 1, "told while it ran"
    assert set(re.findall(r"^\| `(trio_egress_\w+)` ", PAGE, re.MULTILINE)) >= set(
        re.findall(r"^# TYPE (\w+) ", asked, re.MULTILINE)
    )
    assert run(place, VERIFY.replace("KEY", place.key.public_hex)).startswith("VALID")


def run(place: Place, command: str) -> str:
    environment = {**ENVIRONMENT, "PATH": f"{place.path}/programs:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", command],
        cwd=place.path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    ).stdout
