"""The programs that open sandboxes: a notebook's loop, threads, several at once, forks, and ends from outside."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.runs.launch import PATIENCE_SECONDS, Place, find_processes, ours, verify, wait_until, write_policy

import trio_egress as te

pytestmark = pytest.mark.sandbox

SERVE = """
import pathlib, socket
server = socket.create_server(("127.0.0.1", 7000))
pathlib.Path("serves").touch()
while True: server.accept()[0].sendall(b"here")
"""
MEET = "import socket; print(socket.create_connection(('127.0.0.1', 7000)).recv(4))"
STAYS = f"""
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork(): time.sleep(1000)
os.setsid()
pathlib.Path("{{0}}.begun").touch()
time.sleep({ours("1000")})
"""


def find_options(place: Place, name: str) -> dict[str, Any]:
    policy = place.write(f"{name}.toml", write_policy("api.example.com"))
    return {
        "policy": policy,
        "workspace": place.work,
        "evidence": place.path / name,
        "key": place.key_file,
    }


def is_whole(place: Place, name: str) -> bool:
    return verify(place.path / name, place.key.public_hex) == 0


def test_two_in_one_program_in_a_notebooks_loop_have_a_network_each(place: Place) -> None:
    outputs: dict[str, bytes] = {}

    async def cell() -> None:
        """Plain calls where a loop runs already, as in a notebook, and in a thread beside it."""
        with (
            te.Sandbox(**find_options(place, "one")) as one,
            te.Sandbox(**find_options(place, "two")) as two,
            one.spawn(["python3", "-c", SERVE]),
        ):
            wait_until((place.work / "serves").exists, "a command serves")
            outputs["same"] = one.run(["python3", "-c", MEET]).stdout
            thread = threading.Thread(
                target=lambda: outputs.update(other=two.run(["python3", "-c", MEET]).stderr)
            )
            thread.start()
            thread.join(PATIENCE_SECONDS)

    asyncio.run(cell())
    assert outputs["same"] == b"b'here'\n"
    assert b"ConnectionRefusedError" in outputs["other"]
    assert is_whole(place, "one")
    assert is_whole(place, "two")


FORKS = """
import os, sys, traceback
import trio_egress as te
place, key, policy = sys.argv[1:]

def make(name):
    return te.Sandbox(policy, evidence=f"{place}/{name}", key=key, workspace=f"{place}/work")

def fork(child):
    pid = os.fork()
    if pid == 0:
        try:
            child()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def use_its_own():
    with make("child") as own:
        assert own.run(["sh", "-c", "exit 5"]).returncode == 5

def use_the_parents():
    run, read = lambda: sandbox.run(["true"]), lambda: sandbox.read_file("a")
    for use in (run, read, sandbox.events, lives.terminate, lives.wait):
        try:
            use()
        except te.SandboxError as error:
            assert "not to one that it has forked" in str(error), error
        else:
            raise AssertionError
    lives.kill()
    sandbox.__exit__(None, None, None)

with make("parent") as sandbox, sandbox.spawn(["cat"], stdin=te.PIPE, stdout=te.PIPE) as lives:
    print(fork(use_the_parents), fork(use_its_own), sandbox.run(["sh", "-c", "exit 6"]).returncode)
    lives.stdin.write(b"still")
    print(lives.stdout.read(5))
print(sandbox.verdict.value)
"""


def test_forked_child_has_no_use_of_its_parents_and_may_open_its_own(place: Place) -> None:
    policy = place.write("egress.toml", write_policy("api.example.com"))
    arguments = [str(place.path), str(place.key_file), str(policy)]
    ran = subprocess.run(
        [sys.executable, "-c", FORKS, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("0 0 6\nb'still'\nvalid\n", "")
    assert is_whole(place, "parent")
    assert is_whole(place, "child")


async def wait_begun(begun: Path) -> None:
    await trio.to_thread.run_sync(wait_until, begun.exists, "the command has begun")


async def test_cancelling_all_of_it_kills_all_and_closes_the_chain_in_no_group(place: Place) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel() -> None:
                await wait_begun(place.work / "all.begun")
                scope.cancel()

            nursery.start_soon(cancel)
            async with te.open_sandbox(**find_options(place, "all")) as sandbox:
                await sandbox.run(["python3", "-c", STAYS.format("all")])
    assert scope.cancelled_caught
    assert find_processes(STAYS.format("all")) == []
    assert is_whole(place, "all")


def test_cancelling_all_of_it_in_asyncio_does_so_too(place: Place) -> None:
    async def use() -> None:
        async with te.Sandbox(**find_options(place, "task")) as sandbox:
            await sandbox.arun(["python3", "-c", STAYS.format("task")])

    async def main() -> None:
        task = asyncio.ensure_future(use())
        await asyncio.to_thread(wait_until, (place.work / "task.begun").exists, "the command has begun")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert find_processes(STAYS.format("task")) == []
    assert is_whole(place, "task")


async def test_time_out_of_the_sandbox_is_one_plain_error_and_closes_the_chain(place: Place) -> None:
    async def use() -> None:
        async with te.open_sandbox(**find_options(place, "late"), timeout=2) as sandbox:
            await sandbox.run(["python3", "-c", STAYS.format("late")])

    with pytest.raises(te.SandboxError, match="after 2 s, its time-out"):
        await use()
    assert find_processes(STAYS.format("late")) == []
    assert is_whole(place, "late")
