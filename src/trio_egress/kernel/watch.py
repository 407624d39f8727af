"""What all processes of the agent use together, looked at by PID 1: memory, processes, processor time.

For what the kernel counts per process alone. Memory that is kept without being mapped counts too: files of the private
tmpfs, memory files, System V segments. Standard library only: part of the launcher.

Rule 1: a quick sum that can only be too high comes first; the exact one only when that one is over the limit.
Rule 2: looking takes at most a twentieth of one processor, and comes the sooner the less memory is left.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import time
from collections.abc import Container, Iterator
from typing import Any, NamedTuple

from trio_egress.kernel import limits, syscalls

KIB = 1024
SHARE = 20
"""See rule 2."""

LONGEST_SECONDS = 0.5
SHORTEST_SECONDS = 0.01
GROWTH_BYTES = 8 << 30
"""A second: faster than two processors of 2025 can fill fresh pages (4 GiB each, measured 2 to 3)."""

STORE_SECONDS = 1.0
"""Memory files are looked for as often, and whenever the machine's shared memory has grown by a 32nd of the limit."""

PATIENCE_SECONDS = 3.0
"""How long an agent may stay at its number of processes: the kernel refuses it more, and a fork bomb never stops."""

INODE_BYTES = 1024

AGENT_SCORE = str(limits.AGENT_SCORE).encode()

_SIGNALS: dict[int, str] = {signal.SIGXCPU: "cpu_seconds", signal.SIGXFSZ: "file_size"}

_STATUS = re.compile(
    rb"\nPPid:\t(\d+).*?(?:\nVmSize:\s+(\d+).*?\nRssAnon:\s+(\d+).*?\nRssShmem:\s+(\d+)"
    rb".*?\nVmPTE:\s+(\d+).*?\nVmSwap:\s+(\d+).*?)?\nThreads:\t(\d+)",
    re.DOTALL,
)
_NAMELESS = re.compile(rb" (\d+)\s+(?:/memfd:[^\n]*|/dev/zero \(deleted\))\n.*?\nPss:\s+(\d+)", re.DOTALL)
"""Inode and KiB of a mapping in smaps whose file has no place of its own."""


class Process(NamedTuple):
    """One process in /proc. Memory in bytes; `anonymous` has page tables and what is swapped out."""

    pid: int
    parent: int
    size: int
    anonymous: int
    shared: int
    tables: int
    threads: int


class Reached(NamedTuple):
    """A limit that was reached; `ends` when the agent must not go on."""

    name: str
    most: int
    ends: bool


class Watch:
    """Looks at everything in this PID namespace but PID 1. `values`: members of `resources.Resources`.

    `group`: descriptors of the run's cgroup, whose word is taken where it counts (kernel/cgroup.py).
    """

    def __init__(self, values: dict[str, Any], group: dict[str, int]) -> None:
        self._group = group
        self._memory: int | None = values["memory"]
        self._processes: int | None = values["processes"]
        self._cpu: int | None = values["cpu_seconds"]
        self._private: list[str] = values["private"]
        self._values = values
        self._store = Store()
        self._full_since: float | None = None
        self._next = 0.0
        self.noted: Reached | None = None

    @property
    def wait_seconds(self) -> float:
        return max(0.0, self._next - time.monotonic())

    def explain(self, code: int) -> Reached | None:
        """The limit that an agent which ended with `code` had come to, as far as it shows."""
        if reached := self._judge_group():
            return reached
        name = _SIGNALS.get(-code)
        if name and self._values[name] is not None:
            return Reached(name, self._values[name], True)
        return self.noted

    def look(self) -> Reached | None:
        """What the agent must be ended for. What it only touched is kept in `noted`."""
        start = time.monotonic()
        processes = list(read_processes())
        reached = self._judge_group() or self._judge_count(processes, start) or self._judge_cpu(processes)
        left = GROWTH_BYTES
        if reached is None and self._memory is not None and "memory" not in self._group:
            used = self._measure(processes, self._memory)
            self._judge_descriptors()
            left = self._memory - used
            if left < 0:
                reached = Reached("memory", self._memory, True)
        now = time.monotonic()
        pause = max(SHORTEST_SECONDS, min(LONGEST_SECONDS, left / GROWTH_BYTES))
        self._next = now + max(pause, SHARE * (now - start))
        return reached

    def _judge_count(self, processes: list[Process], now: float) -> Reached | None:
        if self._processes is None or sum(p.threads for p in processes) < self._processes:
            self._full_since = None
            return None
        self.noted = Reached("processes", self._processes, False)
        if self._full_since is None:
            self._full_since = now
        over = sum(p.threads for p in processes) > self._processes
        if over or now - self._full_since > PATIENCE_SECONDS:
            return Reached("processes", self._processes, True)
        return None

    def _judge_cpu(self, processes: list[Process]) -> Reached | None:
        if self._cpu is None:
            return None
        if "cpu" in self._group:
            total = read_counts(self._group["cpu"])["usage_usec"] / 1e6
        else:
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            total = used.ru_utime + used.ru_stime + sum(read_cpu_seconds(p.pid) for p in processes)
        return Reached("cpu_seconds", self._cpu, True) if total > self._cpu else None

    def _judge_group(self) -> Reached | None:
        """What the kernel has done about the run's cgroup."""
        if "pids" in self._group and self._processes and read_counts(self._group["pids"])["max"]:
            self.noted = Reached("processes", self._processes, False)
        if "memory" in self._group and self._memory and read_counts(self._group["memory"])["oom_kill"]:
            return Reached("memory", self._memory, True)
        return None

    def _judge_descriptors(self) -> None:
        """The kernel refuses more to a process that has them all, and that is enough."""
        if (
            self._values["open_files"] is not None
            and self._store.most_descriptors >= self._values["open_files"]
        ):
            self.noted = Reached("open_files", self._values["open_files"], False)

    def _measure(self, processes: list[Process], most: int) -> int:
        """Bytes in use: at most `most` when the quick sum says so, else exactly."""
        kept = read_private(self._private) + self._store.measure(processes, most)
        quick = kept + sum(p.anonymous + p.shared for p in processes)
        if quick <= most:
            return quick
        return kept + sum(read_exactly(p, self._store.files) for p in without_shared_memory(processes))


class Store:
    """Memory files and System V segments: memory that a process may hold without having it mapped."""

    def __init__(self) -> None:
        self.files: dict[int, int] = {}
        self.most_descriptors = 0
        self._segments = 0
        self._machine = 0
        self._looked = 0.0

    def measure(self, processes: list[Process], most: int) -> int:
        now, machine = time.monotonic(), read_shared_memory()
        if now - self._looked > STORE_SECONDS or abs(machine - self._machine) > most // 32:
            self.files, self.most_descriptors = {}, 0
            for process in processes:
                count, files = read_memory_files(process.pid)
                self.most_descriptors = max(self.most_descriptors, count)
                self.files |= files
                keep_first(process.pid)
            self._segments = read_segments()
            self._machine, self._looked = machine, now
        return sum(self.files.values()) + self._segments


def read_processes() -> Iterator[Process]:
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            found = _STATUS.search(read(f"/proc/{name}/status"))
            if found:
                parent, size, anonymous, shared, tables, swapped, threads = (
                    int(g or 0) for g in found.groups()
                )
                own = (anonymous + tables + swapped) * KIB
                yield Process(int(name), parent, size, own, shared * KIB, tables * KIB, threads)


def read(path: str) -> bytes:
    """All of a file of /proc; nothing of one that is gone or may not be read."""
    try:
        return read_strictly(path)
    except OSError:
        return b""


def read_strictly(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read() or b""


def read_counts(descriptor: int) -> dict[str, int]:
    """A file of a cgroup with a name and a number on each line."""
    lines = os.pread(descriptor, 4096, 0).decode("ascii").splitlines()
    return {name: int(count) for name, count in (line.split() for line in lines)}


def read_cpu_seconds(pid: int) -> float:
    """With that of the children that it has waited for (`man 5 proc_pid_stat`, fields 14 to 17)."""
    fields = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def read_exactly(process: Process, counted: Container[int]) -> int:
    """Bytes of one process, a shared page by its share. Files in memory count where they lie, or are `counted`."""
    folder = f"/proc/{process.pid}"
    try:
        raw = read_strictly(f"{folder}/smaps_rollup")
    except PermissionError:  # a program that its user may run and not read
        return process.anonymous + process.shared
    except OSError:
        return 0
    sums = dict(re.findall(rb"\n(Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+)", raw))
    if not sums:
        return 0
    own = (int(sums[b"Pss_Anon"]) + int(sums[b"SwapPss"])) * KIB + process.tables
    if int(sums[b"Pss_Shmem"]):
        mapped = _NAMELESS.findall(read(f"{folder}/smaps"))
        own += sum(int(size) for inode, size in mapped if int(inode) not in counted) * KIB
    return own


def without_shared_memory(processes: list[Process]) -> Iterator[Process]:
    """Leave out a child that has its parent's memory itself (vfork), and would count all of it once more."""
    known = {process.pid: process for process in processes}
    for process in processes:
        parent = known.get(process.parent)
        if parent is None or parent.size != process.size or not share_memory(parent.pid, process.pid):
            yield process


def share_memory(one: int, other: int) -> bool:
    try:
        return syscalls.share_memory(one, other)
    except OSError:
        return False


def read_private(places: list[str]) -> int:
    """What lies in the private tmpfs."""
    total = 0
    for place in places:
        try:
            there = os.statvfs(place)
        except OSError:
            continue
        total += (there.f_blocks - there.f_bfree) * there.f_frsize + (
            there.f_files - there.f_ffree
        ) * INODE_BYTES
    return total


def read_shared_memory() -> int:
    """All of this machine's, whosever it is."""
    found = re.search(rb"\nShmem:\s+(\d+)", read("/proc/meminfo"))
    return int(found[1]) * KIB if found else 0


def read_memory_files(pid: int) -> tuple[int, dict[int, int]]:
    """How many descriptors a process has, and the bytes by inode of each memory file (memfd_create) among them."""
    folder, files = f"/proc/{pid}/fd", {}
    try:
        names = os.listdir(folder)
    except OSError:
        return 0, {}
    for name in names:
        try:
            if os.readlink(f"{folder}/{name}").startswith("/memfd:"):
                there = os.stat(f"{folder}/{name}")
                files[there.st_ino] = there.st_blocks * 512
        except OSError:
            continue
    return len(names), files


def keep_first(pid: int) -> None:
    """Make a process that has lowered its own score the first to go again, when the machine's memory is short."""
    path = f"/proc/{pid}/oom_score_adj"
    if read(path).strip() not in (b"", AGENT_SCORE):
        with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
            file.write(AGENT_SCORE)


def read_segments() -> int:
    """Bytes of the System V segments and queues of this namespace (`man 5 proc_sysvipc`)."""
    segments = [line.split() for line in read("/proc/sysvipc/shm").splitlines()[1:]]
    queues = [line.split() for line in read("/proc/sysvipc/msg").splitlines()[1:]]
    return sum(int(f[14]) + int(f[15]) for f in segments) + sum(int(f[3]) for f in queues)
