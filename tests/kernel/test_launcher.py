"""A working directory that was handed over is still the one that its path leads to."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.kernel.launcher import check_directory


def test_what_was_put_at_its_path_meanwhile_is_not_taken_for_it(tmp_path: Path) -> None:
    given, other = tmp_path / "given", tmp_path / "other"
    for folder in (given, other):
        folder.mkdir()
    found = given.stat()
    plan = {"directory": str(given), "directory_is": [found.st_dev, found.st_ino]}
    check_directory(plan)
    given.rename(tmp_path / "moved")
    given.symlink_to(other)
    with pytest.raises(RuntimeError, match="is not the directory any more"):
        check_directory(plan)
    check_directory({**plan, "directory_is": None})  # the control: where nobody has handed it over
