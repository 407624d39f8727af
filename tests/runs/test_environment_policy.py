"""`[env]` in real runs, as the agent finds its environment."""

from __future__ import annotations

import pytest
from tests.runs.launch import AGENT, AS_ROOT, Place, write_policy

pytestmark = pytest.mark.sandbox

GIVEN = {"A_ONE": "1", "B_TWO": "2", "GITHUB_ENV": "/outlet", "ACTIONS_RUNTIME_TOKEN": "t", "LD_PRELOAD": ""}


def tell(place: Place, env: str) -> dict[str, str]:
    """The agent's variables under `[env]` as given."""
    ended = place.run(write_policy(more=f"[env]\n{env}\n"), "/usr/bin/env", "-0", environment=GIVEN)
    assert ended.code == 0
    return dict(line.split("=", 1) for line in ended.text.split("\0") if line)


def test_without_a_list_everything_is_passed_but_the_outlets_of_the_job(place: Place) -> None:
    told = tell(place, "")
    assert (told["A_ONE"], told["B_TWO"]) == ("1", "2")
    assert not {"GITHUB_ENV", "ACTIONS_RUNTIME_TOKEN", "LD_PRELOAD"} & set(told)


def test_a_list_passes_what_it_names_and_ours_and_nothing_else(place: Place) -> None:
    told = tell(place, 'pass = ["A_*", "PAT?", "*_ENV"]')
    ours = {"TRIO_EGRESS_PROXY", "TRIO_EGRESS_RUN", "DOCKER_HOST", "CONTAINER_HOST"}
    ours |= {"GIT_DISCOVERY_ACROSS_FILESYSTEM"}
    account = {"HOME", "USER", "LOGNAME"} if AS_ROOT else set()
    assert set(told) == {"A_ONE", "PATH"} | ours | account
    if AS_ROOT:
        assert told["USER"] == AGENT.pw_name


CONNECT = """
import os, socket
address = os.environ["DOCKER_HOST"].removeprefix("unix://")
try: socket.socket(socket.AF_UNIX).connect(address)
except OSError as error: print(f"Cannot connect to the Docker daemon at unix://{address}: {error.strerror}")
"""


def test_a_client_of_docker_fails_at_once_and_says_why(place: Place) -> None:
    """It names the address that it could not reach, as docker's own does; the address is the reason."""
    ended = place.run(
        write_policy(), "/usr/bin/python3", "-c", CONNECT, environment={"DOCKER_HOST": "tcp://x"}
    )
    assert "docker-does-not-work-in-here" in ended.text
    assert ended.text.endswith(": No such file or directory\n")


def test_what_is_set_goes_before_everything_and_may_name_what_is_closed(place: Place) -> None:
    told = tell(place, 'pass = ["A_*"]\nset = {A_ONE = "ü\\n", HOME = "/tmp", GITHUB_ENV = "/tmp/env"}')
    assert (told["A_ONE"], told["HOME"], told["GITHUB_ENV"]) == ("ü\n", "/tmp", "/tmp/env")


def test_a_variable_that_is_never_passed_cannot_be_asked_for_by_name(place: Place) -> None:
    ended = place.run(write_policy(more='[env]\npass = ["PATH", "GITHUB_ENV"]\n'), "touch", "ran")
    assert ended.code == 125
    assert "[env] pass: GITHUB_ENV is never passed on" in ended.err
    assert not (place.work / "ran").exists()


@pytest.mark.parametrize(("wall", "given"), [(1, 60), (60, 1)])
def test_the_shorter_time_out_of_policy_and_command_line_holds(place: Place, wall: int, given: int) -> None:
    policy = write_policy(more=f"[limits]\nwall_seconds = {wall}\n")
    ended = place.run(policy, "sleep", "50", options=["--timeout", str(given)])
    assert (ended.code, ended.status["end"]) == (124, "timed_out")
    assert "ended after 1 s" in ended.status["message"]
