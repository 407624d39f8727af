"""What a WebSocket costs through the relay: `python -m bench.websocket [MESSAGES]`, as root or not, on two idle cores.

A server of Python's `websockets` that echoes, and a client of the same: small messages one at a time and many at once,
and large ones; without a sandbox, through the relay in the clear, looked through, and at an endpoint over loopback. The
ratio is to no sandbox at all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

from tests.programs.autobahn import ECHO_SERVER
from tests.programs.jobs import run_job, run_outside
from tests.programs.servers import find_ports
from tests.runs.launch import ENVIRONMENT, Place, write_policy

HOST = "api.example.com"
RULE = f'[[egress]]\ndestination = "{HOST}"\nwebsocket = {{ %s }}\n'
WAYS = {
    "relayed": ("enabled = true", f"ws://{HOST}/ws"),
    "looked through": ("frame_scan = true", f"ws://{HOST}/ws"),
    "at an endpoint": ('proxy_path = "/ws?url="', f"${{TRIO_EGRESS_WEBSOCKET}}ws://{HOST}/ws"),
}
KINDS = {
    "100 bytes, one at a time, messages/s": (100, 1, 1),
    "100 bytes, 100 at once, messages/s": (100, 100, 1),
    "1 MiB, MB/s each way": (1 << 20, 4, 1_048_576 / 1e6),
}
"""Bytes of a message, how many are under way, and what one counts for."""

CLIENT = """
import asyncio, json, random, sys, time
from websockets.asyncio.client import connect
WORDS = "it was a bright cold day in april and the clocks were striking thirteen when winston smith slipped".split()
async def measure(url, size, ahead, count):
    text = json.dumps({"said": " ".join(random.Random(1).choices(WORDS, k=size))})[: size - 2] + '"}'
    async with connect(url, max_size=None, compression=None, ping_interval=None, proxy=None) as ws:
        await ws.send(text)
        await ws.recv()
        room, start = asyncio.Semaphore(ahead), time.perf_counter()
        async def send():
            for _ in range(count):
                await room.acquire()
                await ws.send(text)
        sending = asyncio.create_task(send())
        for _ in range(count):
            await ws.recv()
            room.release()
        await sending
        return count / (time.perf_counter() - start)
async def main(url, *kinds):
    print(json.dumps([await measure(url, *map(int, kind.split(","))) for kind in kinds]))
asyncio.run(main(*sys.argv[1:]))
"""


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    (port,) = find_ports(1)
    command = [sys.executable, "-c", ECHO_SERVER, str(port), "quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as server:
        place = Place()
        try:
            assert server.stdout is not None
            server.stdout.readline()
            measure(place, port, messages)
        finally:
            place.close()
            server.terminate()


def measure(place: Place, port: int, messages: int) -> None:
    kinds = [f"{size},{ahead},{max(messages * 100 // size, 50)}" for size, ahead, _ in KINDS.values()]
    environment = {"PYTHON": sys.executable}
    direct = f"ws://127.0.0.1:{port}/ws"
    base = json.loads(run_outside(place, script(direct), CLIENT, *kinds, environment=environment))
    show("no sandbox", base, base)
    for name, (terms, url) in WAYS.items():
        policy = write_policy(more=RULE % terms, pins={f"{HOST}:80": f"127.0.0.1:{port}"})
        ended = run_job(place, script(url), CLIENT, *kinds, policy=policy, environment=environment)
        assert ended.code == 0, ended.err
        show(name, json.loads(ended.text), base)


def script(url: str) -> str:
    return f'"$PYTHON" -c "$1" "{url}" "${{@:2}}"'


def show(name: str, rates: list[float], base: list[float]) -> None:
    worth: Callable[[int], float] = [one for _, _, one in KINDS.values()].__getitem__
    for number, (kind, rate) in enumerate(zip(KINDS, rates, strict=True)):
        print(f"{name:16} {kind:40} {rate * worth(number):10.0f}  {rate / base[number]:5.2f}")


if __name__ == "__main__":
    main()
