"""One request and its answer between the agent and an upstream, both directions at once.

Judges nothing, and records nothing but counts and the status. Each message is rendered from what was parsed, in what
the other side speaks; between two sides of HTTP/1.1, bodies of known length go by unparsed, exactly as long as their
head says.

Rule 1: the answer may come before the upload ends; what ends the exchange is the end of the answer.
Rule 2: faults are values in `fault`; nothing but bugs and cancellation leaves `run`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf

import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.model import Layer
from trio_egress.policy.budget import Limit
from trio_egress.proxy.ends import AgentEnd, End, Http1Agent, Http1End, Http1Upstream, UpstreamEnd
from trio_egress.proxy.gate import Limits
from trio_egress.proxy.ledger import Account, UsedUp
from trio_egress.proxy.masking import Mask
from trio_egress.proxy.peer import Count, Peer
from trio_egress.proxy.relay import Meter, Patience, move
from trio_egress.proxy.scan import Blocked, Scanned, ScannedRequest, Watch
from trio_egress.proxy.vault import mask_fields, mask_head
from trio_egress.recorder import Flow
from trio_egress.wire.message import SWITCHING, BadMessage, Body, RequestHead, ResponseHead, Trailers

SMALL_BYTES = 16 * 1024
"""A request's body that goes out in one write: what a connection's buffer takes at first (tcp_wmem, man 7 tcp)."""


class Exchange:
    """Runs once. `account` is what the rule may still be used for; without `trailers` a request's end here. `mask`: of
    the answer, where it must not tell what a secret was filled with. `scanned`: both bodies, where they are looked
    through.

    Afterwards `fault` is None for a clean end; `late` says that it was only time that ended it, `cut` which layer of
    the judgement did, `said_cut` that its answer says so, and `ended_whole` that it came to an end after
    which the agent may ask again; `answerable`: the agent is there and has seen nothing of
    an answer; two more say which connections may go on. `switched`: the answer that ends HTTP, not yet told to the
    agent, where the request opens a WebSocket.
    """

    def __init__(
        self,
        agent: AgentEnd,
        upstream: UpstreamEnd,
        flow: Flow,
        limits: Limits,
        *,
        account: Account | None = None,
        trailers: bool = True,
        mask: Mask | None = None,
        scanned: Scanned | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._agent = agent
        self._upstream = upstream
        self._flow = flow
        self._idle_seconds = limits.idle_seconds
        self._patience = Patience(limits.idle_seconds)
        self._meter = Meter(flow, self._patience, account)
        self._account = account
        self._trailers = trailers
        self._mask = mask
        self._up = scanned.request if scanned else None
        self._down: Watch | None = watch or (scanned.answer if scanned else None)
        self.fault: str | None = None
        self.late = False
        self.cut: Layer | None = None
        self.said_cut = self.ended_whole = False
        self.answerable = True
        self.switched: ResponseHead | None = None
        self._opens = self._uploaded = False
        self._answer: ResponseHead | None = None
        self._scope: trio.CancelScope | None = None
        self.agent_stays = False
        self.upstream_stays = False

    async def run(self, request: RequestHead, host: str) -> None:
        """Carry it out; `request` is the head that the upstream is told, and `host` the authority."""
        self._opens = request.opens_websocket
        try:
            self._agent.check()
            with suppress(UpstreamError):  # as in `_upload`
                self._upstream.put_request(request, host)
            if not await self._run_at_once(request):
                await self._run_both(request)
        except PeerError as fault:
            self._fail(str(fault), agents=True)
        except UsedUp as cut:
            self._cut(cut, Layer.LIMIT)
        except trio.TooSlowError:
            self.late = True
        self.late = self.late or self._patience.ran_out
        if self.late:
            self.fault = f"nothing moved for {self._idle_seconds:g} s"
        if self.fault is not None or not self._uploaded or self._opens:
            self.agent_stays = self.upstream_stays = False

    async def _run_at_once(self, request: RequestHead) -> bool:
        """The usual exchange, without a task of its own: the request is there as a whole, and so is the answer as soon
        as it comes. False where there is more to it; what was done until then stays done.

        While the answer is waited for, the agent is watched. Raises TooSlowError, and the agent's fault.
        """
        agent, upstream = self._agent, self._upstream
        if not isinstance(agent, Http1Agent) or not isinstance(upstream, Http1Upstream):
            return False
        if self._up is not None or not isinstance(request.body, int) or request.body > SMALL_BYTES:
            return False
        if not (request.body == 0 or agent.untouched) or not agent.holds(request.body):
            return False
        body = await agent.peer.recv(request.body) if request.body else b""
        agent.peer.deadline = upstream.peer.deadline = trio.current_time() + self._idle_seconds
        upstream.peer.watched = agent.peer
        try:
            try:
                await upstream.peer.send(upstream.take() + body, self._meter.up)
                self._uploaded = True
            except UpstreamError:
                pass  # as in `_upload`
            await self._guard(self._begin_answer)
            answer = self._answer
            if answer is None or self.fault is not None:
                return True
            if self._mask is not None or self._down is not None:
                return False
            if not isinstance(answer.body, int) or not upstream.holds(answer.body):
                return False
            await self._guard(self._end_answer)
        finally:
            agent.peer.deadline = upstream.peer.deadline = inf
            upstream.peer.watched = None
        return True

    async def _run_both(self, request: RequestHead) -> None:
        """Whatever of it is left, in both directions at once."""
        with self._patience.open_scope():
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                nursery.start_soon(self._upload, request)
                nursery.start_soon(self._guard, self._download)

    async def tell_switch(self) -> None:
        """Tell the agent the answer that ends HTTP. Raises its fault, and UsedUp."""
        if self.switched is None:
            raise ValueError("nothing was switched to")
        self.answerable = False
        self._agent.put_answer(self.switched)
        await self._agent.flush(self._meter.down)

    def end(self, fault: str | None, *, answerable: bool = True, said: bool = False) -> None:
        """How what followed HTTP has ended. `said`: the agent was told."""
        self.fault, self.said_cut = fault, said
        self.answerable = self.answerable and answerable

    async def _upload(self, request: RequestHead) -> None:
        try:
            if not self._uploaded:
                limit = _BodyLimit(self._account)
                await _pass_body(
                    self._agent,
                    self._upstream,
                    request.body,
                    self._meter.up,
                    limit=limit,
                    trailers=self._trailers,
                    scan=self._up,
                )
                self._uploaded = True
            await self._agent.wait_word()
        except UpstreamError:
            pass  # it reads no more; its answer may be on its way all the same
        except UsedUp as cut:
            self._cut(cut, Layer.LIMIT)
        except Blocked as cut:
            self._cut(cut, Layer.SCAN)
        except PeerError as fault:
            self._fail(str(fault), agents=True)

    async def _download(self) -> None:
        if self._answer is None:
            await self._begin_answer()
        if self._answer is not None:
            await self._end_answer()

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """What ends the exchange is a value."""
        try:
            await work()
        except UsedUp as cut:
            self._cut(cut, Layer.LIMIT)
        except Blocked as cut:
            await self._say_cut(cut)
            self._cut(cut, cut.layer)
        except BadMessage as fault:
            self._fail(f"the upstream's answer: {fault}")
        except UpstreamError as fault:
            self._fail(str(fault))
        except PeerError as fault:
            self._fail(str(fault), agents=True)

    async def _begin_answer(self) -> None:
        """Its head, put for the agent. None where HTTP ends with it."""
        agent = self._agent
        answer = await self._read_answer()
        if self._scope is not None:
            # A fast answer may be read in the same turn of the loop in which the upload learns that all was taken: it
            # must not be mistaken for one that came before the request's end, which would cost the connection.
            await trio.lowlevel.checkpoint()
        self._flow.note(status=answer.status)
        if answer.status < 200:
            self.switched = answer
            self._end_both()
            return
        self.agent_stays = agent.request.persists and self._uploaded
        self.upstream_stays = answer.persists
        if self._down is not None:
            answer = await self._down.begin(answer, self._upstream)
        self.answerable = False
        agent.put_answer(answer, close=not self.agent_stays)
        self._answer = answer

    async def _end_answer(self) -> None:
        """The rest of it."""
        if self._answer is None:
            raise ValueError("there is no answer yet")
        upstream, body = self._upstream, self._answer.body
        await _pass_body(upstream, self._agent, body, self._meter.down, mask=self._mask, scan=self._down)
        self.upstream_stays = self.upstream_stays and upstream.clean
        self._end_both()

    async def _read_answer(self) -> ResponseHead:
        """The final answer's head; interim ones are sent on as they come (RFC 9110 15.2)."""
        while True:
            answer = self._upstream.head()
            if answer is None:
                await self._upstream.receive()
                continue
            if self._down is not None:
                await self._down.look_at_head(answer)
            if self._mask is not None:
                answer = mask_head(answer, self._mask)
            if answer.status >= 200 or (answer.status == SWITCHING and self._opens):
                return answer
            if answer.status == SWITCHING:
                raise BadMessage("it switches to another protocol, which nobody asked for")
            self._agent.put_answer(answer)
            await self._agent.flush(self._meter.down)

    async def _say_cut(self, cut: Blocked) -> None:
        """An answer that has begun ends where the agent can see that it does; one that told its length has no room."""
        told = self._answer is not None and isinstance(self._answer.body, int)
        if self.answerable or told or not cut.last_word:
            self._agent.discard()
            return
        with suppress(PeerError):
            mask = self._mask
            self._agent.put(cut.last_word if mask is None else mask.feed(cut.last_word) + mask.finish())
            if cut.ends:
                self._agent.put_end(Trailers())
            await self._agent.flush(self._meter.down)
            self.said_cut = True
            self.ended_whole = cut.ends and self.agent_stays

    def _cut(self, cut: UsedUp | Blocked, layer: Layer) -> None:
        if self.fault is None:
            self.cut = layer
        self._fail(str(cut))

    def _fail(self, fault: str, *, agents: bool = False) -> None:
        if self.fault is None:
            self.fault = fault
            self.answerable = self.answerable and not agents
        self._end_both()

    def _end_both(self) -> None:
        if self._scope is not None:
            self._scope.cancel()


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


async def _pass_body(
    source: End,
    sink: End,
    body: Body,
    count: Count,
    *,
    limit: _BodyLimit | None = None,
    trailers: bool = True,
    mask: Mask | None = None,
    scan: ScannedRequest | Watch | None = None,
) -> None:
    """What was put, and a body; what one read held goes out in one write."""
    if isinstance(source, Http1End) and isinstance(body, int):
        if isinstance(sink, Http1End) and ((mask is None and scan is None and source.untouched) or body == 0):
            source.give_back()
            await _pass_length(sink.take(), source.peer, sink.peer, body, count)
            return
        if body == 0:
            source.give_back()
    if body == 0:
        sink.put_end(Trailers())
        await sink.flush(count)
        return
    while True:
        match source.piece():
            case bytes() as data:
                if limit is not None:
                    limit.add(len(data))
                if scan is not None:
                    data = await scan.feed(data)
                sink.put(data if mask is None else mask.feed(data))
            case Trailers() as end:
                if scan is not None:
                    rest, end = await scan.finish(end)
                    sink.put(rest if mask is None else mask.feed(rest))
                if mask is not None:
                    sink.put(mask.finish())
                    end = Trailers(mask_fields(end.fields, mask))
                sink.put_end(end if trailers else Trailers())
                await sink.flush(count)
                return
            case None:
                await sink.flush(count)
                if isinstance(scan, Watch):
                    sink.put(await scan.wait(source))
                else:
                    await source.receive()


async def _pass_length(head: bytes, source: Peer, sink: Peer, length: int, count: Count) -> None:
    """A head and a body of exactly `length` bytes, unparsed."""
    ready = await source.recv(length) if source.ahead and length else b""
    await sink.send(head + ready, count)
    left = length - len(ready)
    if left and await move(source, sink, count, left) < left:
        raise source.blame("ended inside a body")
