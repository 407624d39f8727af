"""`trio_egress.run`: a run as a value, in whatever program it is asked for."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.runs.launch import PATIENCE_SECONDS, Place, find_processes, ours, verify, wait_until, write_policy

import trio_egress as te

pytestmark = pytest.mark.sandbox

ASKS = "import urllib.request as u\ntry: u.urlopen('http://denied.example.com/')\nexcept OSError: pass"
WAITS = f"import pathlib, time; pathlib.Path('begun').touch(); time.sleep({ours('1000')})"


def make_policy(place: Place, name: str = "evidence") -> Path:
    """A file for each run: one that is written anew while another run reads it is half a policy."""
    return place.write(f"{name}.toml", write_policy("api.example.com"))


def run(place: Place, *command: str, name: str = "evidence", **more: Any) -> te.Run:
    given = {"max_output": 1 << 20, "timeout": PATIENCE_SECONDS, "directory": place.work, **more}
    return te.run(
        command, policy=make_policy(place, name), evidence=place.path / name, key=place.key_file, **given
    )


def is_whole(place: Place, name: str = "evidence") -> bool:
    return verify(place.path / name, place.key.public_hex) == 0


def test_what_came_of_it_is_a_value(place: Place) -> None:
    done = run(place, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.end, done.timed_out) == (3, "agent_exited", False)
    assert (done.stdout, done.stderr, done.truncated) == (b"out\n", b"err\n", False)
    assert (done.verdict, done.denied, done.denied_count) == (te.Verdict.VALID, (), 0)
    assert (
        te.verify(done.packet.path, keys=[place.key.public_hex], expect_head=done.packet.head).exit_code == 0
    )
    assert done.packet.path == place.path / "evidence"


def test_a_denied_connection_is_data_and_an_error_on_demand(place: Place) -> None:
    done = run(place, "python3", "-c", ASKS)
    assert (done.returncode, done.denied_count > 0) == (0, True)
    denied = done.denied[0]
    assert (denied.host, denied.layer, denied.reason) == (
        "denied.example.com",
        "default_deny",
        "no rule allows denied.example.com",
    )
    with pytest.raises(te.DeniedError, match="no rule allows denied") as caught:
        run(place, "python3", "-c", ASKS, name="again", check_denied=True)
    assert caught.value.run.returncode == 0
    assert is_whole(place, "again")


def test_a_time_out_is_data_and_leaves_nothing(place: Place) -> None:
    done = run(place, "sh", "-c", f"echo begun; sleep {ours('1017')} & sleep {ours('1017')}", timeout=3)
    assert (done.timed_out, done.stdout) == (True, b"begun\n")
    assert done.returncode not in (0, None)
    assert is_whole(place)
    assert find_processes(ours("1017")) == []


def test_a_signal_and_a_missing_command_are_told_as_subprocess_does(place: Place) -> None:
    assert run(place, "sh", "-c", "kill -KILL $$").returncode == -signal.SIGKILL
    absent = run(place, "there-is-no-such-program", name="absent")
    assert (absent.returncode, absent.end) == (None, "agent_not_started")
    assert "there-is-no-such-program" in absent.message


def test_no_more_output_is_kept_than_was_asked_for(place: Place) -> None:
    done = run(place, "sh", "-c", "head -c 3000000 /dev/zero; echo error >&2; echo end", max_output=1000)
    assert (done.returncode, done.stdout, done.stderr, done.truncated) == (0, bytes(1000), b"error\n", True)
    exact = run(place, "printf", "abc", max_output=3, name="exact")
    assert (exact.stdout, exact.truncated) == (b"abc", False)


def test_what_cannot_be_meant_creates_nothing(place: Place) -> None:
    asked: list[tuple[Any, dict[str, Any]]] = [("ls -l", {}), ([], {}), (["ls"], {"timeout": 0})]
    for command, more in [*asked, (["ls"], {"max_output": -1}), (["ls"], {"timeout": "5"})]:
        with pytest.raises(te.UsageError):
            te.run(command, policy=make_policy(place), evidence=place.path / "evidence", **more)
    place.write("bad.toml", "version = 1")
    with pytest.raises(te.PolicyError):
        te.run(["ls"], policy=place.path / "bad.toml", evidence=place.path / "evidence")
    with pytest.raises(te.SandboxError, match="key"):
        te.run(["ls"], policy=make_policy(place), evidence=place.path / "evidence", key=place.path / "none")
    assert not (place.path / "evidence").exists()


def test_nothing_of_the_working_directory_is_imported(place: Place) -> None:
    for name in ("trio_egress", "yaml", "attrs"):
        (place.work / f"{name}.py").write_text("raise SystemExit('imported what the agent had written')")
    done = run(place, "true")
    assert (done.returncode, done.stderr) == (0, b"")


def test_many_live_side_by_side_in_threads(place: Place) -> None:
    with ThreadPoolExecutor(3) as pool:
        started = [
            pool.submit(run, place, "sh", "-c", f"echo {name}", name=name) for name in ("one", "two", "three")
        ]
        assert [done.result().stdout for done in started] == [b"one\n", b"two\n", b"three\n"]
    assert all(is_whole(place, name) for name in ("one", "two", "three"))


async def test_trio_around_it_is_no_matter(place: Place) -> None:
    assert run(place, "true").returncode == 0


def test_a_loop_of_asyncio_around_it_is_no_matter(place: Place) -> None:
    async def cell() -> te.Run:  # as in a notebook
        return run(place, "true")

    assert asyncio.run(cell()).returncode == 0


PROGRAM = """
import os, signal, sys
import trio_egress as te
place, key, policy = sys.argv[1:]
def run(*command, name="evidence", **more):
    return te.run(command, policy=policy, evidence=f"{place}/{name}", key=key, directory=f"{place}/work", **more)
"""


def start(place: Place, program: str, **more: Any) -> subprocess.Popen[str]:
    """A program of somebody else's."""
    text = PROGRAM + textwrap.dedent(program)
    arguments = [str(place.path), str(place.key_file), str(make_policy(place))]
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        **more,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    with process:
        try:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    return process.returncode, out, err


def test_its_streams_are_the_programs_own_where_none_is_kept(place: Place) -> None:
    process = start(place, "print(run('cat').stdout)", stdin=subprocess.PIPE)
    with process:
        out, _ = process.communicate("said\n", timeout=PATIENCE_SECONDS)
    assert out == "said\nb''\n"


def test_a_forked_server_and_one_that_ignores_its_children_run_too(place: Place) -> None:
    program = """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print(run("sh", "-c", "exit 3", max_output=0).returncode, flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if os.fork() == 0:
        print(run("sh", "-c", "exit 4", name="forked", max_output=0).returncode, flush=True)
        os._exit(0)
    os.wait()
    """
    assert finish(start(place, program)) == (0, "3\n4\n", "")


def test_a_blocked_signal_is_not_inherited(place: Place) -> None:
    program = """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    print(run("sh", "-c", "kill -TERM $$", max_output=0).returncode)
    """
    assert finish(start(place, program)) == (0, "-15\n", "")


def begin(place: Place, program: str) -> subprocess.Popen[str]:
    """Until its agent lives."""
    process = start(place, program)
    wait_until((place.work / "begun").exists, "the agent has begun")
    return process


@pytest.mark.parametrize("kept", ["None", "1000"])
def test_an_interrupt_ends_it_in_good_order(place: Place, kept: str) -> None:
    process = begin(place, f"run('python3', '-c', {WAITS!r}, max_output={kept})")
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == -signal.SIGINT
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert "ExceptionGroup" not in err
    assert is_whole(place), "it was closed before the program went on"
    assert find_processes(WAITS) == []


STUBBORN = "import pathlib, signal; signal.signal(15, lambda *_: pathlib.Path('told').touch());" + WAITS


def test_a_second_interrupt_waits_for_nothing(place: Place) -> None:
    process = begin(place, f"run('python3', '-c', {STUBBORN!r}, max_output=0)")
    process.send_signal(signal.SIGINT)
    wait_until((place.work / "told").exists, "the agent was told to end, and doesn't")
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert (code, err.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt")
    wait_until(lambda: find_processes(STUBBORN) == [], "all is killed")
    assert verify(place.path / "evidence", place.key.public_hex) in (
        0,
        3,
    )  # 0: a machine too slow for the second


def test_an_exception_out_of_a_signal_handler_does_so_too(place: Place) -> None:
    program = f"""
    def hurry(*_): raise RuntimeError("enough")
    signal.signal(signal.SIGALRM, hurry)
    try: run("python3", "-c", {WAITS!r}, max_output=0)
    except RuntimeError as error: print(error)
    """
    process = begin(place, program)
    process.send_signal(signal.SIGALRM)
    assert finish(process) == (0, "enough\n", "")
    assert is_whole(place)


def test_a_program_that_is_killed_leaves_a_closed_chain_and_no_agent(place: Place) -> None:
    process = begin(place, f"run('python3', '-c', {WAITS!r}, max_output=0)")
    process.kill()
    finish(process)
    wait_until(lambda: find_processes(WAITS) == [], "agent and supervisor have ended")
    assert is_whole(place), "and the chain was closed"


def test_the_thread_that_waits_is_no_matter(place: Place) -> None:
    done: list[te.Run] = []
    thread = threading.Thread(target=lambda: done.append(run(place, "true")), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert [each.returncode for each in done] == [0]
    assert os.geteuid() == os.getuid()
