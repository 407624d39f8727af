"""Bodies that have to be read before a request can be judged: whole, bounded, and given on as they came.

Judges nothing: it says what is asked for, in the words of wire/calls.py.

Rule 1: nothing of a body goes on before its request has been judged by it; then it goes on byte for byte.
Rule 2: what can't be read raises PeerError: whoever needs it denies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio

from trio_egress.errors import PeerError
from trio_egress.proxy.ends import AgentEnd
from trio_egress.proxy.mcp import Servers
from trio_egress.proxy.peer import UNCOUNTED
from trio_egress.values import frozen
from trio_egress.wire.calls import BODY_BYTES, Asked, read_asked
from trio_egress.wire.coding import Decoder, parse_codings
from trio_egress.wire.message import BadMessage, RequestHead, ResponseHead, Trailers, drop_fields

HELD_BYTES = 64 << 20
"""Of bodies that are being read, of one run at one time."""

CONTINUE = ResponseHead(100, b"Continue", (), 0, persists=True)
_EXPECT = b"expect"


@frozen
class ReadBody:
    """What a request asks for. `said_continue`: its body was asked for by the proxy itself."""

    asked: Asked
    said_continue: bool = False

    def adapt(self, head: RequestHead) -> RequestHead:
        """The request as it goes on: it waits for no word that was given here."""
        return attrs.evolve(head, fields=drop_fields(head.fields, (_EXPECT,))) if self.said_continue else head


class Bodies:
    """All that are read in one run. `graphql`: whether that is read, too."""

    def __init__(self, *, graphql: bool = True) -> None:
        self.graphql = graphql
        self.servers = Servers()
        self._held = 0

    @contextmanager
    def hold(self, agent: AgentEnd) -> Iterator[HeldBody]:
        """Room for one request's body, for as long as it lasts."""
        body = HeldBody(agent, self)
        try:
            yield body
        finally:
            self._held -= body.size

    def reserve(self, size: int) -> None:
        """Raises BadMessage."""
        if self._held + size > HELD_BYTES:
            raise BadMessage(
                f"more than {HELD_BYTES >> 20} MiB are being sent at once that have to be read", 503
            )
        self._held += size


class HeldBody:
    """Of one request; `read` once."""

    def __init__(self, agent: AgentEnd, bodies: Bodies) -> None:
        self.size = 0
        self._agent = agent
        self._bodies = bodies

    async def read(self, idle_seconds: float) -> ReadBody:
        """Raises PeerError."""
        head = self._agent.request
        pieces: list[bytes | Trailers] = []
        said_continue = await self._continue(head)
        while head.body != 0 and not (pieces and isinstance(pieces[-1], Trailers)):
            piece = self._agent.piece()
            if piece is None:
                await _wait(self._agent, idle_seconds)
                continue
            pieces.append(piece)
            if isinstance(piece, bytes):
                self._bodies.reserve(len(piece))
                self.size += len(piece)
            if self.size > BODY_BYTES:
                raise BadMessage(f"a body that has to be read is longer than {BODY_BYTES} bytes", 413)
        raw = b"".join(piece for piece in pieces if isinstance(piece, bytes))
        query = head.path.partition("?")[2]
        asked = read_asked(head.fields, query, _decode(head, raw), graphql=self._bodies.graphql)
        self._agent.put_back(pieces)
        return ReadBody(asked, said_continue)

    async def _continue(self, head: RequestHead) -> bool:
        if head.body == 0 or all(name.lower() != _EXPECT for name, _ in head.fields):
            return False
        self._agent.put_answer(CONTINUE)
        await self._agent.flush(UNCOUNTED)
        return True


def _decode(head: RequestHead, raw: bytes) -> bytes:
    codings = parse_codings(value for name, value in head.fields if name.lower() == b"content-encoding")
    if not codings:
        return raw
    decoder = Decoder(codings, BODY_BYTES)
    text = b"".join(decoder.feed(raw))
    decoder.end()
    return text


async def _wait(agent: AgentEnd, idle_seconds: float) -> None:
    with trio.move_on_after(idle_seconds) as patience:
        await agent.receive()
    if patience.cancelled_caught:
        raise PeerError(f"nothing more of a body came for {idle_seconds:g} s")
