"""Python: environments, processes and their shared memory, subprocesses of asyncio, a database of several writers."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from tests.runs.launch import Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]


def run_python(place: Place, source: str) -> Any:
    """What a program says, as JSON; its packet is valid and has nothing of an attempt."""
    place.write("program.py", source)
    ended = place.run(write_policy(), sys.executable, "-I", place.path / "program.py")
    assert ended.code == 0, ended.err
    assert ended.receipts == []
    assert ended.verify() == 0
    return json.loads(ended.out)


PROCESSES = """
import json, multiprocessing, os, sys
from multiprocessing import shared_memory

def square(number):
    return number * number

def increase(counter):
    for _ in range(100):
        with counter.get_lock():
            counter.value += 1

def write(name):
    block = shared_memory.SharedMemory(name=name)
    block.buf[:5] = b"hello"
    block.close()

def use(method):
    context = multiprocessing.get_context(method)
    with context.Pool(3) as pool:
        told = [sum(pool.map(square, range(100)))]
    counter = context.Value("i", 0)
    workers = [context.Process(target=increase, args=(counter,)) for _ in range(3)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    told.append(counter.value)
    with context.Manager() as manager:
        shared = manager.dict()
        shared["key"] = 1
        told.append(dict(shared))
    block = shared_memory.SharedMemory(create=True, size=16)
    worker = context.Process(target=write, args=(block.name,))
    worker.start()
    worker.join()
    told.append(bytes(block.buf[:5]).decode())
    block.close()
    block.unlink()
    return told

if __name__ == "__main__":
    print(json.dumps([use(method) for method in ("fork", "spawn", "forkserver")]))
"""


def test_processes_share_work_locks_and_memory_by_each_method(place: Place) -> None:
    assert run_python(place, PROCESSES) == [[328350, 300, {"key": 1}, "hello"]] * 3


ASYNCIO = """
import asyncio, json, signal, sys

async def talk(reader, writer):
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()

async def say(reader, writer):
    writer.write(b"hello\\n")
    answer = await reader.readline()
    writer.close()
    return answer.decode()

async def main():
    shell = await asyncio.create_subprocess_shell("sort | uniq -c", stdin=-1, stdout=-1)
    out, _ = await shell.communicate(b"b\\na\\nb\\n" * 1000)
    many = [await asyncio.create_subprocess_exec("sh", "-c", f"exit {n}") for n in range(8)]
    codes = [await process.wait() for process in many]
    sleeper = await asyncio.create_subprocess_exec("sleep", "600")
    sleeper.terminate()
    loop, got = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, got.set)
    killer = await asyncio.create_subprocess_shell("kill -USR1 $PPID")
    await got.wait()
    await killer.wait()
    servers = [await asyncio.start_unix_server(talk, "/tmp/socket"), await asyncio.start_server(talk, "127.0.0.1", 0)]
    port = servers[1].sockets[0].getsockname()[1]
    answers = [await say(*await asyncio.open_unix_connection("/tmp/socket")),
               await say(*await asyncio.open_connection("localhost", port))]
    for server in servers: server.close()
    print(json.dumps([out.split(), codes, await sleeper.wait(), answers], default=bytes.decode))

asyncio.run(main())
"""


def test_asyncio_has_subprocesses_signals_and_servers(place: Place) -> None:
    told = run_python(place, ASYNCIO)
    assert told == [["1000", "a", "2000", "b"], list(range(8)), -15, ["HELLO\n", "HELLO\n"]]


DATABASE = """
import json, os, sqlite3

def connect():
    return sqlite3.connect("data.sqlite", timeout=60, isolation_level=None)

db = connect()
mode, = db.execute("pragma journal_mode=wal").fetchone()
db.execute("create table t (worker int, number int)")
db.close()
children = []
for worker in range(3):
    if (child := os.fork()) == 0:
        db = connect()
        for number in range(50):
            db.execute("insert into t values (?, ?)", (worker, number))
        db.close()
        os._exit(0)
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
db = connect()
print(json.dumps([mode, codes, db.execute("select count(*), sum(number) from t").fetchone(),
                  db.execute("pragma integrity_check").fetchone()]))
"""


def test_sqlite3_takes_several_writers(place: Place) -> None:
    assert run_python(place, DATABASE) == ["wal", [0, 0, 0], [150, 3675], ["ok"]]
    assert (place.work / "data.sqlite").stat().st_size > 0


ENVIRONMENT = """
import json, subprocess, sys
base = getattr(sys, "_base_executable", sys.executable)
subprocess.run([base, "-m", "venv", "--without-pip", "own"], check=True)
tell = "import json, sys; print(json.dumps([sys.prefix, sys.prefix != sys.base_prefix]))"
print(subprocess.check_output(["own/bin/python", "-c", tell], text=True))
"""


def test_a_venv_is_made_and_used(place: Place) -> None:
    assert run_python(place, ENVIRONMENT) == [str(place.work / "own"), True]
