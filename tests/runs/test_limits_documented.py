"""What docs/policy.md says of `[limits]` beyond test_limits.py: what holds without them, and what they do not hold."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
from pathlib import Path

import attrs
import pytest
from tests.runs.launch import Place, write_policy
from tests.runs.test_limits import close_of, limited

from trio_egress.cli.exits import SIGNALLED, TIMED_OUT
from trio_egress.kernel.resources import MEMORY_SHARE, find_available
from trio_egress.kernel.watch import PATIENCE_SECONDS, SHORTEST_SECONDS
from trio_egress.policy.limits import Limits
from trio_egress.runtime.spec import TERM_GRACE_SECONDS

pytestmark = pytest.mark.sandbox

PAGE = (Path(__file__).parents[2] / "docs/policy.md").read_text("utf-8")


def rows() -> dict[str, tuple[str, str, str]]:
    _, _, after = PAGE.partition("\n| limit | without it")
    lines = after.split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {key.strip("`"): (without, at_it, beyond) for key, without, at_it, beyond in cells}


def test_each_limit_has_its_row_and_its_numbers() -> None:
    told = rows()
    assert list(told) == [field.name for field in attrs.fields(Limits)]
    assert told["processes"][0] == str(Limits().processes)
    assert all(getattr(Limits(), name) is None for name in told if name != "processes")
    assert told["memory"][0].startswith(f"{MEMORY_SHARE[0]}/{MEMORY_SHARE[1]} ")
    assert f"for {PATIENCE_SECONDS:g} s" in told["processes"][1]
    assert f"{TERM_GRACE_SECONDS:g} s later: {TIMED_OUT}" in told["wall_seconds"][1]
    assert f"SIGXFSZ, {SIGNALLED + signal.SIGXFSZ}" in told["file_size"][1]
    assert "(137, or what the signal gives)" in PAGE
    assert SIGNALLED + signal.SIGKILL == 137
    assert ("a hundred times a\nsecond" in PAGE, SHORTEST_SECONDS) == (True, 0.01)


TELL = """
import os, resource
print([resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU)])
print([os.statvfs(folder).f_blocks * os.statvfs(folder).f_frsize for folder in ("/tmp", "/var/tmp", "/dev/shm")])
"""


def test_without_a_policy_of_its_own_the_callers_limits_and_its_memory_hold(place: Place) -> None:
    ended = place.run(write_policy(), "/usr/bin/python3", "-c", TELL)
    limits, sizes = (
        [int(number) for number in re.findall(r"-?\d+", line)] for line in ended.text.splitlines()
    )
    kinds = (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU)
    assert limits == [resource.getrlimit(kind)[0] for kind in kinds]
    most = find_available() * MEMORY_SHARE[0] // MEMORY_SHARE[1]
    assert all(abs(size - most) <= resource.getpagesize() for size in sizes)


def test_a_limit_never_makes_room(place: Place) -> None:
    script = 'ulimit -Sn 100; exec "$@"'
    command = [*place.program("run", 0), "--", "sh", "-c", "ulimit -n"]
    place.write("policy-0.toml", limited("open_files = 1000"))
    ran = subprocess.run(
        ["sh", "-c", script, "sh", *command], cwd=place.work, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "100\n"


def test_open_files_is_for_each_process_by_itself(place: Place) -> None:
    script = """
    for n in 1 2 3; do
      python3 -c "import os, time; kept = [os.open('/dev/null', 0) for _ in range(50)]; time.sleep(1.5)" & pids+=" $!"
    done
    for pid in $pids; do wait $pid; done
    """
    ended = place.run(limited("open_files = 64"), "bash", "-ec", script)
    assert (ended.code, close_of(ended)) == (0, ("agent_exited", ""))


def test_files_of_the_working_directory_are_no_memory(place: Place) -> None:
    script = "head -c 220M /dev/zero >big; sleep 1.2; rm big"
    ended = place.run(limited('memory = "192 MiB"'), "sh", "-ec", script)
    assert (ended.code, close_of(ended)) == (0, ("agent_exited", ""))


def test_home_is_memory(place: Place) -> None:
    """The control of the above: the same bytes, where they are kept for the run alone."""
    script = 'mkdir -p "$HOME"; head -c 220M /dev/zero >"$HOME/big"; sleep 1.2; rm "$HOME/big"; echo survived'
    ended = place.run(limited('memory = "192 MiB"'), "sh", "-c", script)
    assert close_of(ended) == ("limit_exceeded", "memory") or "No space left" in ended.err


def test_file_size_says_nothing_of_many_files(place: Place) -> None:
    script = "for n in 1 2 3; do head -c 1M /dev/zero >part$n; done; du -cb part? | tail -n1 | cut -f1"
    ended = place.run(limited('file_size = "1 MiB"'), "sh", "-ec", script)
    assert (ended.code, ended.text, close_of(ended)) == (0, f"{3 << 20}\n", ("agent_exited", ""))


def test_time_spent_waiting_is_no_processor_time(place: Place) -> None:
    ended = place.run(limited("cpu_seconds = 1"), "sleep", "2.5")
    assert (ended.code, close_of(ended)) == (0, ("agent_exited", ""))


def test_a_run_that_is_over_its_time_ends_with_the_agent_dead(place: Place) -> None:
    """Though it does not listen to SIGTERM."""
    script = "trap '' TERM; while :; do sleep 0.1; done"
    ended = place.run(limited("wall_seconds = 1"), "bash", "-c", script)
    assert (ended.code, close_of(ended)[0]) == (TIMED_OUT, "timed_out")
    assert ended.verify() == 0
