"""What a run could leave behind: whatever outlives its parent below this process comes to this process.

So the processes of other runs on the same machine are nobody's business here.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
from tests.runs.launch import wait_until

PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)

PLACES = ("/run", "/dev/shm", "/")
"""Where a name of ours would be a remainder. Temporary files have a directory that is a test's own."""


def find_children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def find_launcher(pid: int) -> int:
    """Of a run: the one child that is a program of its own, as the recorder's process is not."""

    def read_command(pid: int) -> bytes:
        return Path(f"/proc/{pid}/cmdline").read_bytes()

    (launcher,) = (child for child in find_children(pid) if read_command(child) != read_command(pid))
    return launcher


def find_recorder(pid: int) -> int:
    """Of a run: the process that writes its receipts."""
    (recorder,) = set(find_children(pid)) - {find_launcher(pid)}
    return recorder


def waits_for_orders(recorder: int) -> bool:
    """Whether it is in a call about its socket: what it has written is on disk. For root, who may look."""
    _, *arguments = Path(f"/proc/{recorder}/syscall").read_text().split()  # a number, or "running" alone
    if not arguments:
        return False
    return os.readlink(f"/proc/{recorder}/fd/{int(arguments[0], 16)}").startswith("socket:")


def find_descendants(pid: int) -> list[int]:
    """Everything below a process, in whatever namespace."""
    children = find_children(pid)
    return [*children, *(pid for child in children for pid in find_descendants(child))]


def describe(pid: int) -> str:
    with suppress(OSError):
        raw = Path(f"/proc/{pid}/cmdline").read_bytes() or Path(f"/proc/{pid}/comm").read_bytes()
        return f"{pid}: {raw.replace(bytes(1), b' ').decode(errors='replace')[:200]}"
    return f"{pid}: gone"


@attrs.frozen
class Remains:
    """What there was before."""

    processes: frozenset[int]
    mounts: tuple[str, ...]
    names: frozenset[str]
    temporary: Path

    def find_processes(self) -> list[int]:
        """Descendants that were not there before. Those that have ended are taken in, and no more there the next time.

        While one ends its children come to us, past whoever has just looked: only an empty answer says that none is.
        """
        found = sorted(set(find_descendants(os.getpid())) - self.processes)
        for pid in found:
            with suppress(ChildProcessError):  # not our own child, but one of such a child
                os.waitpid(pid, os.WNOHANG)
        return found

    def assert_none(self) -> None:
        """Nothing is left, or will have gone in a moment: a killed process takes time to go."""
        left = self.find_processes
        wait_until(lambda: not left(), f"the end of {[describe(pid) for pid in left()]}")
        wait_until(lambda: find_groups() <= self.names, f"the end of {find_groups()}")
        assert read_mounts() == self.mounts
        assert find_names() <= self.names
        assert list(self.temporary.iterdir()) == []


def read_mounts() -> tuple[str, ...]:
    """Of this mount namespace, without those that other tests make for themselves."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return tuple(line for line in lines if "/trio-egress-test-" not in line)


def find_names() -> frozenset[str]:
    return frozenset(
        f"{p}/{name}" for p in PLACES for name in os.listdir(p) if name.startswith("trio-egress")
    )


def find_groups() -> frozenset[str]:
    """Cgroups of our own runs: another user's are another user's."""
    mounted = re.findall(r"^\S+ (\S+) cgroup2 ", Path("/proc/mounts").read_text(), re.MULTILINE)
    return frozenset(
        os.path.join(folder, name)
        for top in mounted
        for folder, names, _ in os.walk(top)
        for name in names
        if name.startswith("trio-egress-") and is_ours(os.path.join(folder, name))
    )


def is_ours(path: str) -> bool:
    with suppress(FileNotFoundError):
        return os.stat(path).st_uid == os.geteuid()
    return False


@contextmanager
def watch_remains(temporary: Path) -> Iterator[Remains]:
    """`temporary` is what runs are given as TMPDIR. All children that the body starts are its own to wait for."""
    temporary.mkdir()
    temporary.chmod(0o777)
    adopt(True)
    try:
        yield Remains(
            frozenset(find_descendants(os.getpid())),
            read_mounts(),
            find_names() | find_groups(),
            temporary,
        )
    finally:
        adopt(False)


def adopt(on: bool) -> None:
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
