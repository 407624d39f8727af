"""At a terminal the agent is like any other job of it: its size, Ctrl-C, Ctrl-Z, and job control inside."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import shlex
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.runs.launch import Place, Started, find_processes, verify, wait_until, write_policy

pytestmark = pytest.mark.sandbox

ROWS, COLUMNS = 37, 91
CTRL_C, CTRL_Z, CTRL_D = "\x03", "\x1a", "\x04"


class Terminal:
    """A pseudo-terminal as a person has it before them."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        self._open: tuple[int, ...] = (self._master, self.slave)
        self.seen = ""
        self._read = 0
        self.resize(ROWS, COLUMNS)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, text: str, seconds: float = 10.0) -> None:
        """Wait until `text` is shown after whatever was expected before."""
        deadline = time.monotonic() + seconds
        while (at := self.seen.find(text, self._read)) < 0:
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self._master], [], [], left)[0]:
                raise TimeoutError(f"{text!r} is not shown: {self.seen[self._read :]!r}")
            self.seen += os.read(self._master, 65536).decode(errors="replace")
        self._read = at + len(text)

    def is_in_front(self, process: int) -> bool:
        """Whether the process's job has the foreground, as the kernel sees it."""
        return os.tcgetpgrp(self._master) == os.getpgid(process)

    def start(self, place: Place, *command: str, options: tuple[str, ...] = ()) -> Started:
        """A run whose terminal this is, as its session's leader."""
        return place.start(write_policy(), *command, options=options, **self.streams)

    @property
    def streams(self) -> dict[str, Any]:
        def take() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        end = self.slave
        return {"stdin": end, "stdout": end, "stderr": end, "start_new_session": True, "preexec_fn": take}

    def close(self) -> None:
        """Hang up."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open = ()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def test_the_terminal_and_its_size_are_the_agents(place: Place, terminal: Terminal) -> None:
    script = "stty size; test -t 0 && test -t 1 && test -t 2 && echo three; echo new >/dev/tty"
    started = terminal.start(place, "sh", "-c", script)
    terminal.expect(f"{ROWS} {COLUMNS}\r\n")
    terminal.expect("three\r\n")
    terminal.expect("new\r\n")
    ended = started.wait()
    assert ended.code == 0
    assert ended.verify() == 0


def test_a_change_of_its_size_is_told(place: Place, terminal: Terminal) -> None:
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    started = terminal.start(place, "bash", "-c", script)
    terminal.expect("ready")
    terminal.resize(11, 22)
    terminal.expect("11 22\r\n")
    assert started.wait().code == 0


def test_ctrl_c_ends_the_agent_and_the_run(place: Place, terminal: Terminal) -> None:
    started = terminal.start(place, "bash", "-c", "echo ready; exec sleep 600")
    terminal.expect("ready")
    terminal.type(CTRL_C)
    ended = started.wait(10)
    assert (ended.code, ended.status["end"], ended.status["agent_signal"]) == (130, "agent_exited", 2)
    assert ended.verify() == 0


def test_ctrl_c_is_the_agents_to_use(place: Place, terminal: Terminal) -> None:
    started = terminal.start(
        place, "bash", "-c", "trap 'echo heard; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    )
    terminal.expect("ready")
    terminal.type(CTRL_C)
    terminal.expect("heard")
    assert started.wait(10).code == 5


def test_an_interactive_shell_has_job_control(place: Place, terminal: Terminal) -> None:
    started = terminal.start(place, "bash", "--norc", "--noprofile", "-i")
    terminal.type("PS1='in''side> '; echo begun\n")
    terminal.expect("inside> ")
    assert "no job control" not in terminal.seen
    assert "cannot set terminal process group" not in terminal.seen
    terminal.type("sleep 600.1875\n")
    wait_until(lambda: find_processes("600.1875"), "the job")
    (job,) = find_processes("600.1875")
    terminal.type(CTRL_Z)
    terminal.expect("Stopped")
    terminal.expect("inside> ")
    terminal.type("fg\n")
    terminal.expect("sleep 600.1875\r\n")
    wait_until(lambda: terminal.is_in_front(job), "the job in the foreground")
    terminal.type(CTRL_C)
    terminal.expect("inside> ")
    terminal.type("cat | tr a-z A-Z\n")
    terminal.type("loud\n")
    terminal.expect("LOUD")
    terminal.type(CTRL_D)
    terminal.expect("inside> ")
    terminal.type("exit 6\n")
    ended = started.wait(10)
    assert ended.code == 6
    assert ended.verify() == 0


@contextlib.contextmanager
def outer_shell(place: Place, terminal: Terminal) -> Iterator[None]:
    """A person's shell at the terminal, outside any sandbox, that knows no run yet."""
    environment = {**os.environ, "PS1": "outside> ", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    (place.path / "policy-0.toml").write_text(write_policy())
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        env=environment,
        **terminal.streams,
    )
    terminal.expect("outside> ")
    try:
        yield
    finally:
        shell.kill()
        shell.wait()


def test_ctrl_z_stops_the_job_and_fg_continues_it(place: Place, terminal: Terminal) -> None:
    # It says when it goes on, because a stop that comes before it does is lost in any shell.
    waits = "trap 'echo going on' CONT; echo ready; until [ -e go ]; do sleep 0.02; done"
    script = f"{waits}; read line; echo got $line; exit 8"
    with outer_shell(place, terminal):
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", script]
        terminal.type(f"cd {place.work}; {shlex.join(command)}\n")  # what is made outside later is seen there
        terminal.expect("ready\r\n")
        for _ in range(3):
            terminal.type(CTRL_Z)
            terminal.expect("Stopped")
            terminal.expect("outside> ")
            terminal.type("echo still $((6 * 7))\n")
            terminal.expect("still 42")
            terminal.expect("outside> ")
            terminal.type("fg\n")
            terminal.expect("going on\r\n")
        (place.work / "go").touch()
        terminal.type("words\n")
        terminal.expect("got words")
        terminal.expect("outside> ")
        terminal.type("echo code $?\n")
        terminal.expect("code 8")
    assert verify(place.path / "evidence-0", place.key.public_hex) == 0


def test_a_job_in_the_background_leaves_the_terminal_alone(place: Place, terminal: Terminal) -> None:
    with outer_shell(place, terminal):
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", "sleep 0.2; echo done-inside"]
        terminal.type(shlex.join(command) + " &\n")
        terminal.expect("outside> ")
        terminal.type("echo mine $((6 * 7))\n")
        terminal.expect("mine 42")
        terminal.expect("done-inside")
        terminal.type("wait %1; echo code $?\n")
        terminal.expect("code 0")
    assert verify(place.path / "evidence-0", place.key.public_hex) == 0


def test_the_shell_has_its_terminal_back_when_the_run_is_over(place: Place, terminal: Terminal) -> None:
    with outer_shell(place, terminal):
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", "kill -9 $$"]
        terminal.type(shlex.join(command) + "\n")
        terminal.expect("outside> ")
        terminal.type("echo code $?; stty size\n")
        terminal.expect("code 137")
        terminal.expect(f"{ROWS} {COLUMNS}")


def test_a_hang_up_ends_the_run(place: Place, terminal: Terminal) -> None:
    started = terminal.start(place, "bash", "-c", "echo ready; exec sleep 601.0625")
    terminal.expect("ready")
    terminal.close()
    started.process.wait(10)
    wait_until(lambda: not find_processes("601.0625"), "the agent's end", 2)
    assert verify(started.evidence, place.key.public_hex) == 0
