"""Programs that fill a screen, in a run at a real terminal emulator: tmux types, and tells what a person would see."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
from tests.programs.screen import COLUMNS, ROWS, Screen
from tests.runs.launch import Place, verify, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]


@pytest.fixture
def screen(place: Place) -> Iterator[Screen]:
    screen = Screen(place)
    yield screen
    screen.close()


def run(place: Place, screen: Screen, *command: str) -> None:
    (place.path / "policy-0.toml").write_text(write_policy())
    screen.press(
        f"clear; {shlex.join([*place.program('run', 0), '--quiet', '--', *command])}; echo code $?", "Enter"
    )


def test_less_pages_and_follows_the_size(place: Place, screen: Screen) -> None:
    run(place, screen, "sh", "-c", "seq 500 | less")
    screen.expect(*map(str, range(1, ROWS)), ":")
    screen.press("Space")
    screen.expect(*map(str, range(ROWS, 2 * ROWS - 1)), ":")
    screen.resize(ROWS - 6, COLUMNS)
    screen.expect(*map(str, range(ROWS, 2 * ROWS - 7)), ":")
    screen.press("q")
    screen.expect("code 0", "outside>")
    assert verify(place.path / "evidence-0", place.key.public_hex) == 0


def test_an_editor_edits(place: Place, screen: Screen) -> None:
    run(place, screen, "nano", "--restricted", "letter.txt")
    screen.expect("^G Help", "^X Exit")
    screen.press("Dear reader,", "Enter", "two lines", "C-Left", "C-Left", "BSpace", "Down", "C-s", "C-x")
    screen.expect("code 0", "outside>")
    assert (place.work / "letter.txt").read_text() == "Dear reader,two lines\n"


def test_a_prompt_with_history_edits_its_line(place: Place, screen: Screen) -> None:
    run(place, screen, "env", "PS1=inside> ", "bash", "--norc", "--noprofile", "-i")
    screen.expect("inside>")
    screen.press("echo $((6 * 8))", "Enter")
    screen.expect("48", "inside>")
    screen.press("Up", "Left", "Left", "BSpace", "7", "Enter")
    screen.expect("42", "inside>")
    screen.press("C-d")
    screen.expect("code 0", "outside>")
