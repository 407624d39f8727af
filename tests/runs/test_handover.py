"""What a run leaves besides its packet: files of the verified packet, a verdict, and nothing an agent could touch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.runs.launch import Place, read_lines, write_policy

from trio_egress.evidence.sign import generate

pytestmark = pytest.mark.sandbox

NOTHING = write_policy()

DENIED = "curl -sS --max-time 20 http://203.0.113.7/ || true"


def options_for(place: Place, *names: str) -> list[str]:
    return [word for name in names for word in (f"--{name}", str(place.path / name))]


def test_a_run_writes_what_it_is_asked_for_of_the_verified_packet(place: Place) -> None:
    (place.path / "summary").write_text("before\n")
    asked = options_for(place, "summary", "sarif", "junit", "annotations")
    ended = place.run(NOTHING, "bash", "-c", DENIED, options=[*asked, "--agent", "triage bot"])
    assert (ended.code, ended.status["verdict"], ended.status["found"]) == (0, "valid", 0)
    assert ended.status["receipts"] == len(read_lines(ended.evidence))
    assert (place.path / "summary").read_text().startswith("before\n# trio-egress: ")
    assert json.loads((place.path / "sarif").read_text())["runs"][0]["results"]
    assert ElementTree.parse(place.path / "junit").getroot().tag == "testsuites"
    assert (place.path / "annotations").read_text().startswith("::warning ")
    assert read_lines(ended.evidence)[0]["action_record"]["actor"] == "triage bot"
    assert json.loads((ended.evidence / "packet.json").read_text())["run"]["agent_identity"] == "triage bot"
    assert ended.verify() == 0


@pytest.mark.parametrize(
    ("fail_on", "script", "code", "failed_on"),
    [
        ("unverified", "true", 121, ["unverified"]),
        ("deny,unverified", DENIED, 121, ["deny", "unverified"]),
        ("finding", DENIED, 0, []),
        ("never", DENIED, 0, []),
        ("unverified", "exit 3", 3, ["unverified"]),
    ],
)
def test_a_key_that_did_not_sign_and_a_denial_fail_a_run_where_asked(
    place: Place, fail_on: str, script: str, code: int, failed_on: list[str]
) -> None:
    stranger = generate(bytes(32)).public_hex
    options = ["--fail-on", fail_on, "--public-key", stranger]
    ended = place.run(NOTHING, "bash", "-c", script, options=options)
    assert (ended.code, ended.status["failed_on"], ended.status["verdict"]) == (code, failed_on, "invalid")
    assert "the packet is INVALID" in ended.err
    why = "the agent ended with 0, and the run with 121 by --fail-on: "
    assert (why in ended.err) == (code == 121)
    assert [
        word for word in failed_on if code == 121 and f"{word} (" not in ended.err.partition(why)[2]
    ] == []


@pytest.mark.parametrize(("quiet", "said"), [([], True), (["--quiet"], False)])
def test_a_run_that_verifies_says_what_came_of_it(place: Place, quiet: list[str], said: bool) -> None:
    ended = place.run(NOTHING, "true", options=["--verify", *quiet])
    assert ("the packet is VALID: signed by a pinned key" in ended.err) is said


@pytest.mark.root
def test_a_working_directory_that_is_closed_to_the_supervisor_is_no_hindrance(place: Place) -> None:
    os.chown(place.work, 0, 0)
    place.work.chmod(0o700)
    ended = place.run(NOTHING, "true", options=["--verify"])
    assert (ended.code, ended.status["verdict"]) == (0, "valid")


def test_a_link_that_an_earlier_agent_left_is_not_written_through(place: Place) -> None:
    target = place.write("precious", "as it was\n")
    (place.work / "out.sarif").symlink_to(target)
    ended = place.run(NOTHING, "touch", "ran", options=["--sarif", str(place.work / "out.sarif")])
    assert (ended.code, target.read_text(), (place.work / "ran").exists()) == (125, "as it was\n", False)
    assert "--sarif" in ended.err
    assert not ended.evidence.exists()


OUTPUTS = ("status-file", "summary", "sarif", "junit", "annotations", "events", "metrics", "anchor-file")


@pytest.mark.parametrize("option", OUTPUTS)
@pytest.mark.parametrize("name", ["out", "folder/out"])
def test_no_output_goes_where_a_link_of_an_earlier_agent_leads(place: Place, option: str, name: str) -> None:
    target = place.write("out", "as it was\n")
    (place.work / "out").symlink_to(target)
    (place.work / "folder").symlink_to(place.path)
    ended = place.run(NOTHING, "touch", "ran", options=[f"--{option}", name])
    assert (ended.code, target.read_text(), (place.work / "ran").exists()) == (125, "as it was\n", False)
    assert f"--{option} {name}: {'folder' if '/' in name else 'out'} is a link" in ended.err


def test_a_status_goes_where_the_callers_own_descriptors_lead(place: Place) -> None:
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        ended = place.run(NOTHING, "true", options=["--status-file", name])
        assert (ended.code, json.loads(ended.text)["end"]) == (0, "agent_exited")
    assert place.run(NOTHING, "true", options=["--status-file", "/dev/null"]).code == 0


def test_what_is_written_at_the_end_is_not_the_agents_to_write(place: Place) -> None:
    out = place.work / "out.sarif"
    ended = place.run(NOTHING, "bash", "-c", "echo forged >out.sarif", options=["--sarif", str(out)])
    assert ended.code == 1
    assert json.loads(out.read_text())["version"] == "2.1.0"


@pytest.mark.parametrize("allowed", [True, False])
def test_what_the_command_line_allows_is_part_of_the_packaged_policy(place: Place, allowed: bool) -> None:
    options = ["--allow", "api.example.com"] if allowed else []
    ended = place.run(NOTHING, "getent", "hosts", "api.example.com", options=options)
    assert (ended.code == 0) is allowed
    assert ("api.example.com" in (ended.evidence / "policy.toml").read_text()) is allowed
    assert ended.verify() == 0


def test_a_run_that_only_observes_says_so_and_is_never_valid(place: Place) -> None:
    ended = place.run(
        NOTHING, "getent", "hosts", "api.example.com", options=["--mode", "observe", "--verify"]
    )
    assert (ended.code, ended.status["verdict"]) == (0, "observed_only")
    assert "OBSERVING, NOT ENFORCING" in ended.err


STEP = ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")
POISON = 'for file in "$@"; do cat "$file"; echo poison >>"$file"; done; ls -R ..; env | grep ^GITHUB_; true'


def make_step_files(folder: Path) -> dict[str, str]:
    folder.mkdir()
    paths = {name: folder / f"{name.lower()}_1234" for name in (*STEP, "later")}
    for path in paths.values():
        path.write_text("token\n")
        path.chmod(0o666)
    return {name: str(path) for name, path in paths.items()}


def test_the_files_of_this_step_and_of_later_ones_are_out_of_the_agents_sight(place: Place) -> None:
    # In the working directory, where the agent may write: the worst place for them.
    place.work.chmod(0o777)
    paths = make_step_files(place.work / "_runner_file_commands")
    named = {name: path for name, path in paths.items() if name != "later"}
    ended = place.run(NOTHING, "bash", "-c", POISON, "-", *paths.values(), environment=named)
    assert ended.code == 0
    assert b"token" not in ended.out
    assert b"GITHUB_" not in ended.out
    assert {Path(path).read_text() for path in paths.values()} == {"token\n"}


def test_without_being_named_they_would_be_poisoned(place: Place) -> None:
    place.work.chmod(0o777)
    paths = make_step_files(place.work / "elsewhere")
    ended = place.run(NOTHING, "bash", "-c", POISON, "-", *paths.values())
    assert b"token" in ended.out
    assert {Path(path).read_text() for path in paths.values()} == {"token\npoison\n"}
