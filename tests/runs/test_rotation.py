"""A run goes on under another key when it is asked to, and whoever trusts the first one believes all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runs.launch import ENVIRONMENT, Place, read_lines, verify, wait_until, write_policy

from trio_egress.evidence.sign import generate, render_private_key

pytestmark = pytest.mark.sandbox

AGENT = """
getent ahosts one.example
touch before
until [ -e go ]; do sleep 0.01; done
getent ahosts two.example
cat "$1" | grep -c pipelock
exit 0
"""


def rotate(evidence: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trio_egress", "keys", "rotate", str(evidence), "--json"]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)


def test_a_run_takes_its_next_key_when_it_is_asked_to_and_only_once(place: Place) -> None:
    after, file = generate(os.urandom(32)), place.path / "next"
    file.touch(0o600)
    file.write_bytes(render_private_key(after))
    started = place.start(
        write_policy(), "bash", "-c", AGENT, "agent", file, options=["--rotate-key-to", str(file)]
    )
    wait_until((place.work / "before").exists, "the agent's first query")
    answers = [rotate(started.evidence) for _ in range(2)]
    (place.work / "go").touch()
    ended = started.wait()
    assert [answer.returncode for answer in answers] == [0, 1], answers
    told = json.loads(answers[0].stdout)["rotation"]
    assert (told["prior_signer_key"], told["new_signer_key"]) == (ended.key, after.public_hex)
    assert ended.code == 0
    assert ended.out.endswith(b"0\n")  # hidden like the first
    assert ended.verify() == 0
    assert verify(ended.evidence, after.public_hex) == 1
    endorsement = str(ended.evidence / "rotation-1.json")
    known = ["--session-id", ended.status["run_id"], "--rotation-endorsement", endorsement]
    assert ended.verify_foreign(*known) == 0
    assert ended.verify_foreign() == 1
    pairs = list_signers(ended.evidence)
    assert pairs[0] == ("dns:one.example", ended.key)
    assert ("dns:two.example", after.public_hex) in pairs
    assert ("dns:two.example", ended.key) not in pairs


def test_a_run_takes_each_of_its_next_keys_in_order(place: Place) -> None:
    keys = [generate(os.urandom(32)) for _ in range(3)]
    options = []
    for number, key in enumerate(keys):
        file = place.path / f"next-{number}"
        file.touch(0o600)
        file.write_bytes(render_private_key(key))
        options += ["--rotate-key-to", str(file)]
    script = 'for file; do cat "$file" | grep -c pipelock; done\n' + AGENT.replace('"$1"', "/dev/null")
    files = [place.path / f"next-{number}" for number in range(3)]
    started = place.start(write_policy(), "bash", "-c", script, "agent", *files, options=options)
    wait_until((place.work / "before").exists, "the agent's first query")
    answers = [rotate(started.evidence) for _ in range(4)]
    (place.work / "go").touch()
    ended = started.wait()
    assert [answer.returncode for answer in answers] == [0, 0, 0, 1], answers
    assert ended.code == 0
    assert ended.out.startswith(b"0\n0\n0\n")  # hidden like the first
    assert ended.verify() == 0
    told = [json.loads(answer.stdout)["rotation"] for answer in answers[:3]]
    assert [each["new_signer_key"] for each in told] == [key.public_hex for key in keys]
    assert [each["prior_signer_key"] for each in told] == [ended.key, *(key.public_hex for key in keys[:2])]
    endorsements = [f"{ended.evidence}/rotation-{number}.json" for number in (1, 2, 3)]
    known = ["--session-id", ended.status["run_id"]]
    for endorsement in endorsements:
        known += ["--rotation-endorsement", endorsement]
    assert ended.verify_foreign(*known) == 0
    assert ended.verify_foreign(*known[:-2]) == 1
    assert ("dns:two.example", keys[2].public_hex) in list_signers(ended.evidence)


def list_signers(evidence: Path) -> list[tuple[str, str]]:
    """The target and the signer of each receipt of a query."""
    records = ((line["action_record"], line["signer_key"]) for line in read_lines(evidence))
    return [(record["target"], key) for record, key in records if record["transport"] == "dns"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--rotate-key-to", "key"], "the same key as --key"),
        (["--rotate-key-to", "nowhere"], "does not exist"),
    ],
)
def test_a_next_key_that_is_none_is_refused(place: Place, options: list[str], reason: str) -> None:
    ended = place.run(write_policy(), "true", options=[options[0], str(place.path / options[1])])
    assert ended.code == 125
    assert reason in ended.err


def test_a_signers_key_endorses_no_other(place: Place) -> None:
    place.keyed = False
    signer = ["--signer", f"trio-egress signer --key {place.key_file}"]
    ended = place.run(write_policy(), "true", options=[*signer, "--rotate-key-to", str(place.key_file)])
    assert ended.code == 125
    assert "needs --key" in ended.err
