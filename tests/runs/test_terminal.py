"""At a terminal the agent has one of its own, and is like any other job of the caller's: size, keys, stops, its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import shlex
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runs.launch import (
    ENVIRONMENT,
    PATIENCE_SECONDS,
    Place,
    Started,
    find_processes,
    ours,
    verify,
    wait_until,
    write_policy,
)
from tests.runs.remains import find_children, find_launcher

pytestmark = pytest.mark.sandbox

ROWS, COLUMNS = 37, 91
CTRL_BACKSLASH, CTRL_C, CTRL_Z, CTRL_D = "\x1c", "\x03", "\x1a", "\x04"


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

    def expect(self, text: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until `text` is shown after whatever was expected before."""
        deadline = time.monotonic() + seconds
        while (at := self.seen.find(text, self._read)) < 0:
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self._master], [], [], left)[0]:
                raise TimeoutError(f"{text!r} is not shown: {self.seen[self._read :]!r}")
            self.seen += os.read(self._master, 65536).decode(errors="replace")
        self._read = at + len(text)

    @property
    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    @property
    def is_raw(self) -> bool:
        return not self.settings[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def start(self, place: Place, *command: str, options: tuple[str, ...] = (), **streams: Any) -> Started:
        """A run whose terminal this is, as its session's leader; `streams` that are not on it."""
        return place.start(write_policy(), *command, options=options, **{**self.streams, **streams})

    @property
    def streams(self) -> dict[str, Any]:
        end = self.slave

        def take() -> None:
            fcntl.ioctl(end, termios.TIOCSCTTY, 0)

        return {"stdin": end, "stdout": end, "stderr": end, "start_new_session": True, "preexec_fn": take}

    def close(self) -> None:
        """Hang up."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open = ()


def is_in_front(process: int) -> bool:
    """Whether the process's job has the foreground of its terminal, as the kernel sees it (`man 5 proc_pid_stat`)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return fields[2] == fields[5]


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
    ended = started.wait()
    assert (ended.code, ended.status["end"], ended.status["agent_signal"]) == (130, "agent_exited", 2)
    assert ended.verify() == 0


def test_ctrl_c_is_the_agents_to_use(place: Place, terminal: Terminal) -> None:
    started = terminal.start(
        place, "bash", "-c", "trap 'echo heard; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    )
    terminal.expect("ready")
    terminal.type(CTRL_C)
    terminal.expect("heard")
    assert started.wait().code == 5


def test_an_interactive_shell_has_job_control(place: Place, terminal: Terminal) -> None:
    started = terminal.start(place, "bash", "--norc", "--noprofile", "-i")
    terminal.type("PS1='in''side> '; echo begun\n")
    terminal.expect("inside> ")
    assert "no job control" not in terminal.seen
    assert "cannot set terminal process group" not in terminal.seen
    terminal.type(f"sleep {ours('600')}\n")
    wait_until(lambda: find_processes(ours("600")), "the job")
    (job,) = find_processes(ours("600"))
    terminal.type(CTRL_Z)
    terminal.expect("Stopped")
    terminal.expect("inside> ")
    terminal.type("fg\n")
    terminal.expect(f"sleep {ours('600')}\r\n")
    wait_until(lambda: is_in_front(job), "the job in the foreground")
    terminal.type(CTRL_C)
    terminal.expect("inside> ")
    terminal.type("cat | tr a-z A-Z\n")
    terminal.type("loud\n")
    terminal.expect("LOUD")
    terminal.type(CTRL_D)
    terminal.expect("inside> ")
    terminal.type("exit 6\n")
    ended = started.wait()
    assert ended.code == 6
    assert ended.verify() == 0


@contextlib.contextmanager
def outer_shell(place: Place, terminal: Terminal) -> Iterator[None]:
    """A person's shell at the terminal, outside any sandbox, that knows no run yet."""
    environment = {**ENVIRONMENT, "PS1": "outside> "}
    (place.path / "policy-0.toml").write_text(write_policy())
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        cwd=place.work,
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
        script = "until [ -e go ]; do sleep 0.02; done; echo done-inside"
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", script]
        terminal.type(shlex.join(command) + " &\n")
        terminal.expect("outside> ")
        terminal.type("echo mine $((6 * 7))\n")
        terminal.expect("mine 42")
        (place.work / "go").touch()
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
    started = terminal.start(place, "bash", "-c", f"echo ready; exec sleep {ours('601')}")
    terminal.expect("ready")
    terminal.close()
    started.process.wait()
    wait_until(lambda: not find_processes(ours("601")), "the agent's end")
    assert verify(started.evidence, place.key.public_hex) == 0


# its own


def test_the_agents_terminal_is_none_of_the_callers(place: Place, terminal: Terminal) -> None:
    """It is of another devpts, in a session that PID 1 leads; and the agent may open it by its name."""
    session = "$(cut -d' ' -f6 /proc/self/stat)"
    script = f"echo device $(stat -L -c %d /dev/stdin).; echo session {session}.; echo mine >$(tty)"
    started = terminal.start(place, "sh", "-c", script)
    terminal.expect("device ")
    terminal.expect(".\r\n")
    assert f"device {os.fstat(terminal.slave).st_dev}." not in terminal.seen
    terminal.expect("session 1.\r\n")
    terminal.expect("mine\r\n")
    assert started.wait().code == 0


def test_what_is_redirected_stays_as_it_is(place: Place, terminal: Terminal) -> None:
    script = "test -t 0 && test ! -t 1 && test -t 2 && echo to-file; echo to-terminal >&2"
    with (place.path / "redirected").open("xb") as out:
        started = terminal.start(place, "sh", "-c", script, stdout=out)
        terminal.expect("to-terminal\r\n")
        assert started.wait().code == 0
    assert (place.path / "redirected").read_text() == "to-file\n"
    assert "to-file" not in terminal.seen


def test_a_run_without_a_terminal_among_its_streams_gives_none(place: Place, terminal: Terminal) -> None:
    streams: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    started = terminal.start(place, "sh", "-c", ": </dev/tty", **streams)
    assert started.wait().code != 0


def test_output_is_complete_and_in_order(place: Place, terminal: Terminal) -> None:
    started = terminal.start(place, "seq", "40000", options=("--quiet",))
    terminal.expect("\r\n40000\r\n")
    assert terminal.seen == "".join(f"{number}\r\n" for number in range(1, 40001))
    assert started.wait().code == 0


def test_what_is_typed_is_shown_once_and_edited_by_the_agents_settings(
    place: Place, terminal: Terminal
) -> None:
    started = terminal.start(place, "sh", "-c", "echo ready; cat", options=("--quiet",))
    terminal.expect("ready\r\n")
    terminal.type("wort\x7fd\n")
    terminal.expect("wort\b \bd\r\nword\r\n")
    terminal.type(CTRL_D)
    assert started.wait().code == 0


def test_what_is_typed_before_the_agent_starts_is_shown_once(place: Place, terminal: Terminal) -> None:
    terminal.type("early\nsec")  # the caller's terminal shows it
    script = "read a; echo got $a; read b; echo got $b"
    started = terminal.start(place, "bash", "-c", script, options=("--quiet",))
    terminal.expect("got early\r\n")
    terminal.type("ond\n")
    terminal.expect("got second\r\n")
    assert terminal.seen == "early\r\nsecgot early\r\nond\r\ngot second\r\n"
    assert started.wait().code == 0


def test_a_message_of_ours_begins_at_the_left(place: Place, terminal: Terminal) -> None:
    started = terminal.start(place, "sh", "-c", "getent ahosts evil.example; echo after; sleep 600")
    terminal.expect("no rule allows evil.example\r\n")
    terminal.expect("after\r\n")
    terminal.type(CTRL_BACKSLASH)
    assert started.wait().code == 131


# given back


def end_by_itself(started: Started) -> None:
    (started.place.work / "go").touch()


def end_by_term(started: Started) -> None:
    started.send(signal.SIGTERM)


def end_of_the_sandbox(started: Started) -> None:
    os.kill(find_launcher(started.pid), signal.SIGKILL)


def end_of_the_evidence(started: Started) -> None:
    """The recorder fails, and that cancels everything."""
    (started.evidence / "evidence.jsonl").rename(started.evidence / "elsewhere")
    (started.place.work / "ask").touch()


@pytest.mark.parametrize(
    ("end", "codes"),
    [
        (end_by_itself, {3}),
        (end_by_term, {143}),
        (end_of_the_sandbox, {137, 125}),  # 125: before PID 1 could say that the agent has started
        (end_of_the_evidence, {122}),
    ],
)
def test_it_is_raw_while_the_agent_has_it_and_as_it_was_afterwards(
    place: Place, terminal: Terminal, end: Callable[[Started], None], codes: set[int]
) -> None:
    before = terminal.settings
    script = (
        "echo ready; until [ -e go ]; do [ ! -e ask ] || getent ahosts evil.example; sleep 0.02; done; exit 3"
    )
    started = terminal.start(place, "sh", "-c", script)
    terminal.expect("ready")
    wait_until(lambda: terminal.is_raw, "raw")
    end(started)
    assert started.wait().code in codes
    assert terminal.settings == before


def test_a_time_out_gives_it_back_too(place: Place, terminal: Terminal) -> None:
    before = terminal.settings
    started = terminal.start(place, "sleep", "600", options=("--timeout", "5"))
    wait_until(lambda: terminal.is_raw, "raw")
    assert started.wait().code == 124
    assert terminal.settings == before


def test_what_a_killed_supervisor_leaves_is_mended_by_the_shell(place: Place, terminal: Terminal) -> None:
    with outer_shell(place, terminal):
        script = f"echo ready; sleep {ours('602')}"
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", script]
        terminal.type("stty -g >before\n")
        terminal.expect("outside> ")
        terminal.type(f"{shlex.join(command)}\n")
        terminal.expect("ready\r\n")
        wait_until(lambda: terminal.is_raw, "raw")
        os.kill(find_supervisor(place), signal.SIGKILL)
        terminal.expect("Killed")
        terminal.expect("outside> ")
        terminal.type("stty -g | cmp - before && echo the same\n")
        terminal.expect("the same\r\n")
        wait_until(lambda: not find_processes(ours("602")), "the agent's end")


# jobs of the caller's shell


def test_while_it_is_stopped_the_shell_has_the_terminal_as_it_was(place: Place, terminal: Terminal) -> None:
    with outer_shell(place, terminal):
        script = "stty -icanon; trap 'stty -a | grep -o -- -icanon' CONT; echo ready; read line; exit 4"
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", script]
        terminal.type("stty -g >before\n")
        terminal.expect("outside> ")
        terminal.type(f"{shlex.join(command)}\n")
        terminal.expect("ready\r\n")
        terminal.type(CTRL_Z)
        terminal.expect("Stopped")
        terminal.expect("outside> ")
        terminal.type("stty -g | cmp - before && echo the same\n")
        terminal.expect("the same\r\n")
        terminal.type("fg\n")
        terminal.expect("-icanon\r\n")  # and the agent finds its own as it had set it
        terminal.type("\n")
        terminal.expect("outside> ")
        terminal.type("echo code $?\n")
        terminal.expect("code 4")


def test_ctrl_z_without_a_shell_to_go_back_to_is_none(place: Place, terminal: Terminal) -> None:
    """The kernel ignores it in an orphaned group, for nobody could ever continue what it stopped."""
    started = terminal.start(
        place, "bash", "-c", "trap 'echo on' CONT; echo ready; read line; echo got $line"
    )
    terminal.expect("ready\r\n")
    terminal.type(CTRL_Z)
    terminal.expect("on\r\n")
    terminal.type("words\n")
    terminal.expect("got words\r\n")
    assert started.wait().code == 0


def test_a_background_job_that_wants_to_read_stops_until_it_is_in_front(
    place: Place, terminal: Terminal
) -> None:
    with outer_shell(place, terminal):
        script = "echo asks; read line; echo got $line"
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", script]
        terminal.type(f"{shlex.join(command)} &\n")
        terminal.expect("asks\r\n")
        wait_until(lambda: "\nState:\tT" in read_status(find_supervisor(place)), "the stop")
        # the shell hears of it later
        terminal.type("until jobs | grep -q Stop[p]ed; do sleep 0.1; done; jobs\n")
        terminal.expect("Stopped")
        terminal.type("fg\n")
        terminal.expect("read line")
        terminal.type("words\n")
        terminal.expect("words\r\ngot words\r\n")
        terminal.expect("outside> ")
        terminal.type("echo code $?\n")
        terminal.expect("code 0")


def find_supervisor(place: Place) -> int:
    """That of the only run in this place. What it has forked has its arguments too."""
    found = find_processes(str(place.path / "evidence-0"))
    (supervisor,) = set(found) - {child for pid in found for child in find_children(pid)}
    return supervisor


def read_status(process: int) -> str:
    return Path(f"/proc/{process}/status").read_text()


# pipelines of the caller's shell


def test_in_a_pipeline_the_agent_may_still_ask(place: Place, terminal: Terminal) -> None:
    with outer_shell(place, terminal):
        script = "echo out; echo asks >&2; read line; echo got $line"
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", script]
        terminal.type(f"{shlex.join(command)} | tee log\n")
        terminal.expect("asks\r\n")
        terminal.type("words\n")
        terminal.expect("got words\r\n")
        terminal.expect("outside> ")
        terminal.type("stty size; cat log\n")
        terminal.expect(f"{ROWS} {COLUMNS}\r\nout\r\ngot words\r\n")


def test_in_a_pipeline_the_keys_are_the_pagers(place: Place, terminal: Terminal) -> None:
    with outer_shell(place, terminal):
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", "seq 300; echo done >&2"]
        terminal.type(f"{shlex.join(command)} | less\n")
        terminal.expect("done")
        terminal.expect(":")
        terminal.type("G")
        terminal.expect("300")
        terminal.type("q")
        terminal.expect("outside> ")


def test_in_a_pipeline_the_first_program_has_the_keys(place: Place, terminal: Terminal) -> None:
    with outer_shell(place, terminal):
        command = [*place.program("run", 0), "--quiet", "--", "sed", "-u", "s/^/got /"]
        terminal.type(f"cat | {shlex.join(command)}\n")
        for word in ("one", "two"):
            terminal.type(f"{word}\n")
            terminal.expect(f"got {word}\r\n")
        terminal.type(CTRL_D)
        terminal.expect("outside> ")


def test_ctrl_c_ends_a_whole_pipeline(place: Place, terminal: Terminal) -> None:
    with outer_shell(place, terminal):
        script = f"echo ready; exec sleep {ours('603')}"
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", script]
        terminal.type(f"{shlex.join(command)} | cat\n")
        terminal.expect("ready\r\n")
        terminal.type(CTRL_C)
        terminal.expect("outside> ")
        terminal.type("echo codes ${PIPESTATUS[*]}\n")
        terminal.expect("codes 130 130\r\n")
    assert not find_processes(ours("603"))


def test_ctrl_z_stops_a_whole_pipeline_and_fg_continues_it(place: Place, terminal: Terminal) -> None:
    with outer_shell(place, terminal):
        script = (
            "trap 'echo going on >&2' CONT; echo ready >&2; until [ -e go ]; do sleep 0.02; done; echo gone"
        )
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", script]
        terminal.type(f"{shlex.join(command)} | cat\n")
        terminal.expect("ready\r\n")
        for _ in range(2):
            terminal.type(CTRL_Z)
            terminal.expect("Stopped")
            terminal.expect("outside> ")
            terminal.type("fg\n")
            terminal.expect("going on\r\n")
        (place.work / "go").touch()
        terminal.expect("gone\r\n")
        terminal.expect("outside> ")
    assert verify(place.path / "evidence-0", place.key.public_hex) == 0


def test_a_supervisor_stopped_and_continued_from_outside_has_the_terminal_again(
    place: Place, terminal: Terminal
) -> None:
    with outer_shell(place, terminal):
        script = "echo ready; read line; echo got $line"
        command = [*place.program("run", 0), "--quiet", "--", "bash", "-c", script]
        terminal.type(f"{shlex.join(command)}\n")
        terminal.expect("ready\r\n")
        wait_until(lambda: terminal.is_raw, "raw")
        os.kill(find_supervisor(place), signal.SIGSTOP)
        terminal.expect("Stopped")
        terminal.expect("outside> ")
        terminal.type("fg\n")
        wait_until(lambda: terminal.is_raw, "raw again")
        terminal.type("words\n")
        terminal.expect("words\r\ngot words\r\n")
        terminal.expect("outside> ")


# what an agent could want of it

SPOIL = "stty -echo -icanon -isig min 0; echo spoilt"


def test_what_the_agent_sets_is_its_own(place: Place, terminal: Terminal) -> None:
    before = terminal.settings
    started = terminal.start(place, "sh", "-c", f"{SPOIL}; kill -9 $$")
    terminal.expect("spoilt")
    assert started.wait().code == 137
    assert terminal.settings == before


def test_the_same_without_a_run_spoils_the_terminal(terminal: Terminal) -> None:
    before = terminal.settings
    with subprocess.Popen(["sh", "-c", f"{SPOIL}; kill -9 $$"], **terminal.streams):
        terminal.expect("spoilt")
    assert terminal.settings != before


# the line of status

WATCHED: dict[str, Any] = {"environment": {"TERM": "xterm", "NO_COLOR": "1", "CI": ""}}
STATUS = "trio-egress: 0 allowed, {} denied, last {}\x1b[K\r"


def test_a_line_of_status_stands_below_whole_lines_and_is_gone_when_it_is_in_the_way(
    place: Place, terminal: Terminal
) -> None:
    script = (
        "try() { curl -so /dev/null http://192.0.2.$1; }; try 1; read x; echo plain; read x; printf 'Name? '; read x;"
        "try 2; read x; printf '\\033[2J'; try 3; echo; echo drawn;"
        "printf '\\033[?1049h'; try 4; printf '\\033[?1049l'; echo back"
    )
    started = terminal.start(place, "sh", "-c", script, **WATCHED)
    terminal.expect("denied GET http://192.0.2.1:80/")
    terminal.expect(STATUS.format(1, "192.0.2.1:80"))
    terminal.type("\n")
    terminal.expect("\x1b[K\r\n")  # the key, shown by the agent's terminal
    terminal.expect("plain\r\n")
    terminal.expect(STATUS.format(1, "192.0.2.1:80"))
    terminal.type("\n")
    terminal.expect("Name? ")
    terminal.type("me\n")
    terminal.expect("me\r\n")  # with nothing between the question and its answer
    terminal.expect(STATUS.format(2, "192.0.2.2:80"))
    terminal.type("\n")
    terminal.expect("\x1b[2J")
    drew = len(terminal.seen)
    terminal.expect("drawn\r\n")
    terminal.expect("check it with")
    ended = started.wait()
    assert terminal.seen.index("back\r\n", drew) < terminal.seen.index("denied GET http://192.0.2.4", drew)
    assert "allowed, 3 denied, last" not in terminal.seen[drew:]
    assert "Name? me\r\n" in terminal.seen
    assert (ended.code, ended.verify()) == (0, 0)


def test_there_is_none_where_standard_error_is_no_terminal(place: Place, terminal: Terminal) -> None:
    script = "curl -so /dev/null http://192.0.2.1; read x; echo after"
    with place.path.joinpath("err").open("w") as err:
        started = terminal.start(place, "sh", "-c", script, stderr=err, **WATCHED)
    wait_until(lambda: "denied GET http://192.0.2.1:80/" in (place.path / "err").read_text(), "the denial")
    terminal.type("\n")
    terminal.expect("after\r\n")
    assert started.wait().code == 0
    assert "allowed" not in terminal.seen
