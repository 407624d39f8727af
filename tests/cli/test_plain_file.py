"""Which files a command writes to, and which it leaves as they are."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from trio_egress.cli.plain_file import open_output, open_plain
from trio_egress.errors import UsageError

AS_ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    work = tmp_path / "work"
    (work / "real").mkdir(parents=True)
    monkeypatch.chdir(work)
    return work


@pytest.mark.parametrize("name", ["link", "folder/file", "real/folder/file", "./folder/../folder/file"])
@pytest.mark.parametrize("absolute", ["itself", "by a link", ""])
def test_no_link_below_the_working_directory_is_followed(here: Path, name: str, absolute: str) -> None:
    target = here.parent / "file"
    target.write_text("as it was")
    (here / "link").symlink_to(target)
    for folder in ("folder", "real/folder"):
        (here / folder).symlink_to(here.parent)
    (here.parent / "way").symlink_to(here)
    above = {"itself": f"{here}/", "by a link": f"{here.parent}/way/", "": ""}[absolute]
    given = f"{above}{name}"
    with pytest.raises(OSError, match="is a link"):
        open_output(given)
    with pytest.raises(UsageError, match=r"--x .* is a link"):
        open_plain("--x", given)
    assert target.read_text() == "as it was"


@pytest.mark.parametrize("given", ["real/file", "../above/file", "{tmp}/above/file", "file"])
def test_links_above_it_are_the_callers_own(here: Path, given: str) -> None:
    (here.parent / "above").symlink_to(here / "real")
    place = Path(given.format(tmp=here.parent))
    os.close(open_output(str(place)))
    assert place.read_bytes() == b""


def test_a_file_is_emptied_and_a_directory_or_a_missing_one_is_an_error(here: Path) -> None:
    (here / "file").write_text("before")
    os.close(open_output("file"))
    assert (here / "file").read_bytes() == b""
    for name in ("real", "real/", ".", "none/file", "file/file", ""):
        with pytest.raises(OSError, match=r"directory|Is a"):
            open_output(name)
    assert sorted(os.listdir()) == ["file", "real"]


def test_root_writes_to_no_file_that_has_another_name(here: Path) -> None:
    (here / "file").write_text("as it was")
    os.link("file", "other")
    if not AS_ROOT:
        os.close(open_output("other"))
        return
    with pytest.raises(OSError, match="hard link"):
        open_output("other")
    with pytest.raises(UsageError, match="hard link"):
        open_plain("--x", "other")
    assert (here / "file").read_text() == "as it was"


def test_a_pipe_waits_for_its_reader_and_a_device_is_written_to(here: Path) -> None:
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    with open(open_output("pipe"), "wb") as file:
        assert os.get_blocking(file.fileno())
        file.write(b"told")
    reader.join()
    assert read == [b"told"]
    with open(open_output("/dev/null"), "wb") as file:
        assert os.get_blocking(file.fileno())
    with pytest.raises(UsageError, match="--x pipe: "):
        open_plain("--x", "pipe")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("pipe", [True, False])
def test_ones_own_descriptors_are_where_they_lead(here: Path, name: str, pipe: bool) -> None:
    program = f"import os; from trio_egress.cli.plain_file import open_output; os.write(open_output({name!r}), b'told')"
    with open("out", "wb") as file:
        out = subprocess.PIPE if pipe else file
        ran = subprocess.run([sys.executable, "-c", program], stdout=out, check=True, timeout=60)
    assert (ran.stdout if pipe else (here / "out").read_bytes()) == b"told"
