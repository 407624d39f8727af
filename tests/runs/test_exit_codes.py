"""How a run ends, told by its exit code, and what shares a code told apart by the status file and --json."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from tests.runs.launch import AGENT, ENVIRONMENT, Ended, Place, read_lines, write_policy

pytestmark = pytest.mark.sandbox

NOTHING = write_policy()
DENIED = "getent ahosts evil.example >/dev/null"


def close_reason(ended: Ended) -> str:
    control = read_lines(ended.evidence)[-1]["action_record"]["session_control"]
    reason: str = control["close"]["close_reason"]
    return reason


def assert_told(ended: Ended, code: int, end: str) -> None:
    """The same by exit code, status file and standard output, which is otherwise the agent's alone."""
    assert ended.code == code
    status = ended.status
    assert (status["version"], status["exit_code"], status["end"]) == (1, code, end)
    assert ended.out.endswith(ended.status_file.read_bytes())


# the agent's own


@pytest.mark.parametrize("code", [0, 3, 125, 255])
def test_the_agents_own_code_passes_through(place: Place, code: int) -> None:
    ended = place.run(NOTHING, "sh", "-c", f"echo out; exit {code}", options=["--json"])
    assert_told(ended, code, "agent_exited")
    assert (ended.status["agent_exit_code"], ended.status["agent_signal"]) == (code, None)
    assert ended.status["evidence"] == str(ended.evidence)
    assert ended.out.startswith(b"out\n{")
    assert json.loads(ended.out[4:]) == ended.status
    assert close_reason(ended) == "agent_exited"
    run, head = ended.status["run_id"], ended.status["head"]
    assert ended.verify_by_command("--expect-run", run, "--expect-head", head) == 0
    assert ended.verify_foreign() == 0


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGSEGV"])
def test_an_agent_ended_by_a_signal_is_128_and_its_number(place: Place, name: str) -> None:
    number = int(signal.Signals[name])
    ended = place.run(NOTHING, "sh", "-c", f"kill -{number} $$", options=["--json"])
    assert_told(ended, 128 + number, "agent_exited")
    assert (ended.status["agent_exit_code"], ended.status["agent_signal"]) == (None, number)
    assert ended.verify() == 0


def test_without_json_standard_output_is_the_agents_alone(place: Place) -> None:
    ended = place.run(NOTHING, "sh", "-c", f"echo out; echo err >&2; {DENIED}; exit 3")
    assert (ended.code, ended.out) == (3, b"out\n")
    assert "err\n" in ended.err
    assert "trio-egress: denied dns:evil.example" in ended.err


def test_quiet_says_nothing_at_all(place: Place) -> None:
    ended = place.run(NOTHING, "sh", "-c", f"echo out; echo err >&2; {DENIED}; exit 0", options=["--quiet"])
    assert (ended.code, ended.out, ended.err) == (0, b"out\n", "err\n")
    assert ended.status["denied"] > 0
    assert ended.verify() == 0


# 121


@pytest.mark.parametrize(
    ("script", "options", "code"),
    [
        (f"{DENIED}; exit 0", ["--fail-on", "deny"], 121),
        (f"{DENIED}; exit 3", ["--fail-on", "deny"], 3),
        (f"{DENIED}; exit 0", [], 0),
        ("exit 0", ["--fail-on", "deny"], 0),
    ],
)
def test_a_denial_fails_a_run_where_asked_and_the_agent_did_not(
    place: Place, script: str, options: list[str], code: int
) -> None:
    ended = place.run(NOTHING, "sh", "-c", script, options=["--json", *options])
    assert_told(ended, code, "agent_exited")
    assert (ended.status["denied"] > 0) == (DENIED in script)
    assert ended.status["agent_exit_code"] == (3 if code == 3 else 0)
    assert ended.verify() == 0


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("echo x >.gitlab-ci.yml", 121),
        ("echo x >.gitlab-ci.yml; exit 3", 3),
        ("echo x >.gitlab-ci.yml; rm .gitlab-ci.yml", 0),
        ("echo x >plain", 0),
    ],
)
def test_a_protected_file_that_the_agent_made_fails_a_run_where_asked(
    place: Place, script: str, code: int
) -> None:
    ended = place.run(NOTHING, "sh", "-c", script, options=["--json", "--fail-on", "deny"])
    assert_told(ended, code, "agent_exited")
    assert ended.status["protected_touched"] == (place.work / ".gitlab-ci.yml").exists()
    assert ended.status["denied"] == 0
    assert ended.verify() == 0


# 124


@pytest.mark.parametrize(
    "script",
    [
        "sleep 600",
        "trap 'exit 0' TERM; sleep 600 & wait",
        "trap '' TERM INT HUP; while :; do sleep 1; done",
    ],
    ids=["ends at SIGTERM", "ends well at SIGTERM", "ignores SIGTERM"],
)
def test_a_time_out_ends_every_agent(place: Place, script: str) -> None:
    ended = place.run(NOTHING, "bash", "-c", script, options=["--json", "--timeout", "0.3"])
    assert_told(ended, 124, "timed_out")
    assert close_reason(ended) == "timed_out"
    assert ended.verify() == 0


def test_an_agent_that_is_done_in_time_has_not_timed_out(place: Place) -> None:
    ended = place.run(NOTHING, "true", options=["--json", "--timeout", "30"])
    assert_told(ended, 0, "agent_exited")


# 125


def assert_refused(ended: Ended, *words: str) -> None:
    """Nothing has run, everything is told, and no evidence pretends otherwise."""
    assert_told(ended, 125, "refused")
    for word in words:
        assert word in ended.err
        assert word in ended.status["message"]
    assert (ended.status["agent_exit_code"], ended.status["agent_signal"]) == (None, None)
    assert "Traceback" not in ended.err
    assert not (ended.work / "ran").exists()
    assert not ended.evidence.exists()


RAN = ("sh", "-c", "touch ran")


def test_no_policy_is_refused_and_says_how_to_get_one(place: Place) -> None:
    ended = place.run(NOTHING, *RAN, options=["--json", "--policy", str(place.path / "missing.toml")])
    assert_refused(ended, "missing.toml", "trio-egress init")


def test_a_directory_without_a_policy_is_told_too(place: Place) -> None:
    command = [*place.program("run", 0)[:4], "--json", "true"]
    environment = {k: v for k, v in ENVIRONMENT.items() if k != "TRIO_EGRESS_POLICY"}
    ran = subprocess.run(
        command, cwd=place.path, capture_output=True, env=environment, check=False, text=True
    )
    assert ran.returncode == 125
    assert "trio-egress init" in json.loads(ran.stdout)["message"]
    assert list(place.path.glob("trio-egress-audit*")) == []


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("", ["policy-0.toml"]),
        ("version = \n", ["policy-0.toml:1:"]),
        ('version = "1.0"\ndefault_deny = false\n', ["policy-0.toml:2:", "default_deny"]),
        (f'{NOTHING}[[egress]]\ndestinaton = "a.example"\n', [":6:1:", "destinaton", "destination"]),
    ],
)
def test_a_bad_policy_is_refused_with_its_place(place: Place, policy: str, words: list[str]) -> None:
    assert_refused(place.run(policy, *RAN, options=["--json"]), *words)


def test_an_evidence_directory_that_is_not_empty_is_refused_and_left_alone(place: Place) -> None:
    evidence = place.path / "used"
    evidence.mkdir()
    (evidence / "evidence.jsonl").write_text("another run's\n")
    ended = place.run(NOTHING, *RAN, options=["--json", "--evidence", str(evidence)])
    assert_refused(ended, "not empty", "used")
    assert [(p.name, p.read_text()) for p in evidence.iterdir()] == [("evidence.jsonl", "another run's\n")]


def test_an_evidence_directory_that_cannot_be_made_is_refused(place: Place) -> None:
    ended = place.run(NOTHING, *RAN, options=["--json", "--evidence", str(place.key_file / "below")])
    assert_refused(ended, "key/below")


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [("not a key", 0o600, []), (None, 0o644, ["644"]), (None, 0o640, []), ("", 0o600, [])],
)
def test_a_bad_key_file_is_refused(place: Place, text: str | None, mode: int, words: list[str]) -> None:
    key = place.path / "other-key"
    key.write_text(place.key_file.read_text() if text is None else text)
    key.chmod(mode)
    ended = place.run(NOTHING, *RAN, options=["--json", "--key", str(key)])
    assert_refused(ended, "other-key", *words)
    assert place.key_file.read_text().splitlines()[-1] not in ended.err


def test_a_missing_key_file_is_refused(place: Place) -> None:
    ended = place.run(NOTHING, *RAN, options=["--json", "--key", str(place.path / "missing")])
    assert_refused(ended, "missing")


@pytest.mark.parametrize("user", ["no-such-user", "0", "root", "987654"])
def test_a_user_that_the_agent_cannot_be_is_refused(place: Place, user: str) -> None:
    assert_refused(place.run(NOTHING, *RAN, options=["--json", "--user", user]))


@pytest.mark.parametrize(
    "options",
    [
        ["--timeout", "0"],
        ["--timeout", "soon"],
        ["--proxy-port", "80"],
        ["--fail-on", "allow"],
        ["--nonsense"],
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(place: Place, options: list[str]) -> None:
    ended = place.run(NOTHING, *RAN, options=options)
    assert (ended.code, ended.out) == (125, b"")
    assert options[0] in ended.err
    assert not ended.evidence.exists()
    assert not (ended.work / "ran").exists()


def test_no_command_is_refused(place: Place) -> None:
    assert_refused(place.run(NOTHING, options=["--json"]), "no command")


def test_a_status_file_that_cannot_be_written_is_refused_before_anything_runs(place: Place) -> None:
    ended = place.run(NOTHING, *RAN, options=["--status-file", str(place.path / "no" / "status")])
    assert ended.code == 125
    assert "--status-file" in ended.err
    assert not (ended.work / "ran").exists()
    assert not ended.evidence.exists()


@pytest.mark.root  # an ordinary user's agent has its rights: there is nothing that only the supervisor can enter
def test_a_directory_that_the_agent_cannot_enter_is_refused(place: Place) -> None:
    with tempfile.TemporaryDirectory(dir="/var/cache") as closed:  # of the system, so it is never lent
        ended = place.run(NOTHING, *RAN, options=["--json"], cwd=closed)
    assert_told(ended, 125, "refused")
    assert f"entering {closed} as {AGENT.pw_name}" in ended.err
    assert ended.verify() == 0


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_with_a_directory_for_a_stream_the_interpreter_itself_does_not_start(
    place: Place, stream: str
) -> None:
    directory = os.open("/", os.O_RDONLY)
    try:
        ended = place.run(NOTHING, *RAN, **{stream: directory})
    finally:
        os.close(directory)
    assert ended.code == 1
    assert not ended.status_file.exists()
    assert not ended.evidence.exists()
    assert not (ended.work / "ran").exists()


def test_a_port_that_is_taken_outside_is_free_inside(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = ["curl", "-sS", "-x", f"http://127.0.0.1:{port}", "http://evil.example/"]
        ended = place.run(NOTHING, *command, options=["--proxy-port", port])
    assert '"layer": "default_deny"' in ended.text
    assert ended.verify() == 0


# 126, 127


@pytest.mark.parametrize("kind", ["plain file", "directory", "script without an interpreter"])
def test_what_cannot_be_executed_is_126(place: Place, kind: str) -> None:
    path = place.path / "command"
    if kind == "directory":
        path.mkdir()
    else:
        path.write_text("echo this has no first line\n")
        path.chmod(0o755 if kind.startswith("script") else 0o644)
    ended = place.run(NOTHING, path, options=["--json"])
    assert_told(ended, 126, "agent_not_started")
    assert close_reason(ended) == "agent_not_started"
    assert ended.verify() == 0


@pytest.mark.parametrize("command", ["no-such-command-anywhere", "./missing", "/nonexistent/command"])
def test_what_is_not_there_is_127(place: Place, command: str) -> None:
    if "/" not in command:  # the shell's habit: the working directory is no place for programs
        (place.work / command).touch()
    ended = place.run(NOTHING, command, options=["--json"])
    assert_told(ended, 127, "agent_not_started")
    assert ended.verify() == 0
    assert (f"is ./{command}" in ended.err) is ("/" not in command)


def test_a_script_whose_interpreter_is_missing_is_127(place: Place) -> None:
    path: Path = place.write("script", "#!/nonexistent/interpreter\n", 0o755)
    assert_told(place.run(NOTHING, path, options=["--json"]), 127, "agent_not_started")
