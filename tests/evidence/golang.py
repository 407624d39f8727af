"""Go's own readers of notes and trees (golang.org/x/mod/sumdb, of Debian's package), asked by a small program."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).parent / "theirs" / "tlog.go"
DEBIAN_GOPATH = "/usr/share/gocode"

REFUSED = "refused: "


def build(directory: Path) -> Path:
    """The program, made without any network."""
    assert os.path.isdir(f"{DEBIAN_GOPATH}/src/golang.org/x/mod"), "install golang-golang-x-mod-dev"
    program = directory / "tlog"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": DEBIAN_GOPATH,
        "GOCACHE": str(directory / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    command = ["go", "build", "-o", str(program), str(SOURCE)]
    subprocess.run(command, env=environment, cwd=directory, check=True)
    return program


def ask(program: Path, *questions: Mapping[str, object]) -> list[str]:
    """An answer to each: what was asked for, or REFUSED and why."""
    asked = json.dumps([{name: _encode(value) for name, value in one.items()} for one in questions])
    ran = subprocess.run([program], input=asked, capture_output=True, text=True, check=True)
    answers: list[str] = json.loads(ran.stdout)
    assert len(answers) == len(questions)
    return answers


def _encode(value: object) -> object:
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case list() | tuple():
            return [_encode(item) for item in value]
    return value
