"""The two ends of an exchange: the agent's, which asks, and the upstream's, which answers, in HTTP/1.1 or HTTP/2.

Each reads one message and writes another: what is put is rendered at once and goes out with `flush`, so that what was
read together is written together. HTTP/1.1 is here; a stream of HTTP/2 is in http2_stream.py.

Rule 1: an end raises its own side's fault (PeerError or UpstreamError), and nothing else that a peer can cause.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

import attrs

from trio_egress.errors import UpstreamError
from trio_egress.model import Upstream, render_authority
from trio_egress.proxy.gate import Limits
from trio_egress.proxy.peer import Count, Peer
from trio_egress.proxy.refusal import Answer, close_gently, render_answer
from trio_egress.proxy.through import describe_refusal, render_login
from trio_egress.wire.http1 import AgentSide, UpstreamSide
from trio_egress.wire.message import Fields, RequestHead, ResponseHead, Trailers


class End(Protocol):
    """What both ends do: one message's body in, another's out."""

    def piece(self) -> bytes | Trailers | None:
        """The next piece of the body that comes in, its end, or None until more was received."""

    async def receive(self) -> None:
        """Wait for more of it."""

    def put_back(self, pieces: Iterable[bytes | Trailers]) -> None:
        """What `piece` gives first from now on, in this order: it was only looked at."""

    def put(self, data: bytes) -> None:
        """A piece of the body that goes out."""

    def put_end(self, trailers: Trailers) -> None:
        """Its end."""

    async def flush(self, count: Count) -> None:
        """Send all that was put."""

    def discard(self) -> None:
        """Forget all that was put and not sent."""

    def open_pipe(self) -> Pipe:
        """Its bytes in both directions, once both sides have said that HTTP ends here (RFC 9110 7.8)."""


class Pipe(Protocol):
    """One side, in bytes; it raises its side's fault."""

    async def recv(self) -> bytes:
        """Some bytes; none at the end."""

    async def send(self, raw: bytes, count: Count) -> None:
        """All of them."""

    def quiet(self) -> bool:
        """Whether nothing has come that wasn't received, and the side is still there."""

    def end(self) -> None:
        """Say that nothing more comes from here."""


class AgentEnd(End, Protocol):
    """Whoever asked for `request`, and gets an answer, passed on (`put_answer`) or of our own, or a reset."""

    @property
    def request(self) -> RequestHead: ...

    def put_answer(self, head: ResponseHead, *, close: bool = False) -> None:
        """An answer's head. `close`: where a connection is the answer's alone, it ends after it."""

    def check(self) -> None:
        """Raise where it is known to have given up."""

    async def wait_word(self) -> None:
        """Return when it has said more than its request; raise when it gives up."""

    async def wait_gone(self) -> None:
        """Return when the agent has given its request up."""

    async def answer(self, answer: Answer, *, keep: bool = False) -> None:
        """An answer of our own. Unless `keep`, a connection that is the request's alone ends."""

    async def finish(self) -> None:
        """The answer was the last that it gets."""

    def reset(self, *, refused: bool = False) -> None:
        """No answer, or half of one. `refused`: nobody has looked at the request."""


class UpstreamEnd(End, Protocol):
    """Whoever is asked."""

    def put_request(self, head: RequestHead, host: str) -> None:
        """A request's head, for the authority `host`."""

    def head(self) -> ResponseHead | None:
        """The next answer's head, interim ones included, or None until more was received."""

    @property
    def clean(self) -> bool:
        """Whether nothing came after the answer, and it wasn't told that nothing would be asked any more."""

    @property
    def refused(self) -> bool:
        """Whether it said that it has not looked at the request, so that it can be asked again."""

    @property
    def by_proxy(self) -> bool:
        """Whether it is the company's proxy that refused, and no upstream."""


class Http1End:
    """One message each way on a connection of HTTP/1.1."""

    def __init__(self, peer: Peer, side: AgentSide | UpstreamSide) -> None:
        self.peer = peer
        self._side = side
        self._out: list[bytes] = []
        self._again: deque[bytes | Trailers] = deque()

    def put_back(self, pieces: Iterable[bytes | Trailers]) -> None:
        self._again.extendleft(reversed(list(pieces)))

    @property
    def untouched(self) -> bool:
        """Whether nothing of its body was looked at, so that it can go by unparsed."""
        return not self._again

    def piece(self) -> bytes | Trailers | None:
        if self._again:
            return self._again.popleft()
        found = self._side.body()
        if isinstance(found, Trailers):
            self.give_back()
        return found

    async def receive(self) -> None:
        self._side.feed(await self.peer.recv())

    def put(self, data: bytes) -> None:
        self._out.append(self._side.render_piece(data))

    def put_end(self, trailers: Trailers) -> None:
        self._out.append(self._side.render_end(trailers))

    async def flush(self, count: Count) -> None:
        if raw := self.take():
            await self.peer.send(raw, count)

    def discard(self) -> None:
        self._out.clear()

    def take(self) -> bytes:
        """What was put, to be sent with what follows it."""
        raw, self._out = b"".join(self._out), []
        return raw

    def open_pipe(self) -> Pipe:
        self.give_back()
        return self.peer

    def holds(self, size: int) -> bool:
        """Whether so much of a body that goes by unparsed is here already."""
        self.give_back()
        return len(self.peer.ahead) >= size

    def give_back(self) -> None:
        """What was fed and isn't this message's head or body is the connection's again."""
        self.peer.ahead = self._side.leftover()


class Http1Agent(Http1End):
    """A request on a connection of the agent."""

    def __init__(self, peer: Peer, side: AgentSide, request: RequestHead, limits: Limits) -> None:
        super().__init__(peer, side)
        self.request = request
        self._agent_side = side
        self._limits = limits

    def put_answer(self, head: ResponseHead, *, close: bool = False) -> None:
        self._out.append(self._agent_side.render_head(head, close=close))

    def check(self) -> None:
        """Whoever has hung up is only heard of by what is read or sent."""

    async def wait_word(self) -> None:
        await self.peer.wait_word()

    async def wait_gone(self) -> None:
        await self.peer.wait_gone()

    async def answer(self, answer: Answer, *, keep: bool = False) -> None:
        if keep:
            self.give_back()
        raw = render_answer(answer, close=not keep, with_body=self.request.method != "HEAD")
        await self.peer.send(raw)
        if not keep:
            await self.finish()

    async def finish(self) -> None:
        await close_gently(self.peer, self._limits)

    def reset(self, *, refused: bool = False) -> None:
        """A client whose connection is reset before an answer knows how to try again."""
        self.peer.reset()


class Http1Upstream(Http1End):
    """A request of ours on a connection."""

    refused = False
    by_proxy = False

    def __init__(self, peer: Peer, limits: Limits, upstream: Upstream) -> None:
        self._upstream_side = UpstreamSide(limits.head_bytes, limits.header_count)
        self._upstream = upstream
        super().__init__(peer, self._upstream_side)

    def put_request(self, head: RequestHead, host: str) -> None:
        self._out.append(self._upstream_side.render_head(head, host))

    def head(self) -> ResponseHead | None:
        return self._upstream_side.head()

    @property
    def clean(self) -> bool:
        return not self.peer.ahead and not self._upstream_side.last


class ForwardingProxy(Http1Upstream):
    """The company's proxy, asked to pass a request on: its target is a whole URL (RFC 9112 3.2.2)."""

    def put_request(self, head: RequestHead, host: str) -> None:
        """For the host and port that were judged, whatever the agent's Host leaves out: nothing else says where to."""
        authority = render_authority(self._upstream.host, self._upstream.port).removesuffix(":80")
        whole = f"http://{authority}{'' if head.path == '*' else head.path}"
        super().put_request(attrs.evolve(head, path=whole, fields=(*head.fields, *self._login)), authority)

    def head(self) -> ResponseHead | None:
        """Nobody but the proxy answers 407 (RFC 9110 15.5.8); the agent has no word in that."""
        answer = super().head()
        if answer is not None and answer.status == 407 and self._upstream.via is not None:
            self.by_proxy = True
            said = describe_refusal(answer, self._upstream.via)
            raise UpstreamError(f"the upstream proxy {self._upstream.via} refused the request: {said}")
        return answer

    @property
    def _login(self) -> Fields:
        return () if self._upstream.via is None else render_login(self._upstream.via)
