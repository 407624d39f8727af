"""What two receipts of an allowed attempt cost the proxy: `python bench/receipts.py [pairs] [tasks]`.

Through the recorder as it is, into a real file, durable: so many attempts at once, each an intent that is waited for
and an outcome. Processor time of the loop's thread, and of the threads that render, sign and sync. The last line is of
a log that is as long already as the third argument says, if there is one: it should be the same.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
import tempfile
import time

import trio

from trio_egress.evidence.chain import Chain
from trio_egress.evidence.journal import open_journal
from trio_egress.evidence.redact import Redactor
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import generate
from trio_egress.model import Attempt, Decision, Endpoint, Layer, Name, Protocol, RuleRef, Transport, Upstream
from trio_egress.policy.hosts import parse_host
from trio_egress.recorder import Recorder, open_recorder

HOST = Name("api.example.com")
RULE = RuleRef(0, "api.example.com", 5, "an api")
ATTEMPT = Attempt(Transport.FORWARD, Protocol.HTTP, HOST, 80, "GET", "/v1/repos/some/name")
DECISION = Decision(True, Layer.RULE, f"{RULE} allows it", RULE, Upstream(HOST, 80))
ENDPOINT = Endpoint(parse_host("203.0.113.9"), 80)  # type: ignore[arg-type]


async def record(recorder: Recorder, count: int, connection: int) -> None:
    for _ in range(count):
        with await recorder.allow(ATTEMPT, DECISION, {"connection": connection}) as flow:
            flow.dialled(ENDPOINT)
            flow.note(status=200)
            flow.bytes_down += 10_240


async def measure(recorder: Recorder, pairs: int, tasks: int) -> None:
    loop, whole, wall = time.thread_time(), time.process_time(), time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(tasks):
            nursery.start_soon(record, recorder, pairs // tasks, number)
    loop, whole = time.thread_time() - loop, time.process_time() - whole
    wall, memory = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    each = 1e6 / pairs
    print(
        f"{pairs:>9} pairs, {tasks:>4} at once: {whole * each:6.1f} us of the processor a pair, {loop * each:6.1f} "
        f"of it on the loop's thread; {wall * each:7.1f} us by the clock; {memory >> 10} MiB",
        flush=True,
    )


async def main(*given: int) -> None:
    pairs, tasks, before = given
    with tempfile.TemporaryDirectory() as directory:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        journal = open_journal(descriptor)
        session = Session("run", "aa" * 16, "bb" * 16, "sha256:" + "0" * 64, 30, "uid:1000", "agent")
        chain = Chain(generate(hashlib.sha256(b"bench").digest()), session, Redactor(bytes(32)))
        async with open_recorder(chain, journal) as recorder:
            await measure(recorder, pairs, tasks)
            if before:
                await measure(recorder, before, max(tasks, 256))
                await measure(recorder, pairs, tasks)
            recorder.conclude("exited")
        journal.close()
        os.close(descriptor)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:4]]
    trio.run(main, *(given + [20_000, 32, 0][len(given) :]))
