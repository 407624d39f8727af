"""One HTTP request, whatever it came in: judged, recorded, and then answered or passed on.

Rule 1: nothing of a request goes upstream before its own intent receipt is on disk.
Rule 2: where an upstream ends a connection that was used again before it answers, the agent's request is ended the same
way: its client knows how to try again, and we don't.
"""

from __future__ import annotations

import enum

import attrs

from trio_egress.errors import PeerError
from trio_egress.model import Attempt, Layer, Protocol
from trio_egress.proxy.dial import BY_PROXY, Undialled
from trio_egress.proxy.ends import AgentEnd
from trio_egress.proxy.exchange import Exchange
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.judge import Door, Judgement, deny, judge_request, render_host
from trio_egress.proxy.ledger import Account, UsedUp
from trio_egress.proxy.refusal import describe_denial, describe_failure
from trio_egress.proxy.vault import Filled
from trio_egress.proxy.ways import Ways
from trio_egress.recorder import Flow
from trio_egress.wire.message import BadMessage


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
    request = agent.request
    filled = gate.vault.fill(request, judge_request(gate.policy, door, request, gate.ledger.moment()))
    judged = filled.judged
    if not judged.decision.allowed:
        await gate.recorder.refuse(judged.attempt, judged.decision, judged.facts)
        keep = request.persists and request.body == 0 and judged.decision.layer is not Layer.MALFORMED
        await agent.answer(describe_denial(judged, gate.policy.source_file), keep=keep)
        return keep
    async with gate.open_flow(judged) as (flow, account):
        after = await _forward(agent, filled, gate, ways, flow, account)
    match after:
        case After.GO_ON:
            return True
        case After.CLOSE:
            await agent.finish()
        case After.RESET | After.REFUSED:
            agent.reset(refused=after is After.REFUSED)
        case UsedUp():
            limited = attrs.evolve(deny(Layer.LIMIT, str(after)), rule=judged.decision.rule)
            await _deny(agent, attrs.evolve(judged, decision=limited), gate)
        case Undialled(blocked=True):
            await _deny(agent, attrs.evolve(judged, decision=deny(after.layer, after.reason)), gate)
        case Undialled():
            await agent.answer(describe_failure(after.reason, late=after.late, by_proxy=after.by_proxy))
    return False


async def _deny(agent: AgentEnd, judged: Judgement, gate: Gate) -> None:
    await agent.answer(describe_denial(judged, gate.policy.source_file))


async def _forward(
    agent: AgentEnd, filled: Filled, gate: Gate, ways: Ways, flow: Flow, account: Account | None
) -> After | Undialled | UsedUp:
    """An allowed request to its upstream and back. `Undialled` and `UsedUp`: what the agent is told instead."""
    upstream = filled.judged.decision.upstream
    if upstream is None:
        raise ValueError("an allowed request has no upstream")
    way = await ways.open(upstream)
    if isinstance(way, Undialled):
        way.tell(flow)
        return way
    flow.dialled(way.endpoint)
    # A field that a rule forbids must not come in the trailers, and nobody waits for those of a request.
    trailers = "headers" not in gate.policy.looks_at
    exchange = Exchange(
        agent, way.end, flow, gate.limits, account=account, trailers=trailers, mask=filled.open_mask()
    )
    with way.use(exchange):
        await exchange.run(filled.head, render_host(agent.request, filled.judged.attempt))
    if exchange.fault is None:
        return After.GO_ON if exchange.agent_stays else After.CLOSE
    flow.fail(exchange.fault, Layer.LIMIT if exchange.cut else None)
    if way.end.by_proxy:
        flow.note(origin=BY_PROXY)
    if exchange.cut and exchange.answerable:
        return UsedUp(exchange.fault)
    if way.end.refused and exchange.answerable:
        return After.REFUSED
    if exchange.answerable and (not way.again or exchange.late):
        return Undialled(exchange.fault, late=exchange.late, by_proxy=way.end.by_proxy)
    return After.RESET
