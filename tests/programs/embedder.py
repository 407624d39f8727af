"""A program that embeds trio-egress: never run, but read by type checkers at their strictest."""

from __future__ import annotations

import asyncio
from pathlib import Path

import trio_egress as te


async def careful(question: te.Question) -> bool:
    return question.attempt.method == "GET"


async def main() -> int | None:
    done: te.Run = await asyncio.to_thread(te.run, ["ls"], policy=Path("egress.toml"), timeout=3)
    hosts: list[str] = [denied.host for denied in done.denied]
    packet: Path = done.packet.path
    report: te.Report = te.verify(packet, keys=["a"])
    attempt = te.Attempt(te.Transport.CONNECT, te.Protocol.TLS, te.parse_host("a.example.com"), 443)
    decision: te.Decision = te.Policy.load("egress.toml", allow=["a.example.com"]).decide(attempt)
    print(hosts, done.verdict is te.Verdict.VALID, report.exit_code, decision.layer is te.Layer.TIME)
    try:
        te.run(["ls"], policy="x", check_denied=True)
    except te.DeniedError as error:
        return error.run.returncode
    except te.PolicyError as error:
        return error.problems[0].line
    async with te.Sandbox("egress.toml", workspace=".", on_event=print, decide=careful) as sandbox:
        ended: te.Done = await sandbox.arun(["ls"], timeout=4, max_output=10)
        async with sandbox.aspawn(["cat"], stdin=te.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(ended.stdout)
        async for event in sandbox.aevents():
            print(event.host, event.denied)
    return ended.returncode


async def main_of_trio() -> bytes:
    async with te.open_sandbox("egress.toml", workspace=Path(".")) as sandbox:
        async with sandbox.spawn(["cat"], stdout=te.PIPE) as process:
            assert process.stdout is not None
            await process.stdout.receive_some()
        return (await sandbox.run(["ls"])).stdout + await sandbox.read_file("a", max_bytes=1)
