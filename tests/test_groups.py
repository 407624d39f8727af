"""Groups of receipts: who waits is woken when they are on disk, who doesn't costs no sync of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from trio_egress.errors import RecorderError
from trio_egress.groups import LINGER_SECONDS, Groups

SOON = 3600.0


class Disk:
    """What was written, group by group; it can be held, and fail."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.reached = trio.Event()
        self.go = trio.Event()
        self.go.set()
        self.error: Exception | None = None

    async def write(self, lines: Sequence[bytes], marked: bool) -> None:
        self.reached.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        self.groups.append(list(lines))


@asynccontextmanager
async def opened(disk: Disk) -> AsyncIterator[Groups[bytes]]:
    """Groups that are written for as long as the body lasts, as the recorder writes them."""
    groups = Groups[bytes](disk.write)

    async def keep() -> None:
        try:
            while True:
                await groups.wait_for_work(trio.current_time() + SOON)
                await groups.write()
        finally:
            groups.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep)
        await trio.testing.wait_all_tasks_blocked()
        yield groups
        nursery.cancel_scope.cancel()


def put(groups: Groups[bytes], *lines: bytes) -> None:
    for line in lines:
        groups.put(line)


async def test_what_nobody_waits_for_goes_with_what_is_waited_for(mock_clock: trio.testing.MockClock) -> None:
    disk = Disk()
    async with opened(disk) as groups:
        put(groups, b"outcome")
        await trio.testing.wait_all_tasks_blocked()
        assert disk.groups == []
        put(groups, b"intent")
        await groups.wait_settled()
        assert disk.groups == [[b"outcome", b"intent"]]


@pytest.mark.parametrize("busy", [False, True])
async def test_what_nobody_waits_for_is_written_all_the_same(
    busy: bool, mock_clock: trio.testing.MockClock
) -> None:
    disk = Disk()
    async with opened(disk) as groups:
        if busy:  # it is put while another group is on its way
            disk.go = trio.Event()
            put(groups, b"first")
            mock_clock.jump(LINGER_SECONDS)
            await disk.reached.wait()
        put(groups, b"alone")
        disk.go.set()
        while len(disk.groups) < 1 + busy:
            mock_clock.jump(LINGER_SECONDS)
            await trio.testing.wait_all_tasks_blocked()
        assert disk.groups == [[b"first"]] * busy + [[b"alone"]]


async def test_everyone_in_a_group_is_woken_by_one_write(mock_clock: trio.testing.MockClock) -> None:
    disk = Disk()
    async with opened(disk) as groups:
        for turn in range(3):
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    put(groups, b"%d" % number)
                    nursery.start_soon(groups.wait_settled)
            assert disk.groups[turn] == [b"%d" % number for number in range(20)]
    assert len(disk.groups) == 3


async def test_after_a_failure_nothing_is_acknowledged() -> None:
    disk = Disk()
    disk.error = RecorderError("the disk is full")
    told: list[str] = []

    async def wait(groups: Groups[bytes]) -> None:
        with pytest.raises(RecorderError) as caught:
            await groups.wait_settled()
        told.append(str(caught.value))

    groups = Groups[bytes](disk.write)
    async with trio.open_nursery() as nursery:
        put(groups, b"a")
        nursery.start_soon(wait, groups)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RecorderError, match="full"):
            await groups.write()
    disk.error = None
    put(groups, b"b")
    await groups.write()
    groups.close()
    await wait(groups)
    assert told == ["the disk is full"] * 2


async def test_a_bug_while_writing_is_raised_as_it_is() -> None:
    disk = Disk()
    disk.error = ZeroDivisionError("a bug")
    groups = Groups[bytes](disk.write)
    put(groups, b"a")
    with pytest.raises(ZeroDivisionError, match="a bug"):
        await groups.write()
    groups.close()
    with pytest.raises(RecorderError, match="cut short"):
        await groups.wait_settled()


async def test_who_has_stopped_waiting_is_not_held_up_by_a_disk_that_hangs() -> None:
    disk = Disk()
    disk.go = trio.Event()
    groups = Groups[bytes](disk.write)
    put(groups, b"a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(groups.write)
        await disk.reached.wait()
        nursery.cancel_scope.cancel()
    groups.close()
    with pytest.raises(RecorderError, match="cut short"):
        await groups.wait_settled()


async def test_nobody_waits_in_vain_for_what_comes_after_the_end() -> None:
    groups = Groups[bytes](Disk().write)
    await groups.write()
    groups.close()
    put(groups, b"late")
    assert groups.is_filling
    with pytest.raises(RecorderError, match="has ended"):
        await groups.wait_settled()
