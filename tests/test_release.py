"""What is released is the same bytes whoever builds it, and whenever."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from tests.test_cleanliness import ROOT, list_tracked_files

EPOCH = "1767225600"


def build(place: Path, umask: int) -> dict[str, str]:
    """Wheel and sdist of a copy of the tree, by name and SHA-256."""
    tree = place / "tree"
    for name in list_tracked_files():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
            (tree / name).chmod(0o755 & ~umask if os.access(ROOT / name, os.X_OK) else 0o644 & ~umask)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(place / "dist")],
        cwd=tree,
        env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
        umask=umask,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in (place / "dist").iterdir()}


def test_wheel_and_sdist_are_the_same_bytes_in_another_place_and_with_other_rights(tmp_path: Path) -> None:
    first, second = build(tmp_path / "one", 0o022), build(tmp_path / "other", 0o077)
    assert sorted(name.rpartition(".")[2] for name in first) == ["gz", "whl"]
    assert first == second
