"""`decide=` of a sandbox: each attempt is asked about by itself, where the sandbox was opened."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from tests.runs.launch import Place, read_receipts, verify, write_policy
from tests.serving import Handler, serve

import trio_egress as te

pytestmark = pytest.mark.sandbox

RULES = """
[[egress]]
destination = "plain.example"
[[egress]]
destination = "asked.example"
ask = { seconds = 1 }
"""
ASKS = """
import sys, threading, urllib.error, urllib.request

def ask(url):
    try:
        answer = urllib.request.urlopen("http://" + url)
        print(url, answer.status, flush=True)
    except urllib.error.HTTPError as error:
        print(url, error.code, error.read().decode(), flush=True)

threads = [threading.Thread(target=ask, args=(url,)) for url in sys.argv[1:]]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
WHERE: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")


class Answer(Handler):
    def do_GET(self) -> None:
        self.answer(b"here")


@pytest.fixture
def port() -> Iterator[int]:
    with serve(Answer) as port:
        yield port


def find_options(place: Place, port: int) -> dict[str, Any]:
    pins = {f"{name}.example": f"127.0.0.1:{port}" for name in ("plain", "asked")}
    policy = place.write("egress.toml", write_policy(pins=pins, more=RULES))
    evidence = place.path / "evidence"
    return {"policy": policy, "workspace": place.work, "evidence": evidence, "key": place.key_file}


def command(*urls: str) -> list[str]:
    return ["python3", "-c", ASKS, *urls]


def list_told(place: Place) -> dict[str, tuple[str, object]]:
    """What came of each path."""
    receipts = read_receipts(place.path / "evidence")
    asked = [r for r in receipts if r.phase != "outcome" and r.facts.get("proto") == "http"]
    by = f" in process {os.getpid()}"
    assert all(
        r.facts["answered_by"].endswith(by)
        for r in asked
        if r.facts["answer"] not in ("timed_out", "failed", "withdrawn")
    )
    assert verify(place.path / "evidence", place.key.public_hex) == 0
    return {str(r.target).rpartition("/")[2]: (r.verdict, r.facts["answer"]) for r in asked}


def test_trio_answers_side_by_side_and_may_use_the_sandbox_meanwhile(place: Place, port: int) -> None:
    opened: list[te.TrioSandbox] = []
    seen: list[str] = []
    all_asked, quick, cancelled = trio.Event(), trio.Event(), trio.Event()

    async def careful(question: te.Question) -> object:
        path = str(question.attempt.path)
        seen.append(f"{path} {WHERE.get()} {question.marked}")
        if len(seen) == 3:
            all_asked.set()
        match path:
            case "/slow":
                await quick.wait()
            case "/quick":
                done = await opened[0].run(["sh", "-c", "echo asked; exit 4"])
                assert (done.stdout, done.returncode) == (b"asked\n", 4)
                quick.set()
            case "/no":
                return "not this one"
            case "/wrong":
                raise ValueError("a detail")
            case "/never":
                try:
                    await trio.sleep_forever()
                finally:
                    cancelled.set()
        return True

    async def main() -> None:
        WHERE.set("here")
        async with te.open_sandbox(**find_options(place, port), decide=careful) as sandbox:
            opened.append(sandbox)
            urls = [f"plain.example/{name}" for name in ("slow", "no", "wrong")]
            async with sandbox.spawn(command(*urls), stdout=te.PIPE) as waits:
                await all_asked.wait()
                done = await sandbox.run(command("plain.example/quick", "asked.example/never"))
                await cancelled.wait()
                assert done.returncode == 0
                assert b"there was no answer within 1 s" in done.stdout
                assert (await waits.wait()).returncode == 0

    trio.run(main)
    assert sorted(seen) == [
        "/never here True",
        "/no here False",
        "/quick here False",
        "/slow here False",
        "/wrong here False",
    ]
    assert list_told(place) == {
        "slow": ("allow", "allow"),
        "quick": ("allow", "allow"),
        "no": ("block", "deny"),
        "wrong": ("block", "deny"),
        "never": ("block", "timed_out"),
    }


def test_asyncio_answers_in_its_loop_and_no_call_outlives_the_sandbox(place: Place, port: int) -> None:
    ended: list[str] = []
    stays, cancelled, closing = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def careful(question: te.Question) -> bool:
        asyncio.get_running_loop()
        if question.attempt.path == "/stays":
            stays.set()
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                cancelled.set()
                await closing.wait()
                ended.append("stays")
                raise
        return True

    async def main() -> None:
        async with te.Sandbox(**find_options(place, port), decide=careful) as sandbox:
            assert b"200" in (await sandbox.arun(command("plain.example/one"))).stdout
            async with sandbox.aspawn(command("plain.example/stays")):
                await stays.wait()
            await cancelled.wait()  # the command was killed, so its question is withdrawn
            asyncio.get_running_loop().call_soon(closing.set)
        assert ended == ["stays"]

    asyncio.run(main())
    told = list_told(place)
    assert told["one"] == ("allow", "allow")
    assert told["stays"] == ("block", "withdrawn")


def test_plain_program_answers_in_threads_of_their_own_and_may_end_it_all(place: Place, port: int) -> None:
    threads: set[int] = set()
    both = threading.Barrier(2)

    def careful(question: te.Question) -> bool:
        threads.add(threading.get_ident())
        if question.attempt.path == "/end":
            raise KeyboardInterrupt
        both.wait()
        return True

    async def later(question: te.Question) -> bool:
        return True

    with pytest.raises(te.UsageError, match="must be a plain function where the sandbox is"):
        te.Sandbox(**find_options(place, port), decide=later).__enter__()

    def use() -> None:
        with te.Sandbox(**find_options(place, port), decide=careful) as sandbox:
            done = sandbox.run(command("plain.example/one", "plain.example/two"))
            assert (done.stdout.count(b" 200"), len(threads)) == (2, 2)
            assert threading.get_ident() not in threads
            sandbox.run(command("plain.example/end"))

    with pytest.raises(KeyboardInterrupt):
        use()
    told = list_told(place)
    assert (told["one"], told["two"], told["end"][0]) == (("allow", "allow"), ("allow", "allow"), "block")
