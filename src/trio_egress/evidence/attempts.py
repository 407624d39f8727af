"""The receipts of an evidence file as they tell of attempts, for whoever shows them, counts them or learns from them.

Checks nothing: `verify` does.

Rule 1: whatever a line holds, every text that is told is printable ASCII, and what is not of its type is empty.
Rule 2: a line that is no receipt, or was torn, is left out.
Rule 3: an attempt is told once, with its outcome where it has one; no more wait for theirs than OPEN_BYTES of lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import attrs

from trio_egress.errors import EvidenceError
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.container import find_packet, open_plain
from trio_egress.evidence.facts import EXT_NAME, escape_text, is_portable
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.members import UINT64_MAX
from trio_egress.evidence.scan_read import ReadFinding, merge_read, read_findings
from trio_egress.evidence.session import INTERCEPTED, OBSERVING, OWN_TRANSPORTS
from trio_egress.values import frozen

PORT_MAX = 65_535
OPEN_BYTES = 16 << 20
"""Of some fifteen thousand intents; no run has as many connections open, and a line may be a thousand times as long."""

FINDINGS_KEPT = 64
"""Different findings of one attempt."""

_PLACE = re.compile(r"[a-z0-9]+://[^/]*")
_NOTHING: Mapping[str, object] = {}


@frozen
class Told:
    """One receipt as stored, and what it says; `line` counts from 1, and so does `key`: the log's first is 1.

    `size`: of the line that it stood on."""

    line: int
    record: Mapping[str, object]
    facts: Mapping[str, object] = _NOTHING
    key: int = 1
    size: int = attrs.field(default=0, eq=False, kw_only=True)

    def word(self, name: str) -> str:
        """A text of the record."""
        value = self.record.get(name)
        return escape_text(value) if isinstance(value, str) else ""

    def fact(self, name: str) -> str:
        """A text among the facts, where a character beyond ASCII stands as its escape already."""
        value = self.facts.get(name)
        if not isinstance(value, str):
            return ""
        return value if is_portable(value) else escape_text(value)

    def number(self, name: str) -> int | None:
        """A number among the facts, no larger than the format has them: sums of them can be shown."""
        value = self.facts.get(name)
        return value if type(value) is int and 0 <= value <= UINT64_MAX else None

    @property
    def seq(self) -> int:
        seq = self.record.get("chain_seq")
        return seq if type(seq) is int else -1

    @property
    def name(self) -> str:
        """What stands for this receipt alone: its number, and under a later key of the log which key, as `2:7`."""
        return f"{self.seq}" if self.key == 1 else f"{self.key}:{self.seq}"

    @property
    def step(self) -> str:
        """The kind of a session's own receipt; empty for any other."""
        control = self.record.get("session_control")
        kind = control.get("kind") if isinstance(control, dict) else None
        return escape_text(kind) if isinstance(kind, str) else ""

    @property
    def is_attempt(self) -> bool:
        own = "session_control" in self.record or self.transport in OWN_TRANSPORTS
        return not own and not self.parent_id

    @property
    def parent_id(self) -> str:
        """The attempt in which something was found; empty for every receipt but one of findings alone."""
        return self.word("parent_action_id")

    @property
    def findings(self) -> tuple[ReadFinding, ...]:
        return read_findings(self.facts)

    @property
    def lets_out(self) -> bool:
        """Whether it allows something to leave: the intent of anything but TLS that ended at the boundary."""
        return self.phase == "intent" and self.facts.get("tls") != INTERCEPTED

    @property
    def action_id(self) -> str:
        return self.word("action_id")

    @property
    def time(self) -> str:
        return self.word("timestamp")

    @property
    def phase(self) -> str:
        return self.word("decision_phase")

    @property
    def transport(self) -> str:
        return self.word("transport")

    @property
    def target(self) -> str:
        return self.word("target")

    @property
    def method(self) -> str:
        return self.word("method")

    @property
    def layer(self) -> str:
        return self.word("layer")

    @property
    def allowed(self) -> bool:
        return self.record.get("verdict") == "allow"

    @property
    def observed(self) -> bool:
        """Allowed, and against the policy."""
        return self.record.get("layer") == OBSERVING

    @property
    def host(self) -> str:
        return self.fact("host")

    @property
    def port(self) -> int:
        port = self.number("port") or 0
        return port if port <= PORT_MAX else 0

    @property
    def protocol(self) -> str:
        return self.fact("proto")

    @property
    def rule(self) -> str:
        return self.fact("rule")

    @property
    def reason(self) -> str:
        return self.fact("reason")

    @property
    def count(self) -> int:
        """How many packets, queries or calls it stands for."""
        return self.number("count") or 1


@frozen
class Attempt:
    """One try: the receipt that decided it, what came of it, if that was recorded, and what was found in it."""

    first: Told
    outcome: Told | None = None
    findings: tuple[ReadFinding, ...] = ()

    @property
    def last(self) -> Told:
        return self.outcome or self.first

    @property
    def denied(self) -> bool:
        """Also where the boundary refused after all what the policy had allowed."""
        return not self.last.allowed

    @property
    def place(self) -> str:
        """Where it went, without the path: `tls://api.example.com:443`, `dns:api.example.com`, `syscall:bpf`."""
        target = self.first.target
        match = _PLACE.match(target)
        return match[0] if match else target

    def bytes(self, name: str) -> int:
        """`bytes_up` or `bytes_down`."""
        return (self.outcome.number(name) or 0) if self.outcome else 0


def read_receipts(path: Path) -> Iterator[Told]:
    """Those of a packet, or of an evidence file, in order. Raises EvidenceError where it can't be read."""
    packet = find_packet(path)
    with open_plain(path, follow=True) if packet is None else packet.open(EVIDENCE_NAME) as stream:
        try:
            yield from read_stream(stream)
        except OSError as error:
            raise EvidenceError(f"cannot read {path}: {error.strerror or error}") from None


def read_stream(stream: BinaryIO) -> Iterator[Told]:
    number, key = 0, 1
    while raw := stream.readline(LINE_BYTES):
        number += 1
        if len(raw) == LINE_BYTES:
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(LINE_BYTES)
        elif raw.endswith(b"\n") and (told := tell(raw[:-1], number, key)) is not None:
            key = told.key
            yield told


def tell(raw: bytes, number: int, key: int = 1) -> Told | None:
    """The receipt of one line, without its LF. `key`: the one in force, which it may end."""
    line = read_line(raw)
    if not isinstance(line, Line):
        return None
    facts = (line.ext or _NOTHING).get(EXT_NAME)
    key += "key_transition" in line.record
    return Told(number, line.record, facts if isinstance(facts, dict) else _NOTHING, key, size=len(raw))


class Joining:
    """Attempts put together from receipts as they come."""

    def __init__(self) -> None:
        self._waiting: dict[str, Attempt] = {}
        self._sizes: dict[str, int] = {}
        self._held = 0

    def take(self, told: Told) -> Iterator[Attempt]:
        """Those that have ended with this receipt. Exhaust it before the next."""
        if told.parent_id in self._waiting:
            self._keep(told.parent_id, _add_findings(self._waiting[told.parent_id], told), told.size)
        if not told.is_attempt:
            return
        known = self._pop(told.action_id) if told.phase in ("intent", "outcome") else None
        match told.phase:
            case "intent":
                if known is not None:
                    yield known
                self._keep(told.action_id, Attempt(told, None, told.findings), told.size)
                while self._held > OPEN_BYTES and len(self._waiting) > 1:
                    oldest = self._pop(next(iter(self._waiting)))
                    if oldest is not None:
                        yield oldest
            case "outcome":
                yield Attempt(told, told) if known is None else attrs.evolve(known, outcome=told)
            case _:
                yield Attempt(told, None, told.findings)

    def finish(self) -> Iterator[Attempt]:
        """Those whose end is not recorded."""
        yield from self._waiting.values()

    def _keep(self, action_id: str, attempt: Attempt, size: int) -> None:
        self._waiting[action_id] = attempt
        self._sizes[action_id] = self._sizes.get(action_id, 0) + size
        self._held += size

    def _pop(self, action_id: str) -> Attempt | None:
        self._held -= self._sizes.pop(action_id, 0)
        return self._waiting.pop(action_id, None)


def join_attempts(receipts: Iterable[Told]) -> Iterator[Attempt]:
    """Each attempt when it has ended; last those whose end is not recorded."""
    joining = Joining()
    for told in receipts:
        yield from joining.take(told)
    yield from joining.finish()


def _add_findings(attempt: Attempt, told: Told) -> Attempt:
    """With what a receipt of its own says was found in it."""
    merged = merge_read((*attempt.findings, *told.findings))
    return attrs.evolve(attempt, findings=merged[:FINDINGS_KEPT])


def read_attempts(path: Path) -> Iterator[Told]:
    """The receipts that decided where something may go, each once: those that name a host. Raises EvidenceError, also
    where there is no receipt at all."""
    found = False
    for told in read_receipts(path):
        found = True
        if told.is_attempt and told.phase != "outcome" and told.host and told.protocol:
            yield told
    if not found:
        raise EvidenceError(f"there is no receipt in {path}")
