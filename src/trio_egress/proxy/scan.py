"""The bodies of one exchange, looked through as they go by: what may go on, and what ends it.

Knows no detector: what a finding means is the inspector's to say (inspection.py).

Rule 1: of a request nothing goes on in which a finding could still begin. What ends within `whole` bytes is looked
        through before any of it goes; of gRPC, message by message, because both sides may wait for one.
Rule 2: an answer is not held up, but for a short one that may be refused: it is looked through as it comes, and ends at
        a finding, where its client can see that.
Rule 3: what can't be read (an unknown coding, a broken one, a bomb) is refused, or goes on with a note in its receipt,
        as its rule says.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs
import trio

from trio_egress.errors import PeerError, TrioEgressError
from trio_egress.evidence.scan_facts import in_body
from trio_egress.model import Layer
from trio_egress.proxy.peer import UNCOUNTED
from trio_egress.values import frozen
from trio_egress.wire.message import BadMessage, RequestHead, ResponseHead, Trailers, drop_fields

if TYPE_CHECKING:
    from trio_egress.content.detector import Finding
    from trio_egress.content.scanner import Stream
    from trio_egress.proxy.ends import AgentEnd, End, UpstreamEnd
    from trio_egress.proxy.inspection import Inspector
    from trio_egress.wire.coding import Decoder

GRPC = b"application/grpc"
EVENTS = b"text/event-stream"
ACCEPT_ENCODING = b"accept-encoding"
GRPC_PREFIX = 5
"""A flag and a length before each message (gRPC over HTTP/2, "Length-Prefixed-Message")."""

LOOKED_PIECES, LOOKED_BYTES = 16, 8192
"""Of a body, for pieces of values: so much of what came first."""

DECODED_BYTES = 1 << 40
"""Of an answer: it isn't held, and its ratio is bounded."""

CONTINUE = ResponseHead(100, b"Continue", (), 0, persists=True)


class Blocked(TrioEgressError):
    """Something was found that must not pass. `last_word`: for an answer that has begun; `ends` it in its own words."""

    layer = Layer.SCAN

    def __init__(self, reason: str, last_word: bytes = b"", *, ends: bool = False) -> None:
        super().__init__(reason)
        self.last_word = last_word
        self.ends = ends


@frozen
class Scanned:
    """Both directions of one exchange; None where nothing is looked through."""

    inspector: Inspector
    request: ScannedRequest | None
    answer: ScannedAnswer | None

    def adapt(self, head: RequestHead) -> RequestHead:
        """The request as it goes on: it waits for no word that was given here, and asks for what can be read."""
        fields = head.fields
        if self.request is not None and self.request.said_continue:
            fields = drop_fields(fields, (b"expect",))
        if self.answer is not None:
            offers = [value for name, value in fields if name.lower() == ACCEPT_ENCODING]
            fields = drop_fields(fields, (ACCEPT_ENCODING, b"grpc-accept-encoding"))
            if offers:
                from trio_egress.wire.coding import find_readable  # loaded with the inspection

                readable = b"identity" if self.inspector.may_strip else find_readable(offers) or b"identity"
                fields = (*fields, (b"Accept-Encoding", readable))
        return attrs.evolve(head, fields=fields)


@runtime_checkable
class Watch(Protocol):
    """What sees an answer before it goes on, and says what of it may, its head (`begin`) too. Each raises Blocked."""

    async def look_at_head(self, answer: ResponseHead) -> None: ...

    async def begin(self, answer: ResponseHead, upstream: UpstreamEnd) -> ResponseHead: ...

    async def wait(self, source: End) -> bytes:
        """Wait until more has come, or there is something of ours to say, which is then what it gives."""

    async def feed(self, raw: bytes) -> bytes: ...

    async def finish(self, end: Trailers) -> tuple[bytes, Trailers]: ...


class ScannedRequest:
    """The body of a request. `hold` comes first, if anything. `said_continue`: it has asked for the body by itself."""

    def __init__(self, inspector: Inspector, head: RequestHead) -> None:
        self._inspector = inspector
        self.said_continue = False
        self._grpc = _Messages() if _find_type(head.fields).startswith(GRPC) else None
        self._waits = any(name.lower() == b"expect" for name, _ in head.fields)
        self._text = _Text(
            inspector, head.fields, inspector.scanner.open(inspector.out), inspector.terms.whole
        )
        self._looked = 0
        """Bytes that were looked at already, and come again."""

        self._held = bytearray()
        self._given = 0
        self._whole = head.body == 0

    async def hold(self, agent: AgentEnd, idle_seconds: float) -> None:
        """Read as much of the body as is looked through first. Raises Blocked, and the agent's fault."""
        if self._whole or self._grpc is not None:
            return
        if self._waits:
            agent.put_answer(CONTINUE)
            await agent.flush(UNCOUNTED)
            self.said_continue = True
        pieces: list[bytes | Trailers] = []
        while not self._whole and self._looked <= self._inspector.terms.whole:
            match agent.piece():
                case bytes() as raw:
                    pieces.append(raw)
                    self._looked += len(raw)
                    self._inspector.reserve(len(raw))
                    await self._judge(self._text.feed(raw))
                case Trailers() as end:
                    pieces.append(end)
                    self._whole = True
                    await self._judge(self._text.finish())
                    await self._inspector.look_at_trailers(end.fields)
                case None:
                    await _wait(agent, idle_seconds)
        if not self._text.is_coded:
            begin = b"".join(raw for raw in pieces[:LOOKED_PIECES] if isinstance(raw, bytes))[:LOOKED_BYTES]
            await self._judge(self._inspector.find_pieces(begin))
        elif not self._whole:
            self._inspector.leave_unread("the body is coded, and longer than is looked through whole")
        agent.put_back(pieces)

    async def feed(self, raw: bytes) -> bytes:
        """What may go on. Raises Blocked."""
        if self._whole:
            return raw
        self._held += raw
        again = min(self._looked, len(raw))
        self._looked -= again
        if fresh := raw[again:]:
            await self._judge(self._text.feed(fresh))
        if self._looked:
            return b""
        return await self._let_go(self._text.settled)

    async def finish(self, end: Trailers) -> tuple[bytes, Trailers]:
        """What was held back, and the end. Raises Blocked."""
        if not self._whole:
            await self._judge(self._text.finish())
            await self._inspector.look_at_trailers(end.fields)
        return await self._let_go(self._given + len(self._held)), end

    async def _let_go(self, settled: int) -> bytes:
        ready = max(0, settled - self._given)
        if self._grpc is not None:
            await self._judge(self._text.look(whole=True))
            ready = max(ready, self._grpc.find_end(self._given, self._held))
        raw = bytes(self._held[:ready])
        del self._held[:ready]
        self._given += len(raw)
        return raw

    async def _judge(self, findings: list[Finding]) -> None:
        if findings:
            await self._inspector.judge_and_tell([(finding, in_body()) for finding in findings])


class ScannedAnswer:
    """An answer: its heads, then its body."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._text: _Text | None = None
        self._events = self._bounded = self._done = False
        self._again = self._given = 0
        self._held = b""

    async def look_at_head(self, answer: ResponseHead) -> None:
        """Of the answer or of an interim one. Raises Blocked."""
        await self._inspector.look_at_answer(answer)

    async def begin(self, answer: ResponseHead, upstream: UpstreamEnd) -> ResponseHead:
        """Before anything of it is sent: look at what is there, or at all of it. Raises Blocked, UpstreamError."""
        inspector = self._inspector
        self._done = answer.body == 0
        if self._done:
            return answer
        self._events = _find_type(answer.fields).startswith(EVENTS)
        self._bounded = isinstance(answer.body, int)
        stream = inspector.scanner.open(inspector.incoming)
        self._text = _Text(inspector, answer.fields, stream, DECODED_BYTES)
        short = isinstance(answer.body, int) and answer.body <= inspector.terms.whole
        if short and (inspector.may_refuse or inspector.may_strip):
            await self._look_at_all(upstream, self._text)
        else:
            await self._look_at_begin(upstream)
        return answer

    async def _look_at_all(self, upstream: UpstreamEnd, text: _Text) -> None:
        """Before any of it goes on."""
        found: list[Finding] = []
        while (piece := upstream.piece()) is None or isinstance(piece, bytes):
            if piece is None:
                await upstream.receive()
                continue
            self._held += piece
            found += text.feed(piece)
        found += text.finish()
        whole = await self._pass(b"", found, len(self._held))
        await self._inspector.look_at_answer_trailers(piece.fields)
        upstream.put_back([whole, piece])
        self._done = True

    async def _look_at_begin(self, upstream: UpstreamEnd) -> None:
        """What has come already, perhaps together with the head."""
        pieces: list[bytes | Trailers] = []
        while not self._done and (piece := upstream.piece()) is not None:
            if isinstance(piece, bytes):
                pieces.append(await self.feed(piece))
            else:
                pieces += await self.finish(piece)
                self._done = True
        upstream.put_back(pieces)
        self._again = sum(len(piece) for piece in pieces if isinstance(piece, bytes))

    async def wait(self, source: End) -> bytes:
        await source.receive()
        return b""

    async def feed(self, raw: bytes) -> bytes:
        """What goes on of it. Raises Blocked."""
        if self._done or self._text is None:
            return raw
        again = min(self._again, len(raw))
        self._again -= again
        if again == len(raw):
            return raw
        findings = self._text.feed(raw[again:]) + self._text.look()
        return raw[:again] + await self._pass(raw[again:], findings, self._text.sure)

    async def finish(self, end: Trailers) -> tuple[bytes, Trailers]:
        if self._done or self._text is None:
            return b"", end
        findings = self._text.finish()
        rest = await self._pass(b"", findings, self._given + len(self._held))
        await self._inspector.look_at_answer_trailers(end.fields)
        return rest, end

    async def _pass(self, raw: bytes, findings: list[Finding], sure: int) -> bytes:
        """What may go of all that came: its first `sure` bytes, without what is stripped."""
        begin = self._given
        held = self._held + raw
        if findings:
            held = await self._strip(held, begin, findings)
        ready = max(0, min(sure - begin, len(held)))
        self._held = held[ready:]
        self._given += ready
        return held[:ready]

    async def _strip(self, raw: bytes, begin: int, findings: list[Finding]) -> bytes:
        text = self._text
        if text is None:
            raise ValueError("nothing was begun")
        places = [(finding, in_body(answer=True)) for finding in findings]
        try:
            stripped = await self._inspector.judge_and_tell(places, can_strip=not text.is_coded)
        except Blocked as blocked:
            raise self._cut(blocked) from None
        hidden = bytearray(raw)
        for finding in stripped:
            first, last = max(finding.start - begin, 0), min(finding.end - begin, len(raw))
            if first < last:
                hidden[first:last] = b"*" * (last - first)
        return bytes(hidden)

    def _cut(self, blocked: Blocked) -> Blocked:
        """A visible end, where there is room for one."""
        if self._bounded or (self._text is not None and self._text.is_coded):
            return blocked
        reason = str(blocked)
        if self._events:
            said = json.dumps({"error": {"type": "denied_by_egress_policy", "message": reason}})
            return Blocked(reason, b"\n\nevent: error\ndata: %b\n\n" % said.encode("ascii"), ends=True)
        return Blocked(reason, b"\n[trio-egress: cut here: %b]\n" % reason.encode("ascii", "replace"))


class _Text:
    """A body beneath its codings, in a scan. What can't be read is left, as the inspector allows."""

    def __init__(
        self, inspector: Inspector, fields: tuple[tuple[bytes, bytes], ...], stream: Stream, limit: int
    ) -> None:
        self._inspector = inspector
        self._stream = stream
        self._decoder: Decoder | None = None
        self._unread = False
        self.is_coded = False
        self._fed = 0
        if codings := [value for name, value in fields if name.lower() == b"content-encoding"]:
            self._open_decoder(codings, limit)

    def _open_decoder(self, values: list[bytes], limit: int) -> None:
        from trio_egress.wire import coding  # loaded with the inspection, before the agent runs

        try:
            names = coding.parse_codings(values)
        except BadMessage as fault:
            self.is_coded = True
            self._leave(fault)
            return
        if names:
            self.is_coded = True
            self._decoder = coding.Decoder(names, limit)

    @property
    def settled(self) -> int:
        """So many bytes of what came may go on. All of them where nobody can say which."""
        return self._fed if self.is_coded or self._unread else self._stream.settled

    def feed(self, raw: bytes) -> list[Finding]:
        self._fed += len(raw)
        if self._unread:
            return []
        if self._decoder is None:
            return self._stream.feed(raw)
        found: list[Finding] = []
        try:
            for piece in self._decoder.feed(raw):
                found += self._stream.feed(piece)
        except BadMessage as fault:
            self._leave(fault)
        return found

    def look(self, *, whole: bool = False) -> list[Finding]:
        return [] if self._unread else self._stream.look(whole=whole)

    @property
    def sure(self) -> int:
        """So many bytes of what came hold nothing of which the end may be missing."""
        unsure = None if self._unread else self._stream.unsure
        if unsure is None:
            return self._fed
        return 0 if self.is_coded else unsure

    def finish(self) -> list[Finding]:
        if self._unread:
            return []
        if self._decoder is not None:
            try:
                self._decoder.end()
            except BadMessage as fault:
                self._leave(fault)
        return self._stream.finish()

    def _leave(self, fault: BadMessage) -> None:
        self._unread = True
        self._inspector.leave_unread(str(fault))


class _Messages:
    """Where gRPC's messages end."""

    def __init__(self) -> None:
        self._next = 0

    def find_end(self, begin: int, held: bytearray) -> int:
        """Of the bytes from `begin` on, how many are whole messages."""
        while (at := self._next - begin) + GRPC_PREFIX <= len(held):
            end = self._next + GRPC_PREFIX + int.from_bytes(held[at + 1 : at + GRPC_PREFIX], "big")
            if end - begin > len(held):
                break
            self._next = end
        return max(0, self._next - begin)


async def _wait(agent: AgentEnd, idle_seconds: float) -> None:
    with trio.move_on_after(idle_seconds) as patience:
        await agent.receive()
    if patience.cancelled_caught:
        raise PeerError(f"nothing more of a body came for {idle_seconds:g} s")


def _find_type(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return next((value.strip().lower() for name, value in fields if name.lower() == b"content-type"), b"")
