"""What a person sees, kept as files in tests/programs/screens and compared with what a real terminal shows.

After a change that is meant: RENEW_SCREENS=1 python -m pytest tests/programs/test_screens.py, then look at `git diff`
(`cat` shows the colours). What differs from run to run stands as its kind.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs.screen import Screen
from tests.runs.launch import Place, wait_until

from trio_egress.demo.table import find_widths

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

SCREENS = Path(__file__).parent / "screens"
ROWS = 60
POLICY = """version = "1.0"
default_deny = true

[[egress]]
destination = "api.example.com"
methods = ["GET"]
"""
WRONG = """version = "1.0"
default_deny = true

[[egress]]
destinaton = "api.example.com"

[[egress]]
destination = "*.com*"
"""
AGENT = "curl -so /dev/null http://192.0.2.1/x; curl -so /dev/null -d x=1 http://api.example.com/"
VARYING = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "RUN"),
    (r"\b[0-9a-f]{64}\b", "HEX"),
    (r"[0-9a-f]{8,}\n[0-9a-f]{8,}\b", "HEX"),  # over the edge of the screen
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
    (r"\d\d:\d\d:\d\d\.\d{3}", "TIME"),
    (r"\d+ receipts", "N receipts"),
    (r"receipts    \d+ \(\d+ allow, \d+ block\)", "receipts    N"),
    (r"counted \d+,", "counted N,"),
    (r"files       \d+,", "files       N,"),
    (r"trio-egress-audit-\w{8}", "trio-egress-audit-NAME"),
)
BOTH_GROUNDS = {"", "0", "1", "2", "22", "31", "32", "33", "39", "49"}
"""Of SGR: red, green and yellow as the terminal has them, bold and dim. None of it is lost on light or on dark, as
white, black or a background of our own would be."""

NARROW, WIDE = 80, 200
COUNT = itertools.count()


@pytest.fixture
def place(place: Place) -> Place:
    (place.work / "trio-egress.toml").write_text(POLICY)
    (place.work / "wrong.toml").write_text(WRONG)
    shutil.copy(place.key_file, place.path / "ci.key")
    return place


@pytest.fixture
def screen(place: Place) -> Iterator[Screen]:
    folder = place.path / "bin"
    folder.mkdir()
    program = folder / "trio-egress"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m trio_egress "$@"\n')
    program.chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    screen = Screen(place, ROWS, NARROW, PATH=path, CI="", NO_COLOR="", FORCE_COLOR="", LANG="C.UTF-8")
    yield screen
    screen.close()


def show(screen: Screen, command: str) -> str:
    """The screen when the command has ended, without the line that says so."""
    mark = f"ended-{next(COUNT)}"
    screen.press(f"clear; {command}; echo {mark}", "Enter")
    wait_until(lambda: mark in screen.lines, command)
    return screen.painted.rpartition(mark)[0].rstrip()


def compare(name: str, shown: str) -> None:
    for pattern, kind in VARYING:
        shown = re.sub(pattern, kind, shown)
    shown = re.sub(r"\x1b\[39m\x1b\[49m", "", shown) + "\n"  # what tmux adds to an end of colours
    assert set(re.findall(r"\x1b\[(\d*)m", shown)) <= BOTH_GROUNDS
    file = SCREENS / f"{name}.txt"
    if os.environ.get("RENEW_SCREENS"):
        file.write_text(shown)
    assert shown == file.read_text()


def test_a_run_its_verdict_and_its_denials_look_as_they_did(screen: Screen) -> None:
    run = f"trio-egress run --key ../ci.key --evidence audit -- sh -c {shlex.quote(AGENT)}"
    compare("run", show(screen, run))
    compare("verify", show(screen, "trio-egress verify audit"))
    denied = "trio-egress packet show --denied audit"
    compare("denied", show(screen, denied))
    plain = show(screen, f"NO_COLOR=1 {denied}")
    compare("denied-plain", plain)
    assert show(screen, f"TERM=dumb {denied}") == plain
    compare("denied-forced", show(screen, f"FORCE_COLOR=1 {denied} 2>&- | cat"))
    screen.resize(ROWS, WIDE)
    compare("verify-wide", show(screen, "trio-egress verify audit"))


def test_help_and_errors_look_as_they_did(screen: Screen) -> None:
    compare("help", show(screen, "trio-egress --help"))
    compare("check", show(screen, "trio-egress policy check wrong.toml"))
    wrong = ("verfy x", "run --polcy x -- true", "verify nowhere", "run --policy nothing.toml -- true")
    compare("errors", show(screen, "; ".join(f"trio-egress {arguments}" for arguments in wrong)))


@pytest.mark.parametrize("columns", [NARROW, WIDE])
def test_the_demo_looks_as_it_did(screen: Screen, columns: int) -> None:
    """But for what its agent saw, which says how long that took."""
    screen.resize(ROWS, columns)
    show(screen, "trio-egress demo")
    first, second, _ = find_widths(columns)
    kept: list[str] = []
    for line in screen.lines:
        if line.startswith("ended-"):
            break
        in_table = not any("as expected;" in each for each in (*kept, line))
        cells = (line[:first].rstrip(), line[first + second + 4 :]) if in_table else (line,)
        if any(cells):
            kept.append("  ".join(cells))
    compare(f"demo-{columns}", "\n".join(kept))
