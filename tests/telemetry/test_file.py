"""Events in a file: whole lines, also after one that had no room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from trio_egress.telemetry.feed import Patience
from trio_egress.telemetry.file import FileSink


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """What has room for a part of a line, as a disk that is nearly full."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)


def test_lines_are_appended(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"before\n")
    sink = FileSink(os.open(file, os.O_WRONLY | os.O_APPEND), print)
    assert sink.send([b"1\n", b"2\n"], Patience()) == 2
    sink.close()
    assert file.read_bytes() == b"before\n1\n2\n"


def test_a_full_disk_is_told_once_and_ends_nothing() -> None:
    said: list[str] = []
    sink = FileSink(os.open("/dev/full", os.O_WRONLY), said.append)
    assert [sink.send([b"1\n", b"2\n"], Patience()) for _ in range(3)] == [0, 0, 0]
    sink.close()
    assert said == ["No space left on device: events are dropped until it can be written"]


def test_after_a_line_that_was_cut_off_the_next_begins_on_its_own(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    said: list[str] = []
    sink = FileSink(writing, said.append)
    long = b"x" * (1 << 20) + b"\n"
    assert sink.send([b"1\n", long, b"2\n"], Patience()) == 1
    cut = os.read(reading, 1 << 20)
    assert sink.send([b"3\n", b"4\n"], Patience()) == 2
    sink.close()
    assert cut.startswith(b"1\nxxx")
    assert os.read(reading, 1 << 20) == b"\n3\n4\n"
    assert said == [f"wrote {len(cut) - 2} of {len(long)} bytes: events are dropped until it can be written"]


def test_when_time_is_up_nothing_more_is_written(tmp_path: Path) -> None:
    patience = Patience()
    patience.end(0)
    sink = FileSink(os.open(tmp_path / "events", os.O_WRONLY | os.O_CREAT), print)
    assert sink.send([b"1\n"], patience) == 0
    sink.close()
