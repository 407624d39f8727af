"""One HTTP request, whatever it came in: judged, recorded, and then answered or passed on.

Rule 1: nothing of a request goes upstream before its own intent receipt is on disk.
Rule 2: where an upstream ends a connection that was used again before it answers, the agent's request is ended the same
way: its client knows how to try again, and we don't.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

from trio_egress.errors import PeerError
from trio_egress.model import Attempt, Decision, Layer, Need, Protocol
from trio_egress.proxy.dial import BY_PROXY, Undialled
from trio_egress.proxy.ends import AgentEnd
from trio_egress.proxy.exchange import Exchange
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.judge import Door, Judgement, deny, judge_request, render_host
from trio_egress.proxy.ledger import Account
from trio_egress.proxy.refusal import ACCEPTED, describe_denial, describe_failure
from trio_egress.proxy.scan import Blocked, Scanned, ScannedRequest
from trio_egress.proxy.upgrade import carry_websocket
from trio_egress.proxy.vault import Filled, make_readable
from trio_egress.proxy.ways import Ways
from trio_egress.recorder import Flow
from trio_egress.wire.message import BadMessage, RequestHead
from trio_egress.wire.websocket_opening import parse_opening

if TYPE_CHECKING:
    from trio_egress.proxy.bodies import ReadBody
    from trio_egress.proxy.mcp import McpAnswer


class After(enum.Enum):
    """What becomes of the agent when an exchange is over."""

    GO_ON = "the next request"
    CLOSE = "a clean end"
    RESET = "no answer, or half of one"
    REFUSED = "no answer, and the upstream says that it has not looked at the request"


async def refuse_malformed(fault: PeerError, door: Door, gate: Gate) -> tuple[Judgement, int]:
    """A receipt of bytes that are no request; what an answer could say, and its status."""
    status = fault.status if isinstance(fault, BadMessage) else 400
    layer = Layer.LIMIT if status in (408, 429, 431) else Layer.MALFORMED
    attempt = Attempt(door.transport, Protocol.HTTP, door.host, door.port)
    judged = Judgement(attempt, deny(layer, str(fault)))
    await gate.recorder.refuse(attempt, judged.decision)
    return judged, status


async def serve_request(agent: AgentEnd, door: Door, gate: Gate, ways: Ways) -> bool:
    """Judge, record, and answer or pass on. Whether the connection, where it is the request's alone, goes on.

    Raises the agent's fault, once recorded.
    """
    filled = _judge(agent, door, gate)
    if not filled.judged.decision.allowed or Need.BODIES not in filled.judged.decision.needs:
        return await _serve_seen(agent, door, gate, ways, filled)
    if gate.bodies is None:
        raise ValueError("this run has nothing to read bodies with")
    with gate.bodies.hold(agent) as body:
        try:
            read = await body.read(gate.limits.idle_seconds)
        except BadMessage as fault:
            unread = _deny_unread(filled.judged, fault)
            await gate.recorder.refuse(unread.attempt, unread.decision, unread.facts)
            await agent.answer(describe_denial(unread, gate.policy.source_file, fault.status))
            return False
        except PeerError as fault:
            unread = _deny_unread(filled.judged, fault)
            await gate.recorder.refuse(unread.attempt, unread.decision, unread.facts)
            raise
        return await _serve_seen(agent, door, gate, ways, _judge(agent, door, gate, read), read)


def _deny_unread(judged: Judgement, fault: PeerError) -> Judgement:
    limit = isinstance(fault, BadMessage) and fault.status in (413, 503)
    reason = f"its rule is about what it asks for, and that can't be read: {fault}"
    return attrs.evolve(judged, decision=deny(Layer.LIMIT if limit else Layer.MALFORMED, reason))


async def _serve_seen(
    agent: AgentEnd, door: Door, gate: Gate, ways: Ways, filled: Filled, read: ReadBody | None = None
) -> bool:
    """What was judged by all that has to be known of it, and is looked through where its rule says so."""
    if not filled.judged.decision.allowed or filled.judged.decision.scan is None:
        return await _serve(agent, await _ask(agent, door, gate, filled, read), gate, ways)
    if gate.inspection is None:
        raise ValueError("this run has nothing to look through requests with")
    with gate.inspection.open(filled.judged) as inspector:
        request: ScannedRequest | None = None
        try:
            inspector.look_at_request(agent.request)
            request = inspector.open_request(agent.request)
            if request is not None:
                await request.hold(agent, gate.limits.idle_seconds)
        except Blocked as found:
            filled = attrs.evolve(filled, judged=inspector.deny(filled.judged, found))
        except PeerError as fault:
            layer = Layer.MALFORMED if isinstance(fault, BadMessage) else Layer.SCAN
            unread = deny(layer, f"its body could not be looked through: {fault}")
            await gate.recorder.refuse(filled.judged.attempt, unread, inspector.note(filled.judged).facts)
            raise
        else:
            filled = _judge(agent, door, gate, read)  # reading its body has taken time
            filled = await _ask(agent, door, gate, filled, read)
            filled = attrs.evolve(filled, judged=inspector.note(filled.judged))
        scanned = Scanned(inspector, request, inspector.open_answer())
        filled = attrs.evolve(filled, head=scanned.adapt(filled.head))
        return await _serve(agent, filled, gate, ways, scanned)


def _judge(agent: AgentEnd, door: Door, gate: Gate, read: ReadBody | None = None) -> Filled:
    request = agent.request
    if read is None:
        return gate.vault.fill(
            request, gate.in_force.judged_before.judge(door, request, gate.ledger.moment())
        )
    judged = judge_request(gate.policy, door, request, gate.ledger.moment(), read.asked.calls)
    filled = gate.vault.fill(
        request, attrs.evolve(judged, messages=read.asked.messages, batch=read.asked.batch)
    )
    return attrs.evolve(filled, head=read.adapt(filled.head))


async def _ask(agent: AgentEnd, door: Door, gate: Gate, filled: Filled, read: ReadBody | None) -> Filled:
    """Of all that is known of it, before anything goes on."""
    reply = await gate.approvals.ask(filled.judged, gate.policy, agent.wait_gone)
    if reply is None:
        return filled
    again = _judge(agent, door, gate, read)
    return attrs.evolve(again, judged=reply.apply(again.judged))


async def _serve(
    agent: AgentEnd, filled: Filled, gate: Gate, ways: Ways, scanned: Scanned | None = None
) -> bool:
    """What was judged, and found."""
    request, judged = agent.request, filled.judged
    if not judged.decision.allowed:
        await gate.recorder.refuse(judged.attempt, judged.decision, judged.facts)
        keep = request.persists and request.body == 0 and judged.decision.layer is not Layer.MALFORMED
        answer = describe_denial(judged, gate.policy.source_file)
        if gate.bodies is not None and gate.bodies.servers.tell(judged, request.path, answer.body):
            answer = ACCEPTED
        await agent.answer(answer, keep=keep)
        return keep
    try:
        watch = _open_watch(filled, gate, scanned)
    except Blocked as refused:
        return await _refuse_answer(agent, judged, gate, refused)
    if watch is not None:
        filled = attrs.evolve(filled, head=make_readable(filled.head))
    async with gate.open_flow(judged) as (flow, account):
        if scanned is not None:
            scanned.inspector.begin(flow)
        if watch is not None:
            watch.begin_flow(flow)
        try:
            after = await _forward(agent, filled, gate, ways, flow, account, scanned, watch)
        finally:
            if watch is not None:
                watch.close()
    match after:
        case After.GO_ON:
            return True
        case After.CLOSE:
            await agent.finish()
        case After.RESET | After.REFUSED:
            agent.reset(refused=after is After.REFUSED)
        case Decision():
            denied = attrs.evolve(after, rule=judged.decision.rule)
            await _deny(agent, attrs.evolve(judged, decision=denied), gate)
        case Undialled(blocked=True):
            await _deny(agent, attrs.evolve(judged, decision=deny(after.layer, after.reason)), gate)
        case Undialled():
            await agent.answer(describe_failure(after.reason, late=after.late, by_proxy=after.by_proxy))
    return False


def _open_watch(filled: Filled, gate: Gate, scanned: Scanned | None) -> McpAnswer | None:
    """Over the answer of a server of MCP. Raises Blocked."""
    judged = filled.judged
    rule = judged.decision.rule
    if gate.bodies is None or rule is None or judged.attempt.websocket or judged.moment.observing:
        return None
    terms = next((each.terms for each in gate.policy.rules if each.ref.index == rule.index), None)
    if terms is None or terms.mcp is None:
        return None
    return gate.bodies.servers.open(judged, terms.mcp, scanned.answer if scanned else None)


async def _refuse_answer(agent: AgentEnd, judged: Judgement, gate: Gate, refused: Blocked) -> bool:
    """What the agent answers, and nobody has asked."""
    denied = attrs.evolve(judged, decision=deny(Layer.MALFORMED, str(refused)))
    await gate.recorder.refuse(denied.attempt, denied.decision, denied.facts)
    await _deny(agent, denied, gate)
    return False


async def _deny(agent: AgentEnd, judged: Judgement, gate: Gate) -> None:
    await agent.answer(describe_denial(judged, gate.policy.source_file))


async def _forward(
    agent: AgentEnd,
    filled: Filled,
    gate: Gate,
    ways: Ways,
    flow: Flow,
    account: Account | None,
    scanned: Scanned | None,
    watch: McpAnswer | None,
) -> After | Undialled | Decision:
    """An allowed request to its upstream and back. `Undialled` and a denial: what the agent is told instead."""
    upstream = filled.judged.decision.upstream
    if upstream is None:
        raise ValueError("an allowed request has no upstream")
    opens = filled.judged.attempt.websocket
    way = await (ways.open_websocket(upstream) if opens else ways.open(upstream))
    if isinstance(way, Undialled):
        way.tell(flow)
        return way
    flow.dialled(way.endpoint)
    # A field that a rule forbids must not come in the trailers, and nobody waits for those of a request.
    trailers = "headers" not in gate.policy.looks_at
    exchange = Exchange(
        agent,
        way.end,
        flow,
        gate.limits,
        account=account,
        trailers=trailers,
        mask=filled.open_mask(),
        scanned=scanned,
        watch=watch,
    )
    with way.use(exchange):
        await exchange.run(_open(filled, agent), render_host(agent.request, filled.judged.attempt))
        if exchange.switched is not None:
            terms = filled.judged.decision.messages
            await carry_websocket(agent, way.end, exchange, flow, gate, terms, account, scanned)
    if exchange.fault is None:
        return After.GO_ON if exchange.agent_stays else After.CLOSE
    flow.fail(exchange.fault, exchange.cut, blocked=exchange.cut in (Layer.SCAN, Layer.OPERATION))
    if way.end.by_proxy:
        flow.note(origin=BY_PROXY)
    if exchange.cut is not None and exchange.answerable:
        return deny(exchange.cut, exchange.fault)
    if exchange.said_cut:
        return After.GO_ON if exchange.ended_whole else After.CLOSE
    if way.end.refused and exchange.answerable:
        return After.REFUSED
    if exchange.answerable and (not way.again or exchange.late):
        return Undialled(exchange.fault, late=exchange.late, by_proxy=way.end.by_proxy)
    return After.RESET


def _open(filled: Filled, agent: AgentEnd) -> RequestHead:
    """The request as it goes on: one for a WebSocket says so."""
    if not filled.judged.attempt.websocket:
        return filled.head
    return parse_opening(agent.request).adapt(filled.head)
