"""CONNECT to the explicit proxy: judged before it is answered, and again by what is then said inside."""

from __future__ import annotations

from trio_egress.errors import PeerError
from trio_egress.model import Transport
from trio_egress.proxy.approval import refuse_unasked
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.judge import Door, judge_connect
from trio_egress.proxy.peer import Peer
from trio_egress.proxy.refusal import refuse_request
from trio_egress.wire.message import RequestHead

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def answer_connect(agent: Peer, head: RequestHead, door: Door, gate: Gate) -> Door | None:
    """The door behind an allowed CONNECT; None when it was refused. Nothing is dialled and no intent recorded yet.

    Raises PeerError when the agent doesn't take the answer, after a receipt of what it had asked for.
    """
    judged = judge_connect(gate.policy, head, door, gate.ledger.moment())
    if not judged.decision.allowed:
        await gate.recorder.refuse(judged.attempt, judged.decision, judged.facts)
        await refuse_request(agent, judged, gate)
        return None
    try:
        await agent.send(ESTABLISHED)
    except PeerError as fault:
        judged = judge_connect(gate.policy, head, door, gate.ledger.moment())  # it may be another by now
        if not judged.decision.allowed:
            await gate.recorder.refuse(judged.attempt, judged.decision, judged.facts)
            raise
        if judged.decision.ask is not None:
            unasked = refuse_unasked(judged, "the agent ended before what is inside could be asked about")
            await gate.recorder.refuse(unasked.attempt, unasked.decision, unasked.facts)
            raise
        with await gate.recorder.allow(judged.attempt, judged.decision, judged.facts) as flow:
            flow.fail(str(fault))
        raise
    return Door(Transport.CONNECT, judged.attempt.host, judged.attempt.port)
