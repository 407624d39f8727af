"""SIGSTOP to whoever takes part in a run: time-outs and signals hold all the same, and nothing hangs."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from tests.runs.launch import PATIENCE_SECONDS, Place, Started, wait_until, write_policy
from tests.runs.remains import find_children, find_descendants, find_launcher
from tests.runs.steps import StruckPlace

pytestmark = pytest.mark.sandbox

NOTHING = write_policy()
THERE = "touch there; "
SLEEP = f"{THERE}exec sleep 600"
ITSELF = f"{THERE}kill -STOP $$; "


def find_agent(started: Started) -> list[int]:
    """Launcher, PID 1 and agent of a run whose agent has said that it is there."""
    wait_until((started.place.work / "there").exists, "the agent's word", PATIENCE_SECONDS)
    pids = [started.pid, find_launcher(started.pid)]
    while len(pids) < 4:
        (child,) = find_children(pids[-1])
        pids.append(child)
    return pids[1:]


def is_stopped(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return "State:\tT" in Path(f"/proc/{pid}/status").read_text()
    return False


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(pid), f"the stop of {pid}")


@pytest.mark.parametrize("script", [f"{ITSELF}exit 3", f"{ITSELF}sleep 600"])
def test_an_agent_that_stops_itself_ends_by_its_time_out(place: Place, script: str) -> None:
    ended = place.run(NOTHING, "sh", "-c", script, options=["--timeout", "0.5"])
    assert (ended.code, ended.status["end"]) == (124, "timed_out")
    assert ended.verify() == 0


def test_an_agent_stopped_from_outside_ends_by_its_time_out(place: Place) -> None:
    started = place.start(NOTHING, "sh", "-c", SLEEP, options=["--timeout", "6"])
    stop(find_agent(started)[-1])
    ended = started.wait()
    assert (ended.code, ended.status["end"]) == (124, "timed_out")
    assert ended.verify() == 0


def test_a_stopped_agent_hears_that_it_must_end(place: Place) -> None:
    script = f"trap 'exit 9' TERM; {ITSELF} sleep 600"
    started = place.start(NOTHING, "bash", "-c", script)
    agent = find_agent(started)[-1]
    wait_until(lambda: is_stopped(agent), "the stop of the agent")
    started.send(signal.SIGTERM)
    ended = started.wait()
    assert (ended.status["end"], ended.code) == ("terminated", 9)
    assert ended.verify() == 0


@pytest.mark.parametrize("whom", ["launcher", "PID 1"])
def test_a_time_out_holds_where_who_should_keep_it_is_stopped(place: Place, whom: str) -> None:
    started = place.start(NOTHING, "sh", "-c", SLEEP, options=["--timeout", "6"])
    launcher, init, _ = find_agent(started)
    stop({"launcher": launcher, "PID 1": init}[whom])
    ended = started.wait()
    assert (ended.code, ended.status["end"]) == (124, "timed_out")
    assert ended.verify() == 0


def test_a_signal_to_end_holds_where_pid_1_is_stopped(place: Place) -> None:
    started = place.start(NOTHING, "sh", "-c", SLEEP)
    stop(find_agent(started)[1])
    started.send(signal.SIGTERM)
    ended = started.wait()
    assert (ended.code, ended.status["end"]) == (143, "terminated")
    assert ended.verify() == 0


@pytest.mark.parametrize(
    ("whom", "step"), [("launcher", "launcher started"), ("launcher", "sockets"), ("init", "probing")]
)
def test_a_set_up_that_stands_still_can_be_ended(whom: str, step: str) -> None:
    place = StruckPlace()
    try:
        started = place.start_struck(step, signal.SIGSTOP, whom)
        wait_until(lambda: any(map(is_stopped, find_descendants(started.pid))), "the stop", PATIENCE_SECONDS)
        started.send(signal.SIGTERM)
        ended = started.wait()
        assert (ended.code, ended.status["end"]) == (143, "interrupted")
        assert ended.verify() == 0
    finally:
        place.close()


@pytest.mark.parametrize("file", ["policy", "status-file"])
def test_a_file_that_never_comes_can_be_given_up(place: Place, file: str) -> None:
    never = place.path / "never"
    os.mkfifo(never, 0o600)
    started = place.start(NOTHING, "true", options=[f"--{file}", str(never)])
    wait_until(lambda: heeds(started.pid, signal.SIGTERM), "the run that listens", PATIENCE_SECONDS)
    started.send(signal.SIGTERM)
    assert started.wait().code == 143
    assert not started.evidence.exists()


def heeds(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for that signal (`man 5 proc_pid_status`, SigCgt)."""
    caught = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:\t")[2].split()[0]
    return bool(int(caught, 16) >> number - 1 & 1)


def test_a_supervisor_that_was_stopped_goes_on(place: Place) -> None:
    script = f"{THERE}until [ -e go ]; do sleep 0.01; done; curl -s http://evil.example/; exit 5"
    started = place.start(NOTHING, "sh", "-c", script)
    find_agent(started)
    stop(started.pid)
    (place.work / "go").touch()
    started.send(signal.SIGCONT)
    ended = started.wait()
    assert ended.code == 5
    assert [query.target for query in ended.queries][:1] == ["dns:evil.example"]
    assert ended.verify() == 0
