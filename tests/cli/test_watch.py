"""`trio-egress watch`: a run that goes on, as a person follows it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.evidence.specimens import KEY, SESSION, STRANGER, Scribe
from tests.runs.launch import PATIENCE_SECONDS, wait_until


class Watch:
    """One `trio-egress watch`, with what it has said so far."""

    def __init__(self, *arguments: object, cwd: Path, **more: Any) -> None:
        self.out, self.err = cwd / "watch-out", cwd / "watch-err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trio_egress", "watch", *map(str, arguments)],
                **{"cwd": cwd, "stdout": out, "stderr": err, **more},
            )

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.out.read_text() + self.err.read_text(), text)

    def wait(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)

    @property
    def lines(self) -> list[str]:
        return self.out.read_text().splitlines()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Watch]]:
    watches: list[Watch] = []
    yield watches
    for watch in watches:
        watch.process.kill()
        watch.process.wait()


@pytest.fixture
def start(tmp_path: Path, started: list[Watch]) -> Any:
    def start(*arguments: object, **more: Any) -> Watch:
        started.append(Watch(*arguments, cwd=tmp_path, **more))
        return started[-1]

    return start


def append(directory: Path, raw: bytes) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "evidence.jsonl").open("ab") as file:
        file.write(raw)


def write_run(name: str, later_ns: int = 0) -> list[bytes]:
    scribe = Scribe(attrs.evolve(SESSION, run_id=name))
    scribe.now_ns += later_ns
    return scribe.open().allow().block().close().lines


def test_a_run_is_followed_from_before_it_begins_to_its_close(tmp_path: Path, start: Any) -> None:
    watch = start("run", "--public-key", KEY.public_hex)
    watch.wait_for("run: no run yet; waiting")
    opened, intent, outcome, block, close = write_run("one")
    append(tmp_path / "run", opened + intent[:50])
    watch.wait_for("run one opened")
    append(tmp_path / "run", intent[50:])
    watch.wait_for("allowed  tls://api.example.com:443")
    append(tmp_path / "run", outcome + block)
    watch.wait_for("denied   tls://evil.example:443  a reason")
    assert watch.process.poll() is None
    append(tmp_path / "run", close)
    assert watch.wait() == 0
    assert len(watch.lines) == 4
    assert watch.lines[-1].startswith("closed: exited; 1 let out, 1 denied")


def test_of_several_runs_the_next_one_is_followed(tmp_path: Path, start: Any) -> None:
    append(tmp_path / "audit" / "z", b"".join(write_run("old")))
    watch = start("audit")
    watch.wait_for("the newest run, z, has ended; waiting for the next")
    append(tmp_path / "audit" / "a", b"".join(write_run("second", 10**9)[:2]))
    watch.wait_for("run second opened")
    append(tmp_path / "audit" / "b", b"".join(write_run("third", 2 * 10**9)))
    assert watch.wait() == 0
    assert "a newer run has begun: audit/b" in watch.err.read_text()
    assert not any("run old" in line for line in watch.lines)


def test_a_run_that_is_over_between_two_looks_is_followed_too(tmp_path: Path, start: Any) -> None:
    append(tmp_path / "audit" / "z", b"".join(write_run("old")))
    watch = start("audit")
    watch.wait_for("waiting for the next")
    (tmp_path / "aside").mkdir()
    append(tmp_path / "aside" / "a", b"".join(write_run("short", 10**9)))
    (tmp_path / "aside" / "a").rename(tmp_path / "audit" / "a")
    assert watch.wait() == 0
    assert watch.lines[0].startswith("run short opened")


def test_for_programs_each_line_is_an_object(tmp_path: Path, start: Any) -> None:
    append(tmp_path / "run", b"".join(write_run("one")))
    watch = start("run", "--json")
    assert watch.wait() == 0
    events = [json.loads(line)["event"] for line in watch.lines]
    assert events == ["open", "attempt", "outcome", "attempt", "close"]


def test_what_does_not_verify_is_said_and_ends_with_1(tmp_path: Path, start: Any) -> None:
    lines = write_run("one")
    append(tmp_path / "run", b"".join([*lines[:3], b"\x1b[31m nothing\n", *lines[3:]]))
    watch = start("run")
    assert watch.wait() == 1
    assert any(line.startswith("does not verify: [line.form]") for line in watch.lines)
    assert "THE PACKET DOES NOT VERIFY" in watch.err.read_text()
    assert "\x1b" not in watch.out.read_text() + watch.err.read_text()
    assert start("run", "--public-key", STRANGER.public_hex).wait() == 1


def test_evidence_that_is_taken_away_ends_with_2(tmp_path: Path, start: Any) -> None:
    append(tmp_path / "run", b"".join(write_run("one")[:3]))
    watch = start("run")
    watch.wait_for("api.example.com")
    os.truncate(tmp_path / "run" / "evidence.jsonl", 10)
    assert watch.wait() == 2
    assert "got shorter" in watch.err.read_text()
    assert start("run", "--public-key", "nowhere").wait() == 2


@pytest.mark.ordinary  # root may look everywhere
def test_where_nobody_may_look_ends_with_2(tmp_path: Path, start: Any) -> None:
    append(tmp_path / "run", b"".join(write_run("one")))
    (tmp_path / "run").chmod(0)
    watch = start("run")
    assert watch.wait() == 2
    assert "cannot read run: Permission denied" in watch.err.read_text()
    (tmp_path / "run").chmod(0o700)


def test_an_interrupt_ends_it_quietly(tmp_path: Path, start: Any) -> None:
    # Whoever runs the tests in the background may have it ignored.
    watch = start("run", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    watch.wait_for("waiting")
    watch.process.send_signal(signal.SIGINT)
    assert watch.wait() == 130
    assert "Traceback" not in watch.err.read_text()


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(
    tmp_path: Path, start: Any, environment: dict[str, str], coloured: bool
) -> None:
    append(tmp_path / "run", b"".join(write_run("one")))
    master, slave = pty.openpty()
    known = {name: value for name, value in os.environ.items() if name not in ("TERM", "NO_COLOR")}
    watch = start("run", stdout=slave, env={**known, **environment})
    os.close(slave)
    shown = b""
    while b"closed: " not in shown:
        shown += os.read(master, 4096)
    os.close(master)
    assert (b"\x1b[31mdenied " in shown) is coloured
    assert (b"\x1b" in shown) is coloured
    watch.process.kill()
