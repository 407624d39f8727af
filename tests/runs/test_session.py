"""`trio_egress.open_sandbox` and `Sandbox`: many commands in one sandbox, each ended with all that it has started."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.runs.launch import (
    PATIENCE_SECONDS,
    Place,
    find_processes,
    ours,
    read_lines,
    read_receipts,
    verify,
    wait_until,
    write_policy,
)

import trio_egress as te

pytestmark = pytest.mark.sandbox

ASKS = "import urllib.request as u\ntry: u.urlopen('http://denied.example.com/')\nexcept OSError: pass"

PACKETS = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(7):
    try: sock.sendto(b"x", ("203.0.113.9", 9))
    except PermissionError: pass
"""

DAEMON = """
import os, pathlib, signal, sys, time
if os.fork(): os._exit(0)
os.setsid()
middle = os.getpid()
if os.fork(): os._exit(0)
while os.getppid() == middle: time.sleep(0.001)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(1000)
"""


SOCKETS = """
import os, socket, stat
found = []
for name in os.listdir("/proc/self/fd"):
    try: mode = os.fstat(int(name)).st_mode
    except OSError: continue
    if stat.S_ISSOCK(mode): found.append(name)
print(len(found), os.listdir("/proc/1"))
"""


def make_policy(place: Place) -> Path:
    return place.write("egress.toml", write_policy("api.example.com"))


def find_options(place: Place) -> dict[str, Any]:
    return {"workspace": place.work, "evidence": place.path / "evidence", "key": place.key_file}


def make_sandbox(place: Place, **more: Any) -> te.Sandbox:
    return te.Sandbox(make_policy(place), **{**find_options(place), **more})


def is_whole(place: Place) -> bool:
    return verify(place.path / "evidence", place.key.public_hex) == 0


def list_commands(place: Place) -> list[dict[str, Any]]:
    """The facts of the receipts of commands."""
    return [dict(r.facts) for r in read_receipts(place.path / "evidence") if r.transport == "command"]


def test_what_comes_of_a_command_is_a_value(place: Place) -> None:
    (place.work / "sub").mkdir()
    os.chmod(place.work / "sub", 0o777)
    with make_sandbox(place) as sandbox:
        done = sandbox.run(["sh", "-c", "cat; echo err >&2; exit 3"], input=b"given")
        assert (done.returncode, done.stdout, done.stderr) == (3, b"given", b"err\n")
        done = sandbox.run(["sh", "-c", "pwd; echo $MORE"], directory="sub", environment={"MORE": "yes"})
        assert done.stdout.split() == [os.fsencode(place.work / "sub"), b"yes"]
        done = sandbox.run(["sh", "-c", "yes | head -c 1000000"], max_output=10)
        assert (done.stdout, done.truncated) == (b"y\ny\ny\ny\ny\n", True)
        done = sandbox.run(["sh", "-c", "kill -KILL $$"])
        assert done.returncode == -signal.SIGKILL
        done = sandbox.run(["there-is-no-such-program"])
        assert (done.returncode, done.message) == (None, "there-is-no-such-program: not found in PATH")
        done = sandbox.run(
            ["sh", "-c", f"echo begun; setsid sleep {ours('1017')} & sleep {ours('1017')}"], timeout=3
        )
        assert (done.timed_out, done.stdout, done.returncode) == (True, b"begun\n", -signal.SIGTERM)
        assert find_processes(ours("1017")) == [], "not even what had left its session"
        done = sandbox.run(["python3", "-c", ASKS])
        assert (done.returncode, {each.host for each in done.denied}) == (0, {"denied.example.com"})
        assert sandbox.run(["true"]).denied == ()
        done = sandbox.run(["python3", "-c", PACKETS])
        assert (done.denied_count, {each.port for each in done.denied}) == (7, {9}), "its repeats, too"
        with pytest.raises(te.CommandDeniedError, match="no rule allows denied"):
            sandbox.run(["python3", "-c", ASKS], check_denied=True)
        with pytest.raises(te.SandboxError, match="before the sandbox is closed"):
            _ = sandbox.packet
    assert sandbox.verdict is te.Verdict.VALID
    assert is_whole(place)
    told = list_commands(place)
    assert [each["command_number"] for each in told] == list(range(1, 11))
    assert [each["program"] for each in told[-4:]] == ["python3", "true", "python3", "python3"]
    assert [each.get("agent_exit_code") for each in told[:5]] == [3, 0, 0, -9, None]
    assert told[5]["timed_out"] is True
    closed = read_lines(place.path / "evidence")[-1]["ext"]["trio_egress"]
    assert (closed["commands"], closed.get("agent_exit_code")) == (10, None)
    packet = json.loads((place.path / "evidence" / "packet.json").read_text())
    assert "agent_exit_code" not in packet["run"], "it had no one agent"
    assert "10 commands in one sandbox" in (place.path / "evidence" / "summary.md").read_text()
    assert te.verify(place.path / "evidence", keys=[place.key.public_hex]).commands == 10
    with pytest.raises(te.SandboxError, match="closed"):
        sandbox.run(["true"])


def test_commands_live_side_by_side_and_end_with_all_that_they_have_started(place: Place) -> None:
    work = place.work
    with make_sandbox(place) as sandbox:
        with sandbox.spawn(["cat"], stdin=te.PIPE, stdout=te.PIPE) as stays:
            with sandbox.spawn(["sh", "-c", f"python3 -c '{DAEMON}' a.begun {ours('daemon-a')}; sleep 1000"]):
                with sandbox.spawn(
                    ["sh", "-c", f"python3 -c '{DAEMON}' b.begun {ours('daemon-b')}; sleep 1000"]
                ):
                    for name in ("a.begun", "b.begun"):
                        wait_until((work / name).exists, name)
                    assert len(find_processes(ours("daemon-a"))) == 1
                assert find_processes(ours("daemon-b")) == [], "killed, and waited for"
                assert len(find_processes(ours("daemon-a"))) == 1
                sandbox.run(["sh", "-c", "kill -KILL -1"])
                seen = sandbox.run(["ps", "ax", "-o", "args="])
                assert seen.stdout.split() == [b"ps", b"ax", b"-o", b"args="], "itself is all that it sees"
                assert len(find_processes(ours("daemon-a"))) == 1, "and all that it can kill"
            assert find_processes(ours("daemon-a")) == []
            assert stays.stdin is not None
            assert stays.stdout is not None
            stays.stdin.write(b"still here")
            assert stays.stdout.read(10) == b"still here"
            stays.terminate()
            assert stays.wait().returncode == -signal.SIGTERM
        assert sandbox.run(["python3", "-c", SOCKETS]).stdout == b"0 []\n", "of the session it has nothing"
        assert sandbox.run(["python3", "-c", DAEMON, "left.begun", ours("daemon-c")]).returncode == 0
        assert find_processes(ours("daemon-c")) == [], "a command's end is the end of all that it has started"
    assert is_whole(place)


def test_without_a_namespace_of_its_own_such_a_daemon_lives_on(tmp_path: Path) -> None:
    """The control."""
    process = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(tmp_path / "begun"), ours("daemon-d")], start_new_session=True
    )
    process.wait()
    wait_until((tmp_path / "begun").exists, "it lives")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    (left,) = find_processes(ours("daemon-d"))
    os.kill(left, signal.SIGKILL)


def test_a_socket_that_is_left_open_is_there_for_who_has_none_closed() -> None:
    """The control of what a command has of the session's sockets: nothing."""
    one, other = socket.socketpair()
    with one, other:
        control = subprocess.run(
            [sys.executable, "-c", SOCKETS], pass_fds=(other.fileno(),), capture_output=True, check=False
        )
    assert control.stdout.split()[0] == b"1"


def test_files_are_read_and_written_in_the_sandboxs_view_and_nowhere_else(place: Place) -> None:
    secret = place.write("secret", "outside")
    os.chmod(secret, 0o644)
    hostile = f"""
    ln -s {secret} link; ln -s {place.path} up; mkfifo fifo; mkdir folder; ln secret-not hard 2>/dev/null
    ln -s /proc/self/environ magic; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
    echo mine >own; echo inside >/tmp/private
    """
    with make_sandbox(place) as sandbox:
        sandbox.write_file("a.txt", b"\0data")
        assert sandbox.read_file("a.txt") == b"\0data"
        assert sandbox.run(["cat", "a.txt"]).stdout == b"\0data"
        assert (place.work / "a.txt").read_bytes() == b"\0data"
        assert sandbox.run(["sh", "-c", hostile]).returncode == 0
        assert sandbox.read_file("/tmp/private") == b"inside\n", "its own /tmp, not the machine's"
        refused = [
            "link",
            "up/secret",
            "fifo",
            "folder",
            "magic",
            "sock",
            "../secret",
            "/dev/null",
            "nothing",
        ]
        for path in [*refused, ".", "/", "folder/../own", "/proc/self/environ"]:
            with pytest.raises(OSError, match="Errno"):
                sandbox.read_file(path)
        for path in ["link", "up/new", "fifo", "folder", "sock", "../new", "/dev/null", "no/such/folder"]:
            with pytest.raises(OSError, match="Errno"):
                sandbox.write_file(path, b"data")
        with pytest.raises(te.UsageError):
            sandbox.read_file("a\0b")
        with pytest.raises(OSError, match="more than 3 bytes"):
            sandbox.read_file("own", max_bytes=3)
        sandbox.write_file("own", b"all new")
        assert sandbox.run(["cat", "own"]).stdout == b"all new"
        listed = sandbox.run(["ls", "-A"]).stdout
        assert b".trio-egress" not in listed, "nothing half-written is left"
    assert secret.read_text() == "outside"
    assert not (place.path / "new").exists()
    assert is_whole(place)


def test_the_way_through_a_link_is_there_for_who_does_not_refuse_it(tmp_path: Path) -> None:
    """The control."""
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "link").symlink_to(tmp_path / "secret")
    assert (tmp_path / "work" / "link").read_text() == "outside"


async def use_in_trio(sandbox: te.TrioSandbox, place: Place) -> te.Event:
    """Every call once; the first event."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel() -> None:
                begun = place.work / "t.begun"
                await trio.to_thread.run_sync(wait_until, begun.exists, "the daemon lives")
                scope.cancel()

            nursery.start_soon(cancel)
            await sandbox.run(["sh", "-c", f"python3 -c '{DAEMON}' t.begun {ours('daemon-t')}; sleep 1000"])
    assert scope.cancelled_caught
    assert find_processes(ours("daemon-t")) == []
    async with sandbox.spawn(["cat"], stdin=te.PIPE, stdout=te.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdin.send_all(b"word")
        assert await process.stdout.receive_some() == b"word"
        await process.stdin.aclose()
        assert (await process.wait()).returncode == 0
    with pytest.raises(FileNotFoundError, match="there-is-no-such-program"):
        async with sandbox.spawn(["there-is-no-such-program"]):
            pass
    taken = sandbox.events()
    outputs: dict[int, bytes] = {}

    async def run(number: int) -> None:
        outputs[number] = (await sandbox.run(["sh", "-c", f"echo {number}"])).stdout

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(run, number)
    assert outputs == {number: b"%d\n" % number for number in range(3)}
    await sandbox.run(["python3", "-c", ASKS])
    first = await taken.__anext__()
    assert (first.denied, first.host) == (True, "denied.example.com")
    await sandbox.write_file("t", b"1")
    assert await sandbox.read_file("t") == b"1"
    return first


async def test_in_trio_a_cancelled_command_is_gone_before_the_cancellation_goes_on(place: Place) -> None:
    events: list[te.Event] = []
    firsts: list[te.Event] = []

    async def use() -> None:
        async with te.open_sandbox(
            make_policy(place), **find_options(place), on_event=events.append
        ) as sandbox:
            firsts.append(await use_in_trio(sandbox, place))
            raise KeyError

    with pytest.raises(KeyError):  # as itself, and in no group
        await use()
    assert events[:1] == firsts
    assert is_whole(place)


def test_in_asyncio_too(place: Place) -> None:
    async def main() -> None:
        async with make_sandbox(place) as sandbox:
            waiting = asyncio.ensure_future(
                sandbox.arun(["sh", "-c", f"python3 -c '{DAEMON}' y.begun {ours('daemon-y')}; sleep 1000"])
            )
            await asyncio.to_thread(wait_until, (place.work / "y.begun").exists, "the daemon lives")
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert find_processes(ours("daemon-y")) == []
            async with sandbox.aspawn(["cat"], stdin=te.PIPE, stdout=te.PIPE) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(b"word")
                assert await process.stdout.readexactly(4) == b"word"
                process.stdin.close()
                assert (await process.wait()).returncode == 0
            taken = sandbox.aevents()
            results = await asyncio.gather(*(sandbox.arun(["sh", "-c", f"echo {n}"]) for n in range(3)))
            assert [done.stdout for done in results] == [b"0\n", b"1\n", b"2\n"]
            await sandbox.arun(["python3", "-c", ASKS])
            assert (await taken.__anext__()).host == "denied.example.com"
            await sandbox.awrite_file("t", b"1")
            assert await sandbox.aread_file("t") == b"1"

    asyncio.run(main())
    assert is_whole(place)


def test_what_on_event_raises_ends_the_sandbox_and_is_raised_as_itself(place: Place) -> None:
    def refuse(event: te.Event) -> None:
        raise ZeroDivisionError(event.host)

    with (
        pytest.raises(ZeroDivisionError, match=r"denied\.example\.com"),
        make_sandbox(place, on_event=refuse) as sandbox,
    ):
        sandbox.run(["sh", "-c", f'python3 -c "{ASKS}"; sleep 1000'])
    assert is_whole(place), "its chain is closed all the same"


PROGRAM = """
import os, signal, sys
import trio_egress as te
place, key, policy = sys.argv[1:]
sandbox = te.Sandbox(policy, evidence=f"{place}/evidence", key=key, workspace=f"{place}/work")
"""


def start(place: Place, program: str) -> subprocess.Popen[str]:
    arguments = [str(place.path), str(place.key_file), str(make_policy(place))]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )


STAYS = f"import pathlib, time; pathlib.Path('begun').touch(); time.sleep({ours('1000')})"
ENDS: list[tuple[signal.Signals, Callable[[int], bool]]] = [
    (signal.SIGKILL, lambda code: code == -signal.SIGKILL),
    (signal.SIGINT, lambda code: code == -signal.SIGINT),
]


@pytest.mark.parametrize(("number", "is_end"), ENDS)
def test_a_program_that_ends_so_leaves_a_closed_chain_and_no_command(
    place: Place, number: signal.Signals, is_end: Callable[[int], bool]
) -> None:
    process = start(place, f"with sandbox: sandbox.run(['python3', '-c', {STAYS!r}])")
    with process:
        wait_until((place.work / "begun").exists, "the command has begun")
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert is_end(process.returncode)
    assert "ExceptionGroup" not in err
    wait_until(lambda: find_processes(STAYS) == [], "all is gone")
    wait_until((place.path / "evidence" / "manifest.json").exists, "the packet is written")
    wait_until(lambda: is_whole(place), "and whole")


def test_what_can_not_be_opened_says_why(place: Place) -> None:
    with pytest.raises(te.PolicyError):
        te.Sandbox(place.write("bad.toml", "nothing = 1")).__enter__()
    with pytest.raises(te.SandboxError, match="not open"):
        make_sandbox(place).run(["true"])
    with pytest.raises(te.SandboxError, match="for evidence"):
        make_sandbox(place, evidence="/proc/nowhere").__enter__()
