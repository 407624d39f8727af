"""What the launcher makes by itself, with rights that the agent hasn't."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trio_egress.errors import SandboxError
from trio_egress.kernel import view
from trio_egress.kernel.planted import plan_planted

TEXT = "what was planted"


def plant(path: Path) -> None:
    step = {"target": str(path), "source": TEXT, "owner": os.geteuid(), "group": os.getegid()}
    view._file(step)


def test_a_file_is_made_through_no_link(tmp_path: Path) -> None:
    """Whose HOME it is may put one there while the sandbox is built. The control is what a plain `open` does."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / "real").mkdir()
    (home / "link").symlink_to(elsewhere)
    plant(home / "real" / "new" / "a")
    assert (home / "real" / "new" / "a").read_text() == TEXT
    for path in (home / "link" / "a", home / "link" / "new" / "a"):
        with pytest.raises(NotADirectoryError):
            plant(path)
    assert list(elsewhere.iterdir()) == []
    with open(home / "link" / "a", "x", encoding="utf-8"):
        pass
    assert [path.name for path in elsewhere.iterdir()] == ["a"]


def test_a_file_takes_nobodys_place(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "there")
    (tmp_path / "there").write_text("own")
    for name in ("link", "there"):
        with pytest.raises(FileExistsError):
            plant(tmp_path / name)
    assert (tmp_path / "there").read_text() == "own"


def test_a_canary_is_planted_in_home_and_nowhere_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "kept").mkdir(parents=True)
    (home / "inside").symlink_to("kept")
    (home / "outside").symlink_to(tmp_path)

    def place(name: str) -> str:
        (step,) = plan_planted({name: TEXT}, str(home), [], [], (1, 1))
        return step.target

    assert place("kept/a") == place("inside/a") == str(home / "kept" / "a")
    for name in ("outside/a", "outside/home/../a"):
        with pytest.raises(SandboxError, match="a link leads from there"):
            place(name)
