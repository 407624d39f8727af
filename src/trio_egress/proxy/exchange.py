"""One request and its answer between the agent and an upstream, both directions at once.

Judges nothing, and records nothing but counts and the status. Each message is rendered from what was parsed; bodies of
known length go by unparsed, exactly as long as their head says.

Rule 1: the answer may come before the upload ends; what ends the exchange is the end of the answer.
Rule 2: faults are values in `fault`; nothing but bugs and cancellation leaves `run`.
"""

from __future__ import annotations

import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.policy.budget import Limit
from trio_egress.proxy.gate import Limits
from trio_egress.proxy.ledger import Account, UsedUp
from trio_egress.proxy.peer import Count, Peer
from trio_egress.proxy.relay import Meter, Patience, move
from trio_egress.recorder import Flow
from trio_egress.wire.http1 import AgentSide, UpstreamSide
from trio_egress.wire.message import BadMessage, Framing, RequestHead, ResponseHead, Trailers


class Exchange:
    """Runs once. `account` is what the rule may still be used for; without `trailers` a request's end here.

    Afterwards `fault` is None for a clean end; `late` says that it was only time that ended it, `cut` that a limit of
    the rule did, and `answerable` that the agent is there and has seen nothing of an answer; two more say which
    connections may go on.
    """

    def __init__(
        self,
        agent: Peer,
        side: AgentSide,
        upstream: Peer,
        request: RequestHead,
        flow: Flow,
        limits: Limits,
        *,
        account: Account | None = None,
        trailers: bool = True,
    ) -> None:
        self._agent = agent
        self._agent_side = side
        self._upstream = upstream
        self._upstream_side = UpstreamSide(limits.head_bytes, limits.header_count)
        self._request = request
        self._flow = flow
        self._idle_seconds = limits.idle_seconds
        self._patience = Patience(limits.idle_seconds)
        self._meter = Meter(flow, self._patience, account)
        self._account = account
        self._trailers = trailers
        self.fault: str | None = None
        self.late = False
        self.cut = False
        self.answerable = True
        self._uploaded = False
        self.agent_stays = False
        self.upstream_stays = False

    async def run(self, host: str) -> None:
        """Carry it out; `host` is what the upstream is told as Host."""
        with self._patience.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._upload, host, nursery.cancel_scope)
                nursery.start_soon(self._download, nursery.cancel_scope)
        if self._patience.ran_out:
            self.late = True
            self.fault = f"nothing moved for {self._idle_seconds:g} s"
        if self.fault is not None or not self._uploaded:
            self.agent_stays = self.upstream_stays = False

    async def _upload(self, host: str, scope: trio.CancelScope) -> None:
        try:
            head = self._upstream_side.render_head(self._request, host)
            await self._send_body(head)
            self._uploaded = True
            await self._agent.wait_word()
        except UpstreamError:
            pass  # it reads no more; its answer may be on its way all the same
        except UsedUp as cut:
            self._cut(cut, scope)
        except PeerError as fault:
            self._fail(str(fault), scope, agents=True)

    async def _send_body(self, head: bytes) -> None:
        agent, upstream, body = self._agent, self._upstream, self._request.body
        if isinstance(body, int):
            agent.ahead = self._agent_side.leftover()
            await _pass_length(head, agent, upstream, body, self._meter.up)
        else:
            limit = _BodyLimit(self._account)
            await _pass_chunks(
                head,
                agent,
                self._agent_side,
                upstream,
                self._upstream_side,
                self._meter.up,
                limit,
                self._trailers,
            )
            agent.ahead = self._agent_side.leftover()

    async def _download(self, scope: trio.CancelScope) -> None:
        try:
            answer = await self._read_answer()
            # A fast answer may be read in the same turn of the loop in which the upload learns that all was taken: it
            # must not be mistaken for one that came before the request's end, which would cost the connection.
            await trio.lowlevel.checkpoint()
            self._flow.note(status=answer.status)
            self.agent_stays = self._request.persists and self._uploaded
            self.upstream_stays = answer.persists
            head = self._agent_side.render_head(answer, close=not self.agent_stays)
            self.answerable = False
            await self._send_answer(head, answer)
            self.upstream_stays = self.upstream_stays and not self._upstream.ahead
            scope.cancel()
        except UsedUp as cut:
            self._cut(cut, scope)
        except BadMessage as fault:
            self._fail(f"the upstream's answer: {fault}", scope)
        except UpstreamError as fault:
            self._fail(str(fault), scope)
        except PeerError as fault:
            self._fail(str(fault), scope, agents=True)

    async def _read_answer(self) -> ResponseHead:
        """The final answer's head; interim ones are sent on as they come (RFC 9110 15.2)."""
        while True:
            answer = self._upstream_side.head()
            if answer is None:
                self._upstream_side.feed(await self._upstream.recv())
            elif answer.status < 200:
                await self._agent.send(self._agent_side.render_head(answer), self._meter.down)
            else:
                return answer

    async def _send_answer(self, head: bytes, answer: ResponseHead) -> None:
        agent, upstream, count = self._agent, self._upstream, self._meter.down
        if answer.body is Framing.CHUNKED:
            await _pass_chunks(head, upstream, self._upstream_side, agent, self._agent_side, count)
            upstream.ahead = self._upstream_side.leftover()
            return
        upstream.ahead = self._upstream_side.leftover()
        if isinstance(answer.body, int):
            await _pass_length(head, upstream, agent, answer.body, count)
        else:
            await self._pass_until_close(head, count)

    async def _pass_until_close(self, head: bytes, count: Count) -> None:
        await self._agent.send(head, count)
        while raw := await self._upstream.recv():
            await self._agent.send(self._agent_side.render_piece(raw), count)
        await self._agent.send(self._agent_side.render_end(Trailers()), count)

    def _cut(self, cut: UsedUp, scope: trio.CancelScope) -> None:
        self.cut = self.fault is None
        self._fail(str(cut), scope)

    def _fail(self, fault: str, scope: trio.CancelScope, *, agents: bool = False) -> None:
        if self.fault is None:
            self.fault = fault
            self.answerable = self.answerable and not agents
        scope.cancel()


class _BodyLimit:
    """How long a body may be whose head doesn't say how long it is."""

    def __init__(self, account: Account | None) -> None:
        self._account = account
        self._seen = 0

    def add(self, size: int) -> None:
        """Raises UsedUp for the piece with which it is too long."""
        account = self._account
        if account is None or account.body_bytes is None:
            return
        self._seen += size
        if self._seen > account.body_bytes:
            raise account.refuse(Limit.BODY)


async def _pass_length(head: bytes, source: Peer, sink: Peer, length: int, count: Count) -> None:
    """A head and a body of exactly `length` bytes."""
    ready = await source.recv(length) if source.ahead and length else b""
    await sink.send(head + ready, count)
    left = length - len(ready)
    if left and await move(source, sink, count, left) < left:
        raise source.blame("ended inside a body")


async def _pass_chunks(
    head: bytes,
    source: Peer,
    source_side: AgentSide | UpstreamSide,
    sink: Peer,
    sink_side: AgentSide | UpstreamSide,
    count: Count,
    limit: _BodyLimit | None = None,
    trailers: bool = True,
) -> None:
    """A head and a chunked body, decoded and encoded again; what one read held goes out in one write."""
    out = [head]
    while True:
        match source_side.body():
            case bytes() as data:
                if limit is not None:
                    limit.add(len(data))
                out.append(sink_side.render_piece(data))
            case Trailers() as end:
                out.append(sink_side.render_end(end if trailers else Trailers()))
                await sink.send(b"".join(out), count)
                return
            case None:
                await sink.send(b"".join(out), count)
                out = []
                source_side.feed(await source.recv())
