"""A tunnel: an allowed connection whose bytes go through unread, from the intent receipt to the outcome."""

from __future__ import annotations

from collections.abc import Callable

from trio_egress.proxy.dial import Undialled, dial
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.judge import Door, Judgement, judge_tcp
from trio_egress.proxy.peer import Peer
from trio_egress.proxy.relay import AT_ONCE, Begin, relay
from trio_egress.recorder import Flow


async def handle_tcp(agent: Peer, door: Door, gate: Gate) -> None:
    """A connection that speaks neither TLS nor HTTP nor SSH. Its refusal is a reset."""
    judged = judge_tcp(gate.policy, door, gate.ledger.moment())
    judged = await gate.ask(
        judged, lambda: judge_tcp(gate.policy, door, gate.ledger.moment()), agent.wait_reset
    )  # one that only says all that it has to say, and then listens, is still there
    if not judged.decision.allowed:
        await gate.recorder.refuse(judged.attempt, judged.decision, judged.facts)
        agent.reset()
        return
    if await open_tunnel(agent, judged, gate) is not None:
        agent.reset()


async def open_tunnel(
    agent: Peer, judged: Judgement, gate: Gate, begin: Callable[[Flow], tuple[Begin, Begin]] | None = None
) -> Undialled | None:
    """Record the intent, dial, relay, record the outcome. Returns what kept it from being dialled.

    `begin`: what carries the first bytes, up and down, and may tell the outcome of them.
    The agent is closed afterwards, or reset where its stream didn't end cleanly; only an undialled one is still open.
    """
    if judged.decision.upstream is None:
        raise ValueError("an allowed attempt has no upstream")
    async with gate.open_flow(judged) as (flow, account):
        dialled = await dial(judged.decision.upstream, gate.limits)
        if isinstance(dialled, Undialled):
            dialled.tell(flow)
            return dialled
        flow.dialled(dialled.endpoint)
        with dialled.sock:
            upstream = dialled.open_peer()
            first = (begin or _begin_at_once)(flow)
            idle = gate.limits.tunnel_idle_seconds
            ending = await relay(agent, upstream, flow, idle, account, begin=first)
            if ending is not None:
                flow.fail(ending)
                upstream.reset()
                agent.reset()
    agent.close()
    return None


def _begin_at_once(_flow: Flow) -> tuple[Begin, Begin]:
    return AT_ONCE
