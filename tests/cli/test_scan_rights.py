"""`trio-egress scan` where it may not read everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.static.kit import git, scan, write


@pytest.mark.ordinary
def test_what_may_not_be_read_is_told(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write(tree, {"a.txt": "nothing", "b/c.txt": "nothing"})
    (tree / "a.txt").chmod(0)
    (tree / "b").chmod(0)
    try:
        told = scan(tree)
        git(tree, "init", "-q")
        of_repository = scan(tree)
    finally:
        (tree / "b").chmod(0o755)
        (tree / "a.txt").chmod(0o644)
    assert told.code == 2
    assert "a.txt was not looked through: permission denied" in told.err
    assert "b was not looked through: permission denied" in told.err
    assert of_repository.code == 2
    assert "git: could not open directory 'b/': Permission denied" in of_repository.err
