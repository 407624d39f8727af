"""A program that embeds trio-egress (embedder.py), in the eyes of a type checker; mypy sees it with all else here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.programs

PYRIGHT = "pyright@1.1.414"

PROGRAM = Path(__file__).with_name("embedder.py").read_text()


@pytest.fixture(scope="module")
def pyright() -> Path:
    """Its program, fetched once and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "trio-egress-tests" / PYRIGHT
    program = place / "node_modules" / "pyright" / "index.js"
    if not (place / "complete").exists():
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
            PYRIGHT,
        ]
        subprocess.run(npm, check=True, capture_output=True, timeout=600, cwd=place)
        (place / "complete").touch()
    return program


def test_a_program_that_embeds_it_is_clean_and_a_slip_is_seen(pyright: Path, tmp_path: Path) -> None:
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    (tmp_path / "program.py").write_text(PROGRAM)
    slips = PROGRAM.replace("timeout=3", 'timeout="3"').replace("check_denied=True", "chek_denied=True")
    (tmp_path / "slips.py").write_text(slips)
    command = ["node", str(pyright), "--outputjson", "--pythonpath", sys.executable, "program.py", "slips.py"]
    ran = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=600, check=False)
    told: dict[str, Any] = json.loads(ran.stdout)
    assert told["summary"]["filesAnalyzed"] == 2
    assert [(Path(each["file"]).name, each["rule"]) for each in told["generalDiagnostics"]] == [
        ("slips.py", "reportArgumentType"),
        ("slips.py", "reportCallIssue"),
    ]
