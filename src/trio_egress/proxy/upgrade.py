"""From HTTP to a WebSocket: the upstream's answer is checked, told to the agent, and both sides become pipes.

Rule 1: the agent gets no word of an answer that isn't one to what it asked; it is a fault of the upstream.
Rule 2: an agent that says anything before it has the answer is cut off (RFC 6455 4.1 has it wait): what it said may be
        HTTP to somebody on the way.
"""

from __future__ import annotations

from trio_egress.errors import PeerError
from trio_egress.model import Layer, MessageTerms
from trio_egress.proxy.ends import AgentEnd, UpstreamEnd
from trio_egress.proxy.exchange import Exchange
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.ledger import Account, UsedUp
from trio_egress.proxy.scan import Scanned
from trio_egress.proxy.websocket import Relay
from trio_egress.recorder import Flow
from trio_egress.wire.message import BadMessage
from trio_egress.wire.websocket_opening import check_opened, parse_opening


async def carry_websocket(
    agent: AgentEnd,
    upstream: UpstreamEnd,
    exchange: Exchange,
    flow: Flow,
    gate: Gate,
    terms: MessageTerms,
    account: Account | None,
    scanned: Scanned | None,
) -> None:
    """What follows the answer that ended HTTP. How it has ended stands in the exchange."""
    if exchange.switched is None:
        raise ValueError("nothing was switched to")
    try:
        opened = check_opened(parse_opening(agent.request), exchange.switched)
        pipe = agent.open_pipe()
        if not pipe.quiet():
            raise PeerError("the agent said something before its WebSocket was open")
        await exchange.tell_switch()
    except BadMessage as fault:
        exchange.end(f"the upstream's answer: {fault}")
        return
    except UsedUp as cut:
        exchange.end(str(cut), answerable=False)
        flow.fail(str(cut), Layer.LIMIT)
        return
    except PeerError as fault:
        exchange.end(str(fault), answerable=False)
        flow.fail(str(fault), Layer.MALFORMED, blocked=True)
        return
    told = opened.protocol if opened.protocol in gate.policy.openings else None
    flow.note(subprotocol=told, compressed=True if opened.deflate else None)
    looks = (None, None) if scanned is None else scanned.inspector.open_messages()
    relay = Relay(
        pipe,
        upstream.open_pipe(),
        opened,
        flow,
        gate.limits,
        terms=terms,
        account=account,
        looks=looks,
    )
    ended = await relay.run()
    exchange.end(ended.fault, answerable=False, said=ended.said)
