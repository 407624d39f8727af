"""The end of a run, however it comes: no process of the agent is left, nothing is left on the host, the chain holds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.runs.launch import (
    PATIENCE_SECONDS,
    Place,
    Started,
    find_processes,
    read_lines,
    verify,
    wait_until,
    write_policy,
)
from tests.runs.remains import find_children, find_launcher

pytestmark = pytest.mark.sandbox

NOTHING = write_policy()

DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
middle = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == middle:
    time.sleep(0.001)
open(sys.argv[1], "w").close()
os.chdir("/")
time.sleep(600)
"""
"""Double-forks and sets a session of its own; argv[1] is made when it is there, argv[2] is what it is known by."""


@pytest.fixture
def mark() -> str:
    """A word that stands in no other process's arguments."""
    return f"mark-{uuid.uuid4()}"


def start_daemon(place: Place, mark: str) -> list[str]:
    place.write("daemon.py", DAEMON)
    return [sys.executable, "-I", "-S", str(place.path / "daemon.py"), "daemon-is-there", mark]


def start_with_daemon(place: Place, mark: str, then: str, *options: str, trap: str = ":") -> Started:
    """A run whose agent has left a daemon behind, has set `trap` and goes on with `then`; returned when that is so.

    Said by the shell itself: while it waits for a program that ends well, it takes no SIGINT."""
    script = f'"$@"; until [ -e daemon-is-there ]; do sleep 0.01; done; {trap}; : >agent-is-there; {then}'
    started = place.start(NOTHING, "bash", "-c", script, mark, *start_daemon(place, mark), options=options)
    wait_until((place.work / "agent-is-there").exists, "the agent's word")
    programs = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:3] for pid in find_processes(mark)]
    assert programs.count([b"-I", b"-S"]) == 1, "the daemon is seen"
    return started


def assert_gone(mark: str, seconds: float = 0.0) -> None:
    wait_until(lambda: not find_processes(mark), f"the end of {find_processes(mark)}", seconds)


def test_a_daemon_ends_with_its_agent(place: Place, mark: str) -> None:
    place.write("daemon.py", DAEMON)
    script = '"$@"; until [ -e daemon-is-there ]; do sleep 0.01; done; sleep 0.2; exit 7'
    started = place.start(NOTHING, "bash", "-c", script, "sh", *start_daemon(place, mark))
    wait_until((place.work / "daemon-is-there").exists, "the daemon")
    ended = started.wait()
    assert_gone(mark)
    assert ended.code == 7
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_a_signal_to_end_reaches_the_agent_and_ends_the_run(place: Place, mark: str) -> None:
    started = start_with_daemon(
        place, mark, "sleep 60 & wait", "--json", trap="trap 'echo heard; exit 9' TERM"
    )
    started.send(signal.SIGTERM)
    ended = started.wait()
    assert_gone(mark)
    assert ended.text.startswith("heard\n")
    assert (ended.status["end"], ended.status["agent_exit_code"]) == ("terminated", 9)
    assert ended.verify() == 0


def test_ctrl_c_reaches_the_agent_which_may_do_with_it_what_it_likes(place: Place, mark: str) -> None:
    script = "while [ ! -e heard ]; do sleep 0.01; done; exit 4"
    started = start_with_daemon(place, mark, script, trap="trap 'echo heard >>heard' INT")
    started.send(signal.SIGINT)
    ended = started.wait()
    assert (ended.code, ended.status["end"]) == (4, "agent_exited")
    assert_gone(mark)
    assert ended.verify() == 0


def test_ctrl_c_ends_an_agent_that_does_nothing_about_it(place: Place, mark: str) -> None:
    started = start_with_daemon(place, mark, "exec sleep 600")
    started.send(signal.SIGINT)
    ended = started.wait()
    assert ended.code == 130
    assert_gone(mark)
    assert ended.verify() == 0


def test_ctrl_c_twice_ends_an_agent_at_once_that_ignores_it(place: Place, mark: str) -> None:
    started = start_with_daemon(place, mark, "exec sleep 600", trap="trap '' INT")

    def interrupt() -> bool:
        """Signals of one number that wait are one; so until it has ended, which is not yet told to its parent."""
        if os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return True
        started.send(signal.SIGINT)
        return False

    wait_until(interrupt, "the end of the run")
    ended = started.wait()
    assert (ended.code, ended.status["end"]) == (130, "terminated")
    assert_gone(mark)
    assert ended.verify() == 0


def test_an_agent_that_ignores_the_end_is_killed(place: Place, mark: str) -> None:
    started = start_with_daemon(place, mark, "trap '' TERM HUP INT; while :; do sleep 1; done")
    started.send(signal.SIGTERM)
    ended = started.wait()
    assert ended.status["end"] == "terminated"
    assert ended.code != 0
    assert_gone(mark)
    assert ended.verify() == 0


def test_a_killed_supervisor_takes_everything_with_it_and_leaves_a_valid_prefix(
    place: Place, mark: str
) -> None:
    started = start_with_daemon(place, mark, "curl -s http://evil.example/; touch denied; exec sleep 600")
    wait_until((place.work / "denied").exists, "a denial")
    wait_until(lambda: len(read_lines(started.evidence)) >= 2, "its receipt")
    started.send(signal.SIGKILL)
    started.process.wait()
    assert_gone(mark, PATIENCE_SECONDS)
    assert verify(started.evidence, place.key.public_hex) == 3


def test_a_killed_launcher_ends_the_run_properly(place: Place, mark: str) -> None:
    started = start_with_daemon(place, mark, "exec sleep 600")
    os.kill(find_launcher(started.pid), signal.SIGKILL)
    ended = started.wait()
    assert_gone(mark)
    assert ended.status["end"] == "sandbox_killed"
    assert ended.code not in (0, None)
    assert ended.verify() == 0


STAGES: dict[str, Callable[[Started], object]] = {
    "at once": lambda started: True,
    "when the evidence exists": lambda started: started.evidence.exists(),
    "when a child runs": lambda started: find_children(started.pid),
    "when PID 1 runs": lambda started: any(map(find_children, find_children(started.pid))),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_in_the_middle_of_the_start_leaves_nothing(
    place: Place, mark: str, stage: str, number: signal.Signals
) -> None:
    started = place.start(NOTHING, "bash", "-c", "sleep 600", mark)
    wait_until(lambda: started.process.poll() is not None or STAGES[stage](started), stage)
    started.send(number)
    started.wait()
    assert started.process.returncode != 0
    assert_gone(mark, PATIENCE_SECONDS)
    if (started.evidence / "evidence.jsonl").exists() and number is not signal.SIGKILL:
        assert verify(started.evidence, place.key.public_hex) == 0


def take_stock(place: Place) -> dict[str, object]:
    """What a run could leave behind on the host; what other tests mount for themselves is theirs."""
    mounts = Path("/proc/mounts").read_text().splitlines()

    def ask(*command: str) -> str:
        path = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        return (
            subprocess.run([path, *command[1:]], capture_output=True, text=True, check=False).stdout
            if path
            else ""
        )

    return {
        "interfaces": ask("ip", "-o", "link"),
        "routes": ask("ip", "route", "show", "table", "all"),
        "rules": ask("nft", "list", "ruleset"),
        "mounts": [
            mount for mount in mounts if "/trio-egress-test-" not in mount or str(place.path) in mount
        ],
        "named namespaces": sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else [],
        "run": sorted(set(os.listdir("/run")) - {"sshd"}),  # tests/programs/sshd.py makes that as root
        "resolver": Path("/etc/resolv.conf").read_text(),
        "cgroups": Path("/proc/self/cgroup").read_text(),
    }


def test_whoever_ignores_his_children_runs_too(place: Place) -> None:
    """It is inherited, and the kernel then tells nobody how a child has ended."""
    ignore = partial(signal.signal, signal.SIGCHLD, signal.SIG_IGN)
    ended = place.start(NOTHING, "bash", "-c", "true & wait $!; exit 7", preexec_fn=ignore).wait()
    assert ended.code == 7
    assert ended.status["end"] == "agent_exited"
    assert ended.verify() == 0


def test_nothing_is_left_on_the_host(place: Place, mark: str) -> None:
    before = take_stock(place)
    temporary = place.path / "temporary"
    temporary.mkdir()
    temporary.chmod(0o777)
    files = [path.name for path in place.path.iterdir()]
    started = place.start(
        NOTHING,
        *[
            "bash",
            "-c",
            "curl -s http://evil.example/; touch there; until [ -e go ]; do sleep 0.01; done",
            mark,
        ],
        environment={"TMPDIR": str(temporary)},
    )
    wait_until((place.work / "there").exists, "the agent's word")
    during = take_stock(place)
    (place.work / "go").touch()
    ended = started.wait()
    assert during == before  # not even while it runs
    assert take_stock(place) == before
    assert list(temporary.iterdir()) == []
    made = {path.name for path in place.path.iterdir()} - set(files)
    assert made == {"policy-0.toml", "evidence-0", "status-0", "out-0", "err-0"}
    assert_gone(mark)
    assert ended.verify() == 0
