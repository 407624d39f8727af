"""What came of a run, as data: how it ended, what was denied, what its packet says.

Rule 1: fails closed: `returncode` is 0 only where the agent ended with 0 and every receipt is on disk.
Rule 2: bounded: no more than DENIED_KEPT denials are told, whatever an agent tried; `denied_count` has them all.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import attrs

from trio_egress.errors import TrioEgressError
from trio_egress.evidence.attempts import Attempt, join_attempts, read_receipts
from trio_egress.evidence.report import Verdict
from trio_egress.values import frozen

DENIED_KEPT = 1000


@frozen(kw_only=True)
class Denied:
    """An attempt that was refused, in the words of its receipt. `count`: how many packets, queries or calls it was.

    `host` is empty and `port` 0 where the attempt named none (a system call), `method` where it wasn't seen, and `rule`
    where no rule came near. Whatever the agent chose stands in it as printable ASCII.
    """

    transport: str
    protocol: str
    method: str
    target: str
    host: str
    port: int
    layer: str
    reason: str
    rule: str
    count: int = 1

    def __str__(self) -> str:
        return f"{f'{self.method} {self.target}'.strip()}: {self.reason}"


@frozen(kw_only=True)
class Packet:
    """The Audit Packet, closed and signed. `head`: of its chain. `manifest_sha256`: of the list of its files."""

    path: Path
    run_id: str
    head: str
    manifest_sha256: str = ""


@frozen(kw_only=True)
class Run:
    """A run that is over.

    `returncode`: the agent's, negative for the signal that ended it; None where it never ran, was lost, or could not be
    recorded to its end. `end`: how it ended, the close receipt's reason (`agent_exited`, `timed_out`, `terminated`,
    `limit_exceeded`, …); `message`: the same in words. `verdict`: of the packet, verified with the run's key if it is
    yours. `touched`: protected files are not as they were. `stdout` and `stderr` are empty where they were inherited.
    `backend`: which it was, `userns`, `root` or `helper`.
    """

    returncode: int | None
    end: str
    verdict: Verdict
    packet: Packet
    denied: tuple[Denied, ...] = ()
    denied_count: int = 0
    found: int = 0
    """What scans found, without what the policy suppresses."""

    touched: bool = False
    message: str = ""
    stdout: bytes = attrs.field(default=b"", repr=False)
    stderr: bytes = attrs.field(default=b"", repr=False)
    truncated: bool = False
    backend: str = ""

    @property
    def timed_out(self) -> bool:
        return self.end == "timed_out"


class DeniedError(TrioEgressError):
    """Something was denied in a run that asked for `check_denied`; `run` is all that came of it."""

    def __init__(self, run: Run) -> None:
        first = f"; the first: {run.denied[0]}" if run.denied else ""
        super().__init__(f"{run.denied_count} denied in run {run.packet.run_id}{first}")
        self.run = run


def read_denied(packet: Path) -> tuple[Denied, ...]:
    """The first DENIED_KEPT. Raises EvidenceError where the packet can't be read."""
    denied = (attempt for attempt in join_attempts(read_receipts(packet)) if attempt.denied)
    return tuple(map(_tell, islice(denied, DENIED_KEPT)))


def _tell(attempt: Attempt) -> Denied:
    told = attempt.last
    return Denied(
        transport=told.transport,
        protocol=told.protocol,
        method=told.method,
        target=told.target,
        host=told.host,
        port=told.port,
        layer=told.layer,
        reason=told.reason,
        rule=told.rule,
        count=told.count,
    )
