"""Sigstore's verifier for JavaScript (@sigstore/verify, which npm itself verifies with), asked by a small script."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).parent / "theirs" / "sigstore.js"
PACKAGE = "@sigstore/verify@2.1.1"
"""The last that runs on the node of Debian 12."""

REFUSED = "refused: "


def install(directory: Path) -> Path:
    """A directory with the script and what it needs, fetched as any package is."""
    shutil.copy(SOURCE, directory)
    command = [
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--ignore-scripts",
        PACKAGE,
    ]
    environment = {**os.environ, "HOME": str(directory), "npm_config_cache": str(directory / "cache")}
    ran = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return directory / SOURCE.name


def ask(script: Path, questions: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """For each bundle and PEM key the payload in base64, or REFUSED and why."""
    asked = json.dumps([[bundle.decode("latin-1"), pem.decode()] for bundle, pem in questions])
    command = ["node", script.name]
    ran = subprocess.run(command, cwd=script.parent, input=asked, capture_output=True, text=True, check=True)
    answers: list[str] = json.loads(ran.stdout)
    assert len(answers) == len(questions)
    return answers
