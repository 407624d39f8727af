"""TLS of the agent that ends here: its connection under a certificate of the run's authority, and requests in it.

Rule 1: the connection has a receipt of its own, and each request in it another; only a request leads to a dial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import trio

from trio_egress.errors import PeerError
from trio_egress.model import INTERCEPTED, Transport
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.http import handle_http
from trio_egress.proxy.judge import Door, Judgement
from trio_egress.proxy.peer import Peer

if TYPE_CHECKING:
    from trio_egress.proxy.secure_peer import SecurePeer


async def intercept(agent: Peer, judged: Judgement, gate: Gate) -> None:
    """An allowed TLS connection whose ClientHello is still to be answered. Raises the agent's fault, once recorded."""
    if gate.interception is None:
        raise ValueError("this run has nothing to end TLS with")
    facts = {**judged.facts, "tls": INTERCEPTED}
    # Its rule's limits are of what is asked inside.
    connection = attrs.evolve(judged, facts=facts, decision=attrs.evolve(judged.decision, limits=None))
    async with gate.open_flow(connection) as (flow, _):
        inside: SecurePeer | None = None
        try:
            with trio.move_on_after(gate.limits.head_seconds):
                inside = await gate.interception.accept(agent, judged.attempt.host)
        except PeerError as fault:
            flow.fail(str(fault))
            raise
        if inside is None:
            flow.fail(f"the agent didn't finish its TLS handshake within {gate.limits.head_seconds:g} s")
            agent.reset()
            return
        flow.note(tls_version=inside.version)
        door = Door(Transport.INTERCEPT, judged.attempt.host, judged.attempt.port)
        if inside.multiplexes:
            from trio_egress.proxy.http2 import handle_http2

            await handle_http2(inside, door, gate)
        else:
            await handle_http(inside, door, gate)
