"""HTTP on one connection, plain or inside TLS that ends here: each request is an attempt of its own, judged, recorded
and answered by itself.

Rule 1: nothing of a request goes upstream before its own intent receipt is on disk.
Rule 2: an upstream connection is used again only for the same upstream, and only when both sides were clean.
Rule 3: where an upstream ends a connection that was used again before it answers, the agent's is ended the same way:
its client knows how to try again, and we don't.
"""

from __future__ import annotations

import contextlib
import enum

import attrs
import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.model import Attempt, Endpoint, Layer, Protocol, Transport, Upstream
from trio_egress.proxy.connect import answer_connect
from trio_egress.proxy.dial import Undialled, dial
from trio_egress.proxy.exchange import Exchange
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.judge import Door, Judgement, deny, judge_request, render_host
from trio_egress.proxy.ledger import Account, UsedUp
from trio_egress.proxy.peer import Peer
from trio_egress.proxy.refusal import close_gently, refuse_request, render_failure
from trio_egress.recorder import Flow
from trio_egress.wire.http1 import AgentSide
from trio_egress.wire.message import BadMessage, RequestHead


@attrs.frozen
class _Way:
    """A connection to an upstream, and since when it is idle."""

    upstream: Upstream
    peer: Peer
    endpoint: Endpoint
    idle_since: float = 0.0


class _After(enum.Enum):
    """What becomes of the agent's connection when an exchange is over."""

    GO_ON = "the next request"
    CLOSE = "a clean end"
    RESET = "no answer, or half of one"


class _Session:
    """One agent connection, and the upstream connection that its next request may use."""

    def __init__(self, agent: Peer, door: Door, gate: Gate) -> None:
        self.agent = agent
        self.door = door
        self.gate = gate
        self._held: _Way | None = None

    def hold(self, way: _Way) -> None:
        self._held = attrs.evolve(way, idle_since=trio.current_time())

    def take_held(self, upstream: Upstream) -> _Way | None:
        """The held connection if it leads where the decision says and is clean; otherwise it is closed."""
        held, self._held = self._held, None
        if held is None:
            return None
        fresh = trio.current_time() - held.idle_since <= self.gate.limits.reuse_seconds
        if fresh and held.upstream == upstream and held.peer.quiet():
            return held
        held.peer.close()
        return None

    def close(self) -> None:
        if self._held is not None:
            self._held.peer.close()


async def handle_http(agent: Peer, door: Door, gate: Gate) -> Door | None:
    """Requests until one side wants no more. Returns the door behind a CONNECT that was allowed."""
    session = _Session(agent, door, gate)
    try:
        while await _wait_request(agent, gate.limits.keepalive_seconds):
            side = AgentSide(gate.limits.head_bytes, gate.limits.header_count)
            try:
                head = await _read_head(agent, side, gate.limits.head_seconds)
            except PeerError as fault:
                await _refuse_malformed(session, fault)
                return None
            if head.method == "CONNECT" and door.transport is Transport.FORWARD:
                agent.ahead = side.leftover()
                return await answer_connect(agent, head, door, gate)
            if not await _serve(session, side, head):
                return None
    finally:
        session.close()
    await close_gently(agent, gate.limits)
    return None


async def _wait_request(agent: Peer, seconds: float) -> bool:
    """Whether another request begins. Between two requests a client may end in any way that it likes."""
    if agent.ahead:
        return True
    with trio.move_on_after(seconds):
        try:
            return await agent.fill()
        except PeerError:
            return False
    return False


async def _read_head(agent: Peer, side: AgentSide, seconds: float) -> RequestHead:
    with trio.move_on_after(seconds):
        side.feed(agent.take())
        while (head := side.head()) is None:
            side.feed(await agent.recv())
        return head
    raise BadMessage(f"the request head wasn't complete within {seconds:g} s", 408)


async def _refuse_malformed(session: _Session, fault: PeerError) -> None:
    """Bytes that are no request: a receipt, and an answer if anyone is there to read it."""
    status = fault.status if isinstance(fault, BadMessage) else 400
    layer = Layer.LIMIT if status in (408, 431) else Layer.MALFORMED
    door = session.door
    attempt = Attempt(door.transport, Protocol.HTTP, door.host, door.port)
    judged = Judgement(attempt, deny(layer, str(fault)))
    await session.gate.recorder.refuse(attempt, judged.decision)
    await refuse_request(session.agent, judged, session.gate, status=status)


async def _serve(session: _Session, side: AgentSide, head: RequestHead) -> bool:
    """One request; whether the connection goes on."""
    gate = session.gate
    judged = judge_request(gate.policy, session.door, head, gate.ledger.moment())
    if not judged.decision.allowed:
        await gate.recorder.refuse(judged.attempt, judged.decision, judged.facts)
        keep = head.persists and head.body == 0 and judged.decision.layer is not Layer.MALFORMED
        if keep:
            session.agent.ahead = side.leftover()
        await refuse_request(session.agent, judged, gate, keep=keep, with_body=head.method != "HEAD")
        return keep
    async with gate.open_flow(judged) as (flow, account):
        after = await _forward(session, side, head, judged, flow, account)
    match after:
        case _After.GO_ON:
            return True
        case _After.CLOSE:
            await close_gently(session.agent, gate.limits)
        case _After.RESET:
            session.agent.reset()
        case UsedUp():
            limited = attrs.evolve(deny(Layer.LIMIT, str(after)), rule=judged.decision.rule)
            refusal = attrs.evolve(judged, decision=limited)
            await refuse_request(session.agent, refusal, gate, with_body=head.method != "HEAD")
        case Undialled(blocked=True):
            refusal = attrs.evolve(judged, decision=deny(after.layer, after.reason))
            await refuse_request(session.agent, refusal, gate, with_body=head.method != "HEAD")
        case Undialled():
            answer = render_failure(after.reason, late=after.late, with_body=head.method != "HEAD")
            await session.agent.send(answer)
            await close_gently(session.agent, gate.limits)
    return False


async def _forward(
    session: _Session,
    side: AgentSide,
    head: RequestHead,
    judged: Judgement,
    flow: Flow,
    account: Account | None,
) -> _After | Undialled | UsedUp:
    """An allowed request to its upstream and back. `Undialled` and `UsedUp`: what the agent is told instead."""
    upstream = judged.decision.upstream
    if upstream is None:
        raise ValueError("an allowed request has no upstream")
    held = session.take_held(upstream)
    way = held or await _dial(upstream, session)
    if isinstance(way, Undialled):
        flow.fail(way.reason, way.layer if way.blocked else None, blocked=way.blocked)
        return way
    flow.dialled(way.endpoint)
    # A field that a rule forbids must not come in the trailers, and nobody waits for those of a request.
    trailers = "headers" not in session.gate.policy.looks_at
    exchange = Exchange(
        session.agent, side, way.peer, head, flow, session.gate.limits, account=account, trailers=trailers
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(way.peer.sock)
        await exchange.run(render_host(head, judged.attempt))
        if exchange.upstream_stays:
            stack.pop_all()
            session.hold(way)
        elif exchange.fault is not None:
            way.peer.reset()
    if exchange.fault is None:
        return _After.GO_ON if exchange.agent_stays else _After.CLOSE
    flow.fail(exchange.fault, Layer.LIMIT if exchange.cut else None)
    if exchange.cut and exchange.answerable:
        return UsedUp(exchange.fault)
    if exchange.answerable and (held is None or exchange.late):
        return Undialled(exchange.fault, late=exchange.late)
    return _After.RESET


async def _dial(upstream: Upstream, session: _Session) -> _Way | Undialled:
    limits, interception = session.gate.limits, session.gate.interception
    if session.door.secure:
        if interception is None:
            raise ValueError("this run has nothing to open TLS with")
        secured = await interception.dial(upstream, limits)
        return secured if isinstance(secured, Undialled) else _Way(upstream, secured.peer, secured.endpoint)
    dialled = await dial(upstream, limits)
    if isinstance(dialled, Undialled):
        return dialled
    return _Way(upstream, Peer(dialled.sock, UpstreamError), dialled.endpoint)
