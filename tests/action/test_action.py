"""The action from outside: what a workflow gives it, and what it gets back."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest
from tests.action.log import Annotation
from tests.action.runner import Runner
from tests.action.steps import HEAD, KEY, KEY_TEXT, use
from tests.runs.launch import verify

pytestmark = pytest.mark.sandbox

DENIED = "curl -sS --max-time 20 http://203.0.113.7/"


def test_a_run_gives_its_packet_its_counts_and_its_verdict(runner: Runner) -> None:
    ended = use(
        runner, run=DENIED, private_key=KEY_TEXT, sarif="out/../egress.sarif", agent_identity="triage bot"
    )
    assert ended.code == 0
    packet = Path(ended.outputs["audit-packet-path"])
    sha256 = hashlib.sha256((packet / "manifest.json").read_bytes()).hexdigest()
    assert ended.outputs == {
        "audit-packet-path": str(packet),
        "packet-sha256": sha256,
        "receipt-count": str(len((packet / "evidence.jsonl").read_bytes().splitlines())),
        "denied-count": "1",
        "verifier-verdict": "valid",
        "exit-code": "0",
    }
    assert packet.is_relative_to(runner.workspace / "trio-egress-audit")
    assert verify(packet, KEY.public_hex) == 0
    claims = json.loads((packet / "packet.json").read_text())["run"]
    assert (claims["provider"], claims["agent_identity"]) == ("github_actions", "triage bot")
    assert json.loads((runner.workspace / "egress.sarif").read_text())["version"] == "2.1.0"
    assert 'destination = "203.0.113.7"' in ended.summary
    assert [(a.kind, a.file, a.line) for a in ended.log.annotations] == [("warning", "trio-egress.toml", 2)]
    assert "the sandbox is built as" in ended.log.text


def test_a_key_is_masked_and_gone_and_no_input_reaches_the_agent(runner: Runner) -> None:
    secret = KEY_TEXT.splitlines()[1]
    script = "env; cat /proc/self/environ; ls -la $RUNNER_TEMP; cat $RUNNER_TEMP/trio-egress-run-*/* || true"
    ended = use(runner, run=script, private_key=KEY_TEXT)
    assert ended.outputs["verifier-verdict"] == "valid"
    assert secret in runner.masks
    assert not [line for line in ended.log.shown if secret in line or line.startswith("INPUT_")]
    assert [path for path in runner.temp.iterdir() if path.name.startswith("trio-egress")] == []


@pytest.mark.parametrize(
    ("fail_on", "script", "code"),
    [("never", DENIED, 0), ("deny", DENIED, 121), ("unverified", "true", 121), ("deny", "exit 7", 7)],
)
def test_the_step_fails_on_what_it_is_told_to(runner: Runner, fail_on: str, script: str, code: int) -> None:
    ended = use(runner, run=script, fail_on=fail_on)
    assert (ended.code, ended.outputs["exit-code"]) == (code, str(code))
    assert (f"fail-on: {fail_on}" in [a.message for a in ended.log.annotations]) is (code == 121)
    assert ended.outputs["verifier-verdict"] == "self_consistent_only"  # no key was pinned


def test_a_script_gets_its_arguments_one_a_line_and_nothing_is_read_into_them(runner: Runner) -> None:
    script = runner.workspace / "agent.sh"
    script.write_text('printf "<%s>" "$@"\n')
    ended = use(
        runner, script_path="agent.sh", script_args="--policy=evil\n$(touch hacked) `id`\n  two words \n\n"
    )
    assert "<--policy=evil><$(touch hacked) `id`><  two words >" in ended.log.text
    script.write_text("#!/bin/sh\necho started by itself: $0\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    assert "started by itself" in use(runner, script_path="agent.sh").log.text


def test_it_observes_first_and_without_a_policy(runner: Runner) -> None:
    ended = use(runner, None, run="getent hosts api.example.com", mode="observe", fail_on="deny")
    assert ended.outputs["verifier-verdict"] == "observed_only"
    assert "OBSERVED, NOT ENFORCED" in ended.summary


def test_what_is_allowed_beside_the_policy_is_reached_by_name(runner: Runner) -> None:
    script = "getent hosts a.example && getent hosts b.example"
    assert use(runner, run=script, allow="a.example,\n# a comment\nb.example:8443").code == 0
    assert use(runner, run=script, allow="a.example").code == 2


def test_a_broken_policy_is_an_annotation_at_its_line_and_nothing_runs(runner: Runner) -> None:
    ended = use(runner, f"{HEAD}[[egres]]\n::error::forged\n", run="touch ran")
    assert (ended.code, ended.outputs["exit-code"], (runner.workspace / "ran").exists()) == (
        125,
        "125",
        False,
    )
    assert {(a.kind, a.file) for a in ended.log.annotations} == {("error", "trio-egress.toml")}
    assert Annotation("error", "forged") not in ended.log.annotations


def test_a_warning_about_the_policy_is_an_annotation_and_no_summary_where_none_is_wanted(
    runner: Runner,
) -> None:
    policy = f'{HEAD}[[egress]]\ndestination = "*.github.io"\n'
    ended = use(runner, policy, run="true", summary="false")
    assert ended.summary == ""
    (told,) = (a for a in ended.log.annotations if a.kind == "warning")
    assert (told.file, told.line) == ("trio-egress.toml", policy.count("\n"))
    assert "public suffix" in told.message
