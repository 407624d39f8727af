"""A kept database is loaded only from where nobody else can have put it; anything else is compiled anew, silently."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trio_egress.content.detector import Detector, Way
from trio_egress.model import Kind
from trio_egress.runtime.scan_cache import (
    KEPT,
    find_folder,
    keep_database,
    open_scanner,
    protect_cache,
    read_database,
)

KEY = "k" * 64
TOKEN = Detector(name="token", description="", kind=Kind.SECRET, pattern="tok_[a-z]{8}")
OWN = Detector(name="own", description="", kind=Kind.EXACT, pattern="0wn-value-of-this-run")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "cache" / "trio-egress"


def test_what_was_kept_is_read(folder: Path) -> None:
    assert read_database(str(folder), KEY) is None
    keep_database(str(folder), KEY, b"database")
    assert read_database(str(folder), KEY) == b"database"
    assert read_database(str(folder), "l" * 64) is None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def _change_byte(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)


def _link(file: Path) -> None:
    file.rename(file.with_suffix(".real"))
    file.symlink_to(file.with_suffix(".real"))


def _take_anothers(file: Path) -> None:
    keep_database(str(file.parent), "l" * 64, b"other")
    (file.parent / f"{'l' * 64}.scan").replace(file)


def _make_directory(file: Path) -> None:
    file.unlink()
    file.mkdir(0o700)


def _make_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def _link_folder(file: Path) -> None:
    file.parent.rename(file.parent.with_name("real"))
    file.parent.symlink_to("real")


FAULTS: dict[str, Callable[[Path], object]] = {
    "changed": _change_byte,
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "empty": lambda file: file.write_bytes(b""),
    "of another key": _take_anothers,
    "a link": _link,
    "of two names": lambda file: os.link(file, file.with_suffix(".two")),
    "a directory": _make_directory,
    "a pipe": _make_pipe,
    "readable by others": lambda file: file.chmod(0o644),
    "in a folder that others can read": lambda file: file.parent.chmod(0o755),
    "below one where others can write": lambda file: file.parent.parent.chmod(0o777),
    "in a folder that is a link": _link_folder,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_database_that_is_not_surely_ours_is_not_loaded(folder: Path, fault: str) -> None:
    keep_database(str(folder), KEY, b"database")
    FAULTS[fault](folder / f"{KEY}.scan")
    assert read_database(str(folder), KEY) is None


@pytest.mark.root
@pytest.mark.parametrize("place", ["the file", "the folder", "a directory above"])
def test_what_belongs_to_another_is_not_loaded(folder: Path, place: str) -> None:
    keep_database(str(folder), KEY, b"database")
    path = {"the file": folder / f"{KEY}.scan", "the folder": folder, "a directory above": folder.parent}[
        place
    ]
    os.chown(path, 65534, 65534)
    assert read_database(str(folder), KEY) is None


def test_nothing_is_put_where_others_can_write(folder: Path) -> None:
    folder.parent.mkdir()
    folder.parent.chmod(0o777)
    keep_database(str(folder), KEY, b"database")
    assert list(folder.iterdir()) == []


def test_the_newest_are_kept(folder: Path) -> None:
    for number in range(KEPT + 3):
        keep_database(str(folder), str(number), b"database")
        os.utime(folder / f"{number}.scan", (number, number))
    assert {path.stem for path in folder.iterdir()} == {str(number) for number in range(3, KEPT + 3)}


def test_a_scanner_is_the_same_from_the_cache(folder: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(folder.parent)}
    message = b"tok_abcdefgh 0wn-value-of-this-run"
    scanners = [open_scanner([TOKEN], [OWN], environment) for _ in range(2)]
    assert scanners[0].scan(message, Way.OUT) == scanners[1].scan(message, Way.OUT)
    assert len(scanners[1].scan(message, Way.OUT)) == 2
    (file,) = folder.iterdir()
    assert b"0wn-value" not in file.read_bytes()


def test_other_detectors_are_other_databases(folder: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(folder.parent)}
    open_scanner([TOKEN], (), environment)
    assert not open_scanner([OWN], (), environment).scan(b"tok_abcdefgh", Way.OUT)
    assert len(list(folder.iterdir())) == 2


def test_without_a_place_it_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    scanner = open_scanner([TOKEN], (), {"XDG_CACHE_HOME": str(tmp_path / "file" / "cache")})
    assert scanner.scan(b"tok_abcdefgh", Way.OUT)


def test_the_folder_is_the_callers(tmp_path: Path) -> None:
    home = os.path.realpath(tmp_path)
    assert find_folder({"HOME": str(tmp_path)}) == f"{home}/.cache/trio-egress"
    assert find_folder({"HOME": str(tmp_path), "XDG_CACHE_HOME": "relative"}) == f"{home}/.cache/trio-egress"
    assert find_folder({"HOME": "/x", "XDG_CACHE_HOME": str(tmp_path / "c")}) == f"{home}/c/trio-egress"
    assert find_folder({"HOME": "relative"}) == ""


def test_a_folder_that_an_agent_may_write_is_protected(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    folder = os.path.join(os.path.realpath(tmp_path), ".cache", "trio-egress")
    assert protect_cache(environment, ("/srv/elsewhere",)) == ()
    assert not os.path.exists(folder)
    assert protect_cache(environment, ("/srv/elsewhere", str(tmp_path))) == (folder,)
    assert os.path.isdir(folder)


def test_a_folder_that_is_not_trusted_anyhow_is_not_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert protect_cache({"HOME": str(tmp_path)}, (str(tmp_path),)) == ()
    assert list(tmp_path.iterdir()) == []
