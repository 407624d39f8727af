"""What the watch reads of processes: this one and children of it, whose memory is known."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trio_egress.kernel import watch
from trio_egress.kernel.watch import Process, Reached, Watch

MIB = 1 << 20
NOTHING: dict[str, Any] = {
    **dict.fromkeys(("processes", "open_files", "memory", "file_size", "cpu_seconds")),
    "private": [],
}


@pytest.fixture(autouse=True)
def scores_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here all processes are the machine's: which of them goes first is not these tests' to change."""
    monkeypatch.setattr(watch, "keep_first", lambda _pid: None)


@contextlib.contextmanager
def child(act: Callable[[], object]) -> Iterator[int]:
    """A child that has done `act` and waits."""
    done, gate = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        kept = act()
        os.write(done[1], b"x")
        os.close(gate[1])
        os.read(gate[0], 1)
        del kept
        os._exit(0)
    os.read(done[0], 1)
    yield pid
    for descriptor in (*done, *gate):
        os.close(descriptor)
    os.waitpid(pid, 0)


def find(pid: int) -> Process:
    (found,) = [process for process in watch.read_processes() if process.pid == pid]
    return found


def mapped(flags: int, size: int = 32 * MIB) -> mmap.mmap:
    area = mmap.mmap(-1, size, flags=flags)
    area.write(b"x" * size)
    return area


def memory_file() -> int:
    descriptor = os.memfd_create("kept")
    os.write(descriptor, b"x" * (32 * MIB))
    return descriptor


def test_memory_of_its_own_is_anonymous() -> None:
    # A child has its share of the tests' own memory too: what one without the area has is taken off.
    with child(lambda: None) as bare, child(lambda: mapped(mmap.MAP_PRIVATE)) as pid:
        process = find(pid)
        assert process.parent == os.getpid()
        assert process.threads == 1
        assert process.anonymous > 32 * MIB
        own = watch.read_exactly(process, ()) - watch.read_exactly(find(bare), ())
        assert 24 * MIB < own < 40 * MIB


def test_shared_memory_without_a_file_counts_where_it_is_mapped() -> None:
    with child(lambda: mapped(mmap.MAP_SHARED)) as pid:
        process = find(pid)
        assert process.shared >= 32 * MIB
        assert watch.read_exactly(process, ()) > 32 * MIB


def test_what_two_processes_share_is_halved() -> None:
    kept = mapped(mmap.MAP_PRIVATE)
    with child(lambda: None) as pid:
        process = find(pid)
        assert process.anonymous > 32 * MIB
        assert watch.read_exactly(process, ()) < process.anonymous - 12 * MIB
    kept.close()


def test_a_memory_file_counts_although_nobody_has_mapped_it() -> None:
    with child(memory_file) as pid:
        count, files = watch.read_memory_files(pid)
    assert 32 * MIB in files.values()
    assert count >= 4


def test_a_process_that_is_gone_uses_nothing() -> None:
    with child(lambda: mapped(mmap.MAP_PRIVATE)) as pid:
        process = find(pid)
    assert watch.read_exactly(process, ()) == 0
    assert watch.read_memory_files(pid) == (0, {})
    assert watch.read_cpu_seconds(pid) == 0


def test_a_name_cannot_pass_for_numbers() -> None:
    def rename() -> None:
        Path("/proc/self/comm").write_bytes(b"x\nThreads:\t99")

    with child(rename) as pid:
        assert find(pid).threads == 1


def test_processes_without_the_same_memory_are_all_counted() -> None:
    with child(lambda: mapped(mmap.MAP_PRIVATE)) as pid:
        one = find(pid)
        twin = one._replace(pid=os.getpid(), parent=1)
        assert list(watch.without_shared_memory([one, twin])) == [one, twin]


def test_more_memory_than_allowed_ends_the_agent() -> None:
    reached = Watch({**NOTHING, "memory": 1}, {}).look()
    assert reached == Reached("memory", 1, True)
    assert Watch({**NOTHING, "memory": 1 << 50}, {}).look() is None


def test_a_look_is_due_at_once_and_then_after_a_pause() -> None:
    seen = Watch({**NOTHING, "memory": 1 << 50}, {})
    assert seen.wait_seconds == 0
    seen.look()
    assert seen.wait_seconds > watch.SHORTEST_SECONDS


@pytest.mark.parametrize(
    ("code", "limit"), [(-24, "cpu_seconds"), (-25, "file_size"), (-9, None), (0, None), (24, None)]
)
def test_a_signal_of_a_limit_is_told_as_that_limit(code: int, limit: str | None) -> None:
    reached = Watch({**NOTHING, "cpu_seconds": 1, "file_size": 1}, {}).explain(code)
    assert (reached.name if reached else None) == limit
    assert Watch(NOTHING, {}).explain(code) is None


def test_the_cgroups_word_is_taken(tmp_path: Path) -> None:
    texts = {"memory": "low 0\noom_kill 0\n", "pids": "max 0\n", "cpu": "usage_usec 500000\nnr_periods 0\n"}
    group = {}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        group[name] = os.open(tmp_path / name, os.O_RDONLY)
    seen = Watch({**NOTHING, "memory": 1, "processes": 1 << 20, "cpu_seconds": 1}, group)
    assert seen.look() is None
    (tmp_path / "pids").write_text("max 7\n")
    assert seen.explain(0) == Reached("processes", 1 << 20, False)
    (tmp_path / "cpu").write_text("usage_usec 1500000\nnr_periods 0\n")
    assert seen.look() == Reached("cpu_seconds", 1, True)
    (tmp_path / "memory").write_text("low 0\noom_kill 2\n")
    assert seen.look() == seen.explain(-9) == Reached("memory", 1, True)
    for descriptor in group.values():
        os.close(descriptor)


def test_segments_are_counted_without_error() -> None:
    assert watch.read_segments() >= 0
    assert watch.read_shared_memory() > 0
    assert watch.read_private(["/dev/shm", "/no/such/place"]) >= 0
