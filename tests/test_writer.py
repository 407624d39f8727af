"""Where receipts are signed and written: a thread, or a process of its own that nothing but our end ends."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest
import trio
from tests.runs.remains import find_children

from trio_egress.drafts import make_action_id
from trio_egress.errors import RecorderError
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.journal import EVIDENCE_NAME, lock_log, open_journal
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import generate
from trio_egress.writer.desk import Desk, Order, Writer
from trio_egress.writer.process import WriterProcess
from trio_egress.writer.thread import WriterThread

KEY = generate(bytes(32))
OPEN: Order = partial(Chain.open, now_ns=1)
CLOSE: Order = partial(Chain.close, reason="exited", now_ns=2)

apart = pytest.mark.parametrize("make", [WriterThread, WriterProcess], ids=["thread", "process"])


def append(target: str = "udp://192.0.2.1:53") -> Order:
    draft = Draft(
        action_id=make_action_id(), target=target, verdict="block", transport="packet", facts={"count": 1}
    )
    return partial(Chain.append, draft=draft, now_ns=2)


def hang(chain: Chain) -> bytes:
    """A disk that never answers."""
    while True:
        time.sleep(1)


def fail(chain: Chain) -> bytes:
    raise ZeroDivisionError("a bug")


@asynccontextmanager
async def opened(
    directory: Path, make: Callable[[Desk], Writer] = WriterProcess, copies: bool = False
) -> AsyncIterator[tuple[Writer, Desk]]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    journal = open_journal(descriptor)
    session = Session("run-1", "nonce-1", "open-1", "sha256:" + "0" * 64, 30, "principal", "agent")
    desk = Desk(Chain(KEY, session), journal, copies=copies)
    writer = make(desk)
    try:
        yield writer, desk
    finally:
        await writer.close()
        journal.close()
        os.close(descriptor)


def find_child() -> int:
    """The one process that is forked from ours."""
    own = Path("/proc/self/cmdline").read_bytes()
    (child,) = (
        child for child in find_children(os.getpid()) if Path(f"/proc/{child}/cmdline").read_bytes() == own
    )
    return child


def lines(directory: Path) -> list[bytes]:
    return (directory / EVIDENCE_NAME).read_bytes().splitlines(keepends=True)


@apart
async def test_a_group_is_on_disk_when_it_is_written(tmp_path: Path, make: Callable[[Desk], Writer]) -> None:
    async with opened(tmp_path, make, copies=True) as (writer, desk):
        first = await writer.write([OPEN], marked=True)
        second = await writer.write([append(), append()], marked=False)
        assert len(lines(tmp_path)) == 3
        assert first.lines + second.lines == tuple(lines(tmp_path))
        assert desk.journal.durable_bytes == second.durable_bytes == (tmp_path / EVIDENCE_NAME).stat().st_size
        assert first.anchor is not None
        assert first.anchor.head == first.head
        assert second.anchor is None
        assert second.public_hex == KEY.public_hex


@apart
async def test_no_copies_are_made_that_nobody_wants(tmp_path: Path, make: Callable[[Desk], Writer]) -> None:
    async with opened(tmp_path, make) as (writer, _):
        assert (await writer.write([OPEN], marked=False)).lines == ()


@apart
async def test_a_group_may_be_larger_than_any_buffer(tmp_path: Path, make: Callable[[Desk], Writer]) -> None:
    async with opened(tmp_path, make, copies=True) as (writer, _):
        await writer.write([OPEN], marked=False)
        written = await writer.write([append(f"udp://192.0.2.1:{n}") for n in range(5000)], marked=False)
        assert sum(map(len, written.lines)) > 4 << 20
        assert len(lines(tmp_path)) == 5001


@apart
async def test_a_failure_is_raised_here_and_stays(tmp_path: Path, make: Callable[[Desk], Writer]) -> None:
    async with opened(tmp_path, make) as (writer, _):
        await writer.write([OPEN], marked=False)
        (tmp_path / EVIDENCE_NAME).unlink()
        for _ in range(2):
            with pytest.raises(RecorderError, match="only the first"):
                await writer.write([append()], marked=False)


@apart
async def test_a_bug_is_raised_as_what_it_is(tmp_path: Path, make: Callable[[Desk], Writer]) -> None:
    async with opened(tmp_path, make) as (writer, _):
        bug = ZeroDivisionError if make is WriterThread else RuntimeError  # with its traceback
        with pytest.raises(bug, match="a bug"):
            await writer.write([fail], marked=False)


@apart
async def test_who_has_stopped_waiting_is_not_held_up_by_a_disk_that_hangs(
    tmp_path: Path, make: Callable[[Desk], Writer]
) -> None:
    async with opened(tmp_path, make) as (writer, _):
        with trio.move_on_after(0.2) as scope:
            await writer.write([OPEN, hang], marked=False)
        assert scope.cancelled_caught
        before = time.monotonic()
    assert time.monotonic() - before < 60  # and the process is no more


async def test_an_answer_is_never_taken_for_that_of_another_group(tmp_path: Path) -> None:
    async with opened(tmp_path) as (writer, _):
        with trio.CancelScope() as scope:
            scope.cancel()
            await writer.write([OPEN, hang], marked=False)
        with pytest.raises(RecorderError, match="cut short"):
            await writer.write([append()], marked=False)


async def test_the_process_has_nothing_of_ours_but_the_journal(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    (tmp_path / "evidence").mkdir()
    with (tmp_path / "open").open("w"), ours, theirs:
        async with opened(tmp_path / "evidence") as (writer, _):
            await writer.write([OPEN], marked=False)
            child = find_child()
            held = sorted(os.readlink(f"/proc/{child}/fd/{each}") for each in os.listdir(f"/proc/{child}/fd"))
            assert held[:3] == ["/dev/null"] * 3
            assert held[3:5] == [str(tmp_path / "evidence"), str(tmp_path / "evidence" / EVIDENCE_NAME)]
            assert held[5].startswith("socket:")
            assert len(held) == 6
            assert os.getsid(child) == child
            assert os.getsid(0) != child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
async def test_what_ends_a_run_does_not_end_its_recorder_first(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with opened(tmp_path) as (writer, _):
        await writer.write([OPEN], marked=False)
        child = find_child()
        os.kill(child, number)
        await writer.write([append()], marked=False)
        await writer.write([CLOSE], marked=True)
        assert find_child() == child
    assert len(lines(tmp_path)) == 3


async def test_a_process_that_was_killed_acknowledges_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as (writer, desk):
        await writer.write([OPEN], marked=False)
        os.kill(find_child(), signal.SIGKILL)
        with pytest.raises(RecorderError, match="the process that writes the receipts has ended"):
            await writer.write([append()], marked=False)
        with pytest.raises(RecorderError):
            await writer.write([append()], marked=False)
        assert desk.journal.durable_bytes == len(lines(tmp_path)[0])


async def test_nothing_is_left_of_the_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as (writer, _):
        await writer.write([OPEN], marked=False)
        child = find_child()
    with pytest.raises(ProcessLookupError):  # no zombie either
        os.kill(child, 0)


async def test_where_the_kernel_takes_children_away_by_itself_its_end_is_as_good(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        async with opened(tmp_path) as (writer, _):
            await writer.write([OPEN], marked=False)
            child = find_child()
    finally:
        signal.signal(signal.SIGCHLD, before)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


async def test_what_cannot_be_told_the_process_is_a_bug_and_not_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as (writer, _):
        await writer.write([OPEN], marked=False)
        with pytest.raises((AttributeError, pickle.PicklingError), match="pickle"):
            await writer.write([lambda chain: b"x\n"], marked=False)
        assert len(lines(tmp_path)) == 1


@pytest.mark.parametrize(("module", "name"), [(os, "fork"), (socket, "socketpair")])
async def test_without_a_process_there_is_no_recorder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str
) -> None:
    def refuse(*_arguments: object) -> NoReturn:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(module, name, refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(RecorderError, match="no process that writes the receipts: Resource temporarily"):
        async with opened(tmp_path):
            raise AssertionError("never reached")
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    assert len(os.listdir("/proc/self/fd")) - before <= 3  # the journal's, which the test leaves


ABANDONED = """
import os, sys, trio
from pathlib import Path
from tests.test_writer import OPEN, append, find_child, opened

async def main(directory):
    async with opened(Path(directory)) as (writer, _):
        await writer.write([OPEN], marked=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: writer.write([append()] * 3000, marked=False))
            await trio.sleep(0.05)
            print(find_child(), flush=True)
            os.kill(os.getpid(), 9)

trio.run(main, sys.argv[1])
"""


def test_what_was_asked_for_is_on_disk_when_its_owner_is_killed(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ABANDONED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    file = os.open(tmp_path / EVIDENCE_NAME, os.O_WRONLY)
    try:
        for _ in range(1200):  # the log is free for whoever recovers it
            if lock_log(file):
                break
            time.sleep(0.05)
        else:
            raise AssertionError("the process still keeps the log")
    finally:
        os.close(file)
    assert len([json.loads(line) for line in lines(tmp_path)]) == 3001
