"""Bombs in real runs: each ends the agent or is refused to it, the run says which limit, and the books are closed.

Every bomb is bounded by itself, so that its control, the same bomb without the limit, can go off and be survived.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.runs.launch import Ended, Place, read_lines, wait_until, write_policy
from tests.runs.remains import find_children, find_launcher

pytestmark = pytest.mark.sandbox

MEMORY = 'memory = "192 MiB"'
MAY_LOWER = int(re.findall(r"CapEff:\t(\w+)", Path("/proc/self/status").read_text())[0], 16) >> 24 & 1
"""CAP_SYS_RESOURCE: the root of a container has not got it."""

SURVIVED = "print('survived', flush=True)"

ONE_PROCESS = "kept = [b'x' * (1 << 20) for _ in range(300)]"
MANY_PROCESSES = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        kept = b'x' * (75 << 20)
        time.sleep(2)
        os._exit(0)
while True:
    try: os.wait()
    except ChildProcessError: break
"""
FILES = """
import time
for number, folder in enumerate(('/tmp', '/var/tmp', '/dev/shm')):
    with open(f'{folder}/file', 'wb') as file:
        file.write(b'x' * (100 << 20))
time.sleep(1)
"""
MEMORY_FILES = """
import os, time
kept = []
for _ in range(20):
    kept.append(os.memfd_create('kept'))
    os.write(kept[-1], b'x' * (15 << 20))
time.sleep(1)
"""
MAPPED_MEMORY_FILES = """
import mmap, os, time
kept = []
for _ in range(20):
    fd = os.memfd_create('kept')
    os.ftruncate(fd, 15 << 20)
    kept.append(mmap.mmap(fd, 15 << 20))
    kept[-1].write(b'x' * (15 << 20))
    os.close(fd)
time.sleep(1)
"""
SHARED_MAPPINGS = """
import mmap, time
kept = [mmap.mmap(-1, 300 << 20)]
kept[0].write(b'x' * (300 << 20))
time.sleep(1)
"""
SEGMENTS = """
import ctypes, time
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.shmdt.argtypes = [ctypes.c_void_p]
for _ in range(20):
    segment = libc.shmget(0, ctypes.c_size_t(15 << 20), 0o1600)
    place = libc.shmat(segment, None, 0)
    ctypes.memset(place, 1, 15 << 20)
    libc.shmdt(place)
time.sleep(1)
"""
FORKS = """
import os, time
refused = 0
for _ in range(80):
    while True:
        try:
            if os.fork() == 0:
                time.sleep(3)
                os._exit(0)
            break
        except BlockingIOError:
            refused += 1
            os.wait()
"""
THREADS = """
import threading, time
for _ in range(80):
    threading.Thread(target=time.sleep, args=(3,)).start()
"""
DESCRIPTORS = """
import os
kept = [os.open('/dev/null', os.O_RDONLY) for _ in range(100)]
"""
FILE = """
with open('big', 'wb') as file:
    file.write(b'x' * (3 << 20))
"""
PROCESSOR = """
import time
while time.process_time() < 2.5: pass
"""
SHORT_LIVED = """
import subprocess, time
start = time.monotonic()
for _ in range(5):
    subprocess.run(['python3', '-c', 'import time\\nwhile time.process_time() < 0.5: pass'])
"""

MEMORY_BOMBS = {
    "one process": ONE_PROCESS,
    "many processes": MANY_PROCESSES,
    "files": FILES,
    "memory files": MEMORY_FILES,
    "mapped memory files": MAPPED_MEMORY_FILES,
    "shared mappings": SHARED_MAPPINGS,
    "segments": SEGMENTS,
}


def limited(*lines: str) -> str:
    return write_policy(more="[limits]\n" + "\n".join(lines) + "\n")


def run(place: Place, policy: str, bomb: str) -> Ended:
    return place.run(policy, "python3", "-c", f"{bomb}\n{SURVIVED}")


def close_of(ended: Ended) -> tuple[str, str]:
    closing = read_lines(ended.evidence)[-1]
    reason = closing["action_record"]["session_control"]["close"]["close_reason"]
    return reason, closing["ext"]["trio_egress"].get("limit", "")


def assert_ended(ended: Ended, limit: str, message: str) -> None:
    assert close_of(ended) == ("limit_exceeded", limit)
    assert message in ended.status["message"]
    assert "survived" not in ended.text
    assert ended.verify() == 0


@pytest.mark.parametrize("bomb", MEMORY_BOMBS)
def test_a_memory_bomb_ends_the_agent_and_not_the_supervisor(place: Place, bomb: str) -> None:
    # Held until it is ended: PID 1 looks again after twenty times as long as its last look took.
    held = MEMORY_BOMBS[bomb].replace("time.sleep(2)", "time.sleep(60)") + "\nimport time\ntime.sleep(60)"
    ended = run(place, limited(MEMORY), held)
    assert_ended(ended, "memory", "the agent was ended: more than 192 MiB of memory ([limits] memory)")
    assert ended.code == 128 + 9
    assert ended.peak_kib < 150 << 10


@pytest.mark.parametrize("bomb", [*MEMORY_BOMBS.values(), FORKS, THREADS, DESCRIPTORS, FILE, PROCESSOR])
def test_without_the_limit_the_same_bomb_goes_off(place: Place, bomb: str) -> None:
    ended = run(place, write_policy(), bomb)
    assert (ended.code, ended.text, close_of(ended)) == (0, "survived\n", ("agent_exited", ""))


def test_memory_that_processes_share_counts_once(place: Place) -> None:
    family = """
import os, time
kept = b'x' * (120 << 20)
for _ in range(8):
    if os.fork() == 0:
        time.sleep(1)
        os._exit(0)
for _ in range(8): os.wait()
"""
    assert run(place, limited(MEMORY), family).text == "survived\n"


def test_a_parent_that_waits_in_vfork_counts_once(place: Place) -> None:
    parent = """
import os, subprocess, time
kept = b'x' * (120 << 20)
until = time.monotonic() + 1.5
while time.monotonic() < until:
    subprocess.run(['true'], close_fds=False)
"""
    assert run(place, limited(MEMORY), parent).text == "survived\n"


def test_memory_that_is_mapped_and_lies_in_a_file_counts_once(place: Place) -> None:
    mapping = """
import mmap, time
with open('/dev/shm/file', 'w+b') as file:
    file.truncate(120 << 20)
    kept = mmap.mmap(file.fileno(), 120 << 20)
    for _ in range(120):  # all at once would be as much again
        kept.write(b'x' * (1 << 20))
    time.sleep(1)
"""
    assert run(place, limited(MEMORY), mapping).text == "survived\n"


def test_reserved_memory_that_is_never_touched_is_not_used(place: Place) -> None:
    reserving = "import mmap, time; kept = mmap.mmap(-1, 8 << 30, flags=mmap.MAP_PRIVATE); time.sleep(0.6)"
    assert run(place, limited(MEMORY), reserving).text == "survived\n"


def test_a_private_tmpfs_takes_no_file_larger_than_the_memory(place: Place) -> None:
    filling = """
import os
for folder in ('/tmp', '/var/tmp', '/dev/shm'):
    there = os.statvfs(folder)
    print(folder, there.f_blocks * there.f_frsize >> 20)
"""
    ended = run(place, limited(MEMORY), filling)
    assert ended.text.splitlines()[:3] == ["/tmp 192", "/var/tmp 192", "/dev/shm 192"]


def test_a_home_in_the_working_directory_is_the_hosts_and_no_memory_of_the_agent(place: Place) -> None:
    (home := place.work / "home").mkdir(0o777)
    policy = limited(MEMORY) + f'[env]\nset = {{ HOME = "{home}" }}\n'
    ended = run(place, policy, "import os, time; print(os.environ['HOME']); time.sleep(0.6)")
    assert ended.text == f"{home}\nsurvived\n"


def test_a_fork_bomb_is_refused_and_told(place: Place) -> None:
    ended = run(place, limited("processes = 64"), FORKS + "print(refused > 0)")
    assert ended.text == "True\nsurvived\n"
    assert close_of(ended) == ("agent_exited", "processes")
    assert ended.status["message"] == "the agent came to its limit of 64 processes ([limits] processes)"
    assert ended.verify() == 0


def test_a_fork_bomb_that_never_stops_is_ended(place: Place) -> None:
    endless = """
import os, time
while True:
    try:
        if os.fork() == 0:
            time.sleep(60)
    except BlockingIOError:
        time.sleep(0.01)
"""
    ended = run(place, limited("processes = 64"), endless)
    assert_ended(ended, "processes", "limit of 64 processes")


def test_threads_count_as_processes(place: Place) -> None:
    ended = run(place, limited("processes = 64"), THREADS)
    assert (ended.code, ended.text) == (1, "")
    assert close_of(ended) == ("agent_exited", "processes")


def test_a_flood_of_descriptors_is_refused(place: Place) -> None:
    ended = run(place, limited("open_files = 64"), DESCRIPTORS)
    assert (ended.code, ended.text, close_of(ended)[0]) == (1, "", "agent_exited")
    assert ended.verify() == 0


def test_a_flood_of_descriptors_that_is_held_is_told(place: Place) -> None:
    holding = """
import os, time
kept = []
try:
    while True: kept.append(os.open('/dev/null', os.O_RDONLY))
except OSError:
    time.sleep(8)
"""
    ended = run(place, limited("open_files = 64"), holding)
    assert close_of(ended) == ("agent_exited", "open_files")


def test_a_file_over_the_limit_ends_whoever_writes_it(place: Place) -> None:
    ended = place.run(limited('file_size = "1 MiB"'), "dd", "if=/dev/zero", "of=big", "bs=64k", "count=32")
    assert_ended(ended, "file_size", "more than 1 MiB in one file")
    assert (place.work / "big").stat().st_size == 1 << 20


def test_a_file_over_the_limit_is_refused_to_a_program_that_looks(place: Place) -> None:
    ended = run(place, limited('file_size = "1 MiB"'), FILE)
    assert (ended.code, ended.text) == (1, "")
    assert (place.work / "big").stat().st_size == 1 << 20


@pytest.mark.parametrize("bomb", [PROCESSOR, SHORT_LIVED])
def test_processor_time_is_that_of_all_processes_together(place: Place, bomb: str) -> None:
    ended = run(place, limited("cpu_seconds = 1"), bomb)
    assert_ended(ended, "cpu_seconds", "more than 1 s of processor time")


def test_the_callers_own_limits_stay(place: Place) -> None:
    program = """
import os, resource
print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_NPROC)[0] > 0, oct(os.umask(0)))
"""
    with lowered(resource.RLIMIT_NOFILE, 321) as hard:
        started = place.start(write_policy(), "python3", "-c", program, umask=0o027)
    assert started.wait().text == f"(321, {hard}) True 0o27\n"


@contextmanager
def lowered(kind: int, soft: int) -> Iterator[int]:
    """Whoever is started meanwhile inherits it; gives the hard limit."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield before[1]
    finally:
        resource.setrlimit(kind, before)


def test_nothing_of_a_crash_is_kept(place: Place) -> None:
    program = "import os, resource; print(resource.getrlimit(resource.RLIMIT_CORE)); os.abort()"
    ended = place.run(write_policy(), "python3", "-uc", program)
    assert ended.text == "(1, 1)\n"
    assert not list(place.work.iterdir())


def test_the_agent_is_the_first_to_go_when_memory_is_short(place: Place) -> None:
    started = place.start(
        write_policy(),
        "sh",
        "-c",
        "cat /proc/self/oom_score_adj; read line",
        stdin=(pipe := os.pipe())[0],
    )
    wait_until(lambda: started.out.read_text().endswith("\n"), "the agent's score")
    own = int(Path(f"/proc/{started.pid}/oom_score_adj").read_text())
    (init,) = find_children(find_launcher(started.pid))
    first = int(Path(f"/proc/{init}/oom_score_adj").read_text())
    os.close(pipe[1])
    assert (started.wait().text, first) == ("1000\n", 999)
    assert own == -900 if MAY_LOWER else own < 999


def test_the_agent_can_not_leave_its_place_in_that_order(place: Place) -> None:
    lowering = (
        "echo 0 >/proc/$$/oom_score_adj; for n in $(seq 300); do "
        "grep -qx 1000 /proc/$$/oom_score_adj && break; sleep 0.1; done; "
        "cat /proc/self/oom_score_adj /proc/$$/oom_score_adj"
    )
    assert place.run(write_policy(), "sh", "-c", lowering).text.split() == ["1000", "1000"]
