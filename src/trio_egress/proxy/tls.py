"""A TLS connection: judged by its ClientHello, then a tunnel that nobody looks into, or ended here where a rule has to
see the requests inside."""

from __future__ import annotations

import attrs

from trio_egress.errors import PeerError
from trio_egress.model import OPAQUE, Attempt, Layer, Need, Protocol
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.intercept import intercept
from trio_egress.proxy.judge import Door, deny, judge_tls
from trio_egress.proxy.peek import read_hello
from trio_egress.proxy.peer import Peer
from trio_egress.proxy.refusal import refuse_tls, send_alert
from trio_egress.proxy.tcp import open_tunnel
from trio_egress.wire.tls_hello import ACCESS_DENIED, INTERNAL_ERROR


async def handle_tls(agent: Peer, door: Door, gate: Gate) -> None:
    """One TLS connection; its refusal is a fatal alert."""
    try:
        hello = await read_hello(agent, gate.limits)
    except PeerError as fault:
        attempt = Attempt(door.transport, Protocol.TLS, door.host, door.port)
        await gate.recorder.refuse(attempt, deny(Layer.MALFORMED, str(fault)))
        agent.reset()
        return
    judged = judge_tls(gate.policy, door, hello, gate.ledger.moment())
    if Need.TLS not in judged.decision.needs:  # else each request inside is asked about
        judged = await gate.ask(
            judged, lambda: judge_tls(gate.policy, door, hello, gate.ledger.moment()), agent.wait_gone
        )
    if not judged.decision.allowed:
        await gate.recorder.refuse(judged.attempt, judged.decision, judged.facts)
        await refuse_tls(agent, judged.decision, gate.limits)
        return
    if Need.TLS in judged.decision.needs:
        await intercept(agent, judged, gate)
        return
    opaque = attrs.evolve(judged, facts={**judged.facts, "tls": OPAQUE})
    undialled = await open_tunnel(agent, opaque, gate)
    if undialled is not None:
        await send_alert(agent, ACCESS_DENIED if undialled.blocked else INTERNAL_ERROR, gate.limits)
