"""What commands say with --json about a run that lives is what the schema says."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tests.cli.test_output_schema import hold
from tests.runs.launch import ENVIRONMENT, Place, wait_until, write_policy

from trio_egress.evidence.sign import generate, render_private_key

pytestmark = pytest.mark.sandbox

AGENT = "touch began; until [ -e go ]; do sleep 0.01; done"


def test_a_run_that_is_asked_for_one_thing_after_another(place: Place) -> None:
    key = place.path / "next"
    key.touch(0o600)
    key.write_bytes(render_private_key(generate(os.urandom(32))))
    started = place.start(write_policy(), "bash", "-c", AGENT, options=["--rotate-key-to", str(key)])
    wait_until((place.work / "began").exists, "the agent")
    for name in ("policy-reload", "keys-rotate", "keys-rotate", "stop", "stop"):
        command = [sys.executable, "-m", "trio_egress", *name.split("-"), "--json", str(started.evidence)]
        ran = subprocess.run(
            command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
        )
        hold(name, json.loads(ran.stdout))
    (place.work / "go").touch()
    ended = started.wait()
    assert ended.code == 0
    hold("run", ended.status)
    hold("learn", ended.status)  # the same function prints it
