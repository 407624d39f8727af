"""An evidence file that grows, and the newest of several runs."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest
from tests.evidence.specimens import SESSION, Scribe
from tests.views.pictures import write_lines

from trio_egress.errors import EvidenceError
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.views.follow import Newest, Tail, is_closed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.jsonl"
    path.touch()
    return path


def append(file: Path, raw: bytes) -> None:
    with file.open("ab") as stream:
        stream.write(raw)


def write_run(directory: Path, later_ns: int, lines: int | None = None) -> Path:
    directory.mkdir()
    scribe = Scribe(attrs.evolve(SESSION, run_id=directory.name))
    scribe.now_ns += later_ns
    (directory / "evidence.jsonl").write_bytes(b"".join(scribe.open().block().close().lines[:lines]))
    return directory / "evidence.jsonl"


@pytest.mark.parametrize("step", [1, 7, 1000, 10**6])
def test_each_line_comes_once_however_the_file_grows(file: Path, step: int) -> None:
    lines = [line[:-1] for line in Scribe().open().block().close().lines]
    raw, tail = b"".join(line + b"\n" for line in lines), Tail(file)
    read: list[bytes | None] = []
    for start in range(0, len(raw), step):
        append(file, raw[start : start + step])
        read += tail.read_lines()
    tail.close()
    assert read == lines


def test_a_line_that_is_too_long_is_none_and_the_next_is_read(file: Path) -> None:
    tail = Tail(file)
    append(file, b"x" * LINE_BYTES)
    assert list(tail.read_lines()) == []
    append(file, b"x" * 3 * LINE_BYTES + b"\nnext\n" + b"y" * (LINE_BYTES - 1) + b"\n")
    assert list(tail.read_lines()) == [None, b"next", b"y" * (LINE_BYTES - 1)]
    append(file, b"x" * LINE_BYTES + b"\n")
    assert list(tail.read_lines()) == [None]
    tail.close()


def test_a_file_that_is_cut_or_replaced_or_gone_is_an_error(file: Path) -> None:
    append(file, b"one\ntwo\n")
    tail = Tail(file)
    assert list(tail.read_lines()) == [b"one", b"two"]
    os.truncate(file, 4)
    with pytest.raises(EvidenceError, match="got shorter"):
        list(tail.read_lines())
    append(file, b"two\n")
    assert list(tail.read_lines()) == []
    other = file.with_name("other")
    other.write_bytes(b"one\ntwo\nthree\n")
    other.replace(file)
    with pytest.raises(EvidenceError, match="was replaced"):
        list(tail.read_lines())
    file.unlink()
    with pytest.raises(EvidenceError, match="is gone"):
        list(tail.read_lines())
    tail.close()


def test_a_link_is_not_followed(tmp_path: Path, file: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(EvidenceError, match="is a link"):
        Tail(tmp_path / "link")


def test_the_newest_run_is_the_one_whose_first_receipt_is(tmp_path: Path) -> None:
    newest = Newest(tmp_path / "root")
    assert newest.find() is None
    (tmp_path / "root").mkdir()
    assert newest.find() is None
    later = write_run(tmp_path / "root" / "a", 2_000_000_000)
    write_run(tmp_path / "root" / "z", 1_000_000_000)
    assert newest.find() == later
    assert newest.is_one_of_many(later)
    begun = write_run(tmp_path / "root" / "b", 0, 0)
    assert newest.find() == begun
    begun.write_bytes(Scribe().open().lines[0])
    assert newest.find() == later


def test_a_run_itself_is_its_own_newest(tmp_path: Path) -> None:
    file = write_run(tmp_path / "run", 0)
    newest = Newest(tmp_path / "run")
    assert newest.find() == file
    assert not newest.is_one_of_many(file)
    newest = Newest(file)
    assert newest.find() == file
    assert not newest.is_one_of_many(file)


def test_a_chain_is_closed_when_its_last_line_closes_it(file: Path) -> None:
    assert not is_closed(file)
    lines = write_lines()
    file.write_bytes(b"".join(lines[:-1]))
    assert not is_closed(file)
    append(file, lines[-1][:-1])
    assert not is_closed(file)
    append(file, b"\n")
    assert is_closed(file)
    append(file, b"no receipt\n")
    assert not is_closed(file)
