"""A real terminal emulator: tmux types, and tells what a person would see."""

from __future__ import annotations

import subprocess

from tests.runs.launch import ENVIRONMENT, Place, wait_until

ROWS, COLUMNS = 24, 90


class Screen:
    """A tmux of the test's own, with one shell in it."""

    def __init__(self, place: Place, rows: int = ROWS, columns: int = COLUMNS, **variables: str) -> None:
        self._socket = str(place.path / "tmux")
        environment = {**ENVIRONMENT, "PS1": "outside> ", "TERM": "screen", "SHELL": "/bin/sh", **variables}
        shell = "exec bash --norc --noprofile -i"
        self._tmux(
            "new-session",
            "-d",
            "-x",
            str(columns),
            "-y",
            str(rows),
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

    @property
    def painted(self) -> str:
        """With colours, up to the last line that is not empty."""
        return self._tmux("capture-pane", "-e", "-p").rstrip()

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
