"""Programs that fill a screen, in a run at a real terminal emulator: tmux types, and tells what a person would see."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator

import pytest
from tests.runs.launch import ENVIRONMENT, Place, verify, wait_until, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

ROWS, COLUMNS = 24, 90


class Screen:
    """A tmux of the test's own, with one shell in it."""

    def __init__(self, place: Place) -> None:
        self._socket = str(place.path / "tmux")
        environment = {**ENVIRONMENT, "PS1": "outside> ", "TERM": "screen", "SHELL": "/bin/sh"}
        shell = "exec bash --norc --noprofile -i"
        self._tmux(
            "new-session",
            "-d",
            "-x",
            str(COLUMNS),
            "-y",
            str(ROWS),
            "-c",
            str(place.work),
            shell,
            **environment,
        )
        self.expect("outside>")

    def _tmux(self, *arguments: str, **environment: str) -> str:
        command = ["tmux", "-S", self._socket, "-f", "/dev/null", *arguments]
        env = environment or ENVIRONMENT
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    def press(self, *keys: str) -> None:
        """Text, and keys by their names in tmux."""
        self._tmux("send-keys", *keys)

    def resize(self, rows: int, columns: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    @property
    def lines(self) -> list[str]:
        return self._tmux("capture-pane", "-p").splitlines()

    def expect(self, *lines: str) -> None:
        """Wait until the last lines that are not empty begin with these."""

        def is_shown() -> bool:
            shown = [line for line in self.lines if line.strip()][-len(lines) :]
            return len(shown) == len(lines) and all(map(str.startswith, shown, lines))

        try:
            wait_until(is_shown, str(lines), 20)
        except TimeoutError:
            raise AssertionError("\n".join(self.lines)) from None

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)


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
