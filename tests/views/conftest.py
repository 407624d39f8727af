"""Programs that no one here wrote, to check what is exported."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MULTITOOL = "@microsoft/sarif-multitool-linux@5.7.0"
"""Microsoft's own checker of SARIF files, with the rules of GitHub's code scanning and the schema of the standard."""


@pytest.fixture(scope="session")
def multitool() -> Path:
    """The directory of the program, fetched once and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "trio-egress-tests" / MULTITOOL.replace("/", "-")
    package = place / "node_modules" / MULTITOOL.rpartition("@")[0]
    if not (package / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        npm = [
            "npm",
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(place),
            MULTITOOL,
        ]
        subprocess.run(npm, check=True, capture_output=True, timeout=600, cwd=place)
        (package / "Sarif.Multitool").chmod(0o755)
        (package / "complete").touch()
    return package
