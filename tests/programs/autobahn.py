"""The cases of the Autobahn test suite, by kosoku, which runs the suite's own files: fuzzing client, fuzzing server,
and the two that echo. Each is a program for `python -c`; what a fuzzer has found is one line of JSON.
A fuzzer ends by `os._exit`: its threads abort one interpreter in twenty that ends otherwise, with all said and done.
"""

from __future__ import annotations

from collections.abc import Mapping

Verdicts = Mapping[str, tuple[str, str]]
"""Of each case: what the peer did, and how it closed."""

QUICK = [
    *(f"{section}.*" for section in (1, 2, 3, 4, 5, 6, 7, 10)),
    *(f"9.{part}.*" for part in (1, 2, 5, 6, 7, 8)),
    *(f"9.{part}.{case}" for part in (3, 4) for case in range(3, 10)),
    *(f"12.{kind}.1" for kind in range(1, 6)),
    *(f"13.{kind}.1" for kind in range(1, 8)),
    *("12.1.3", "12.1.11", "13.1.3", "13.1.11"),
]
"""All but four of section 9, whose thousands of fragments a message the peers here don't take anyway, and most of
compression: of that each kind with its smallest messages, and one with larger ones and with fragments."""

WHOLE = [
    [f"{section}.*" for section in (1, 2, 3, 4, 5, 6, 7, 10)],
    *([f"9.{part}.*"] for part in range(1, 9)),
    *([f"12.{kind}.*"] for kind in range(1, 6)),
    *(["13.1.*", "13.2.*"], ["13.3.*", "13.5.*"], ["13.4.*", "13.6.*"], ["13.7.*"]),
]
"""517 cases, in groups, of each of which the peers here do at least half; those of compression send some gigabytes."""

GOODNESS = (
    "ERROR",
    "FAILED",
    "UNCLEAN",
    "WRONG CODE",
    "FAILED BY CLIENT",
    "UNIMPLEMENTED",
    "NON-STRICT",
    "OK",
)
"""INFORMATIONAL is beside it: nothing is wrong there, whatever comes."""

FUZZING_CLIENT = """
import asyncio, json, os, sys
import kosoku
async def main(url, *cases):
    try:
        results = await kosoku.run_fuzzingclient(url, cases, None, 8)
    except kosoku.FailureError as failure:
        results = failure.results
    print(json.dumps({r.case_id: (r.behavior.value, r.behavior_close.value) for r in results}), flush=True)
    os._exit(0)
asyncio.run(main(*sys.argv[1:]))
"""
FUZZING_SERVER = """
import asyncio, json, os, sys
import kosoku
async def main(port, *cases):
    async with kosoku.run_fuzzingserver(cases, host="127.0.0.1", port=int(port)) as server:
        print("listens", flush=True)
        try:
            results = await server.get_result()
        except kosoku.FailureError as failure:
            results = failure.results
    print(json.dumps({r.case_id: (r.behavior.value, r.behavior_close.value) for r in results}), flush=True)
    os._exit(0)
asyncio.run(main(*sys.argv[1:]))
"""
ECHO_SERVER = """
import asyncio, contextlib, http, logging, sys
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
logging.disable()
async def main(port, quiet=None):
    done = asyncio.Event()
    async def echo(ws):
        with contextlib.suppress(ConnectionClosed):
            async for message in ws:
                if quiet is None and len(message) < 200:
                    print(repr(message), flush=True)
                if message == "done":
                    done.set()
                await ws.send(message)
    async def answer(connection, request):
        if request.path == "/ws/wait":
            await done.wait()
            return connection.respond(http.HTTPStatus.OK, "")
        if request.path == "/ws/away":
            answer = connection.respond(http.HTTPStatus.FOUND, "")
            answer.headers["Location"] = "wss://evil.example/ws"
            return answer
    more = {"max_size": None, "ping_interval": None, "process_request": answer}
    async with serve(echo, "127.0.0.1", int(port), **more):
        print("listens", flush=True)
        await asyncio.Event().wait()
asyncio.run(main(*sys.argv[1:]))
"""
ECHO_CLIENT = """
import asyncio, contextlib, sys
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage
more = {"max_size": None, "ping_interval": None, "open_timeout": None}
async def main(url):
    async with connect(url + "/getCaseCount", **more) as ws:
        count = int(await ws.recv())
    cases = iter(range(1, count + 1))
    async def work():
        for case in cases:
            with contextlib.suppress(ConnectionClosed):
                async with connect(f"{url}/runCase?case={case}&agent=echo", **more) as ws:
                    async for message in ws:
                        await ws.send(message)
    await asyncio.gather(*(work() for _ in range(8)))
    async with connect(url + "/updateReports?agent=echo", **more):
        pass
    print(count)
asyncio.run(main(*sys.argv[1:]))
"""


def find_losses(direct: Verdicts, relayed: Verdicts) -> dict[str, tuple[tuple[str, str], tuple[str, str]]]:
    """The cases whose verdict is worse through the relay, or missing."""
    nothing = ("ERROR", "ERROR")
    return {
        case: (verdict, relayed.get(case, nothing))
        for case, verdict in direct.items()
        if any(map(_is_worse, verdict, relayed.get(case, nothing)))
    }


def _is_worse(direct: str, relayed: str) -> bool:
    if "INFORMATIONAL" in (direct, relayed):
        return direct != relayed
    return GOODNESS.index(relayed) < GOODNESS.index(direct)
