"""A connection's first bytes: what it speaks, and its ClientHello. Bounded in bytes and in time, consuming nothing.

Rule 1: whatever was read stays in `agent.ahead`, to be judged whole and sent on whole.
Rule 2: a peer that ends, resets or is too slow is a PeerError.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio

from trio_egress.model import Protocol
from trio_egress.proxy.gate import Limits
from trio_egress.proxy.peer import Peer
from trio_egress.wire.sniff import sniff
from trio_egress.wire.tls_hello import ClientHello, parse_client_hello


async def read_protocol(agent: Peer, limits: Limits, is_patient: Callable[[], bool]) -> Protocol | None:
    """What the agent speaks; None when it ended without a byte.

    A client that is silent for `silent_seconds` waits for the server to speak first: that is TCP, unless `is_patient`,
    which is asked only then.
    """
    deadline = trio.current_time() + limits.peek_seconds
    patient = False
    while True:
        spoken = sniff(agent.ahead) if agent.ahead else None
        if spoken is not None:
            return spoken
        pause = limits.peek_seconds if patient else limits.silent_seconds
        agent.deadline = min(deadline, trio.current_time() + pause)
        try:
            if not await agent.fill():
                return Protocol.TCP if agent.ahead else None
        except trio.TooSlowError:
            if not patient and not is_patient():
                return Protocol.TCP
            patient = True
            if trio.current_time() >= deadline:
                reason = f"said nothing that can be judged within {limits.peek_seconds:g} s"
                raise agent.blame(reason) from None
        finally:
            agent.deadline = inf


async def read_hello(agent: Peer, limits: Limits) -> ClientHello:
    """The whole ClientHello."""
    if (hello := parse_client_hello(agent.ahead)) is not None:
        return hello
    agent.deadline = trio.current_time() + limits.peek_seconds
    try:
        while (hello := parse_client_hello(agent.ahead)) is None:
            if not await agent.fill():
                raise agent.blame("closed the connection inside its ClientHello")
    except trio.TooSlowError:
        raise agent.blame(f"didn't finish its ClientHello within {limits.peek_seconds:g} s") from None
    finally:
        agent.deadline = inf
    return hello
