"""An SSH connection: judged by where it goes and, where the policy pins host keys, by the one that the server shows.

Rule 1: the agent gets no byte of the server's reply before the host key in it is one of the pinned: a wrong key ends
the connection while all that the agent has said is which algorithms it knows.
Rule 2: where nothing is pinned, nothing is held back or refused; the key is recorded if it can be seen.
Rule 3: whoever is told no is told by SSH_MSG_DISCONNECT, which clients show; the receipt is on disk first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.model import Layer, Protocol, Upstream, render_authority
from trio_egress.proxy.dial import Undialled, dial
from trio_egress.proxy.gate import Gate, Limits
from trio_egress.proxy.judge import Door, Judgement, judge_tcp
from trio_egress.proxy.peer import Count, Peer
from trio_egress.proxy.refusal import close_gently
from trio_egress.proxy.relay import Begin, relay
from trio_egress.proxy.tcp import open_tunnel
from trio_egress.recorder import Flow
from trio_egress.wire.ssh import KeyExchange, Side
from trio_egress.wire.ssh_messages import (
    BY_APPLICATION,
    HOST_KEY_NOT_VERIFIABLE,
    KEY_EXCHANGE_FAILED,
    HostKey,
    Unfit,
    render_disconnect,
    render_identification,
)

SOFTWARE = "trio-egress"
DENIED = "denied by the egress policy"


class _Refused(UpstreamError):
    """The boundary doesn't let this key exchange go on."""


async def handle_ssh(agent: Peer, door: Door, gate: Gate) -> None:
    """A connection whose first bytes are `SSH-`."""

    def judge() -> Judgement:
        return judge_tcp(gate.policy, door, gate.ledger.moment(), Protocol.SSH)

    judged = await gate.ask(judge(), judge, agent.wait_gone)
    if not judged.decision.allowed:
        await gate.recorder.refuse(judged.attempt, judged.decision, judged.facts)
        await _disconnect(agent, f"{DENIED}: {judged.decision.reason}", gate.limits)
        return
    upstream = judged.decision.upstream
    if upstream is None:
        raise ValueError("an allowed attempt has no upstream")
    if upstream.host_keys is None:
        undialled = await open_tunnel(agent, judged, gate, watch)
    else:
        undialled = await open_pinned(agent, judged, upstream, gate)
    await end_undialled(agent, undialled, gate.limits)


async def end_undialled(agent: Peer, undialled: Undialled | None, limits: Limits) -> None:
    """Say why there is no server, where there is none."""
    if undialled is not None:
        why = DENIED if undialled.blocked else "the upstream could not be reached"
        await _disconnect(agent, f"{why}: {undialled.reason}", limits)


async def open_pinned(
    agent: Peer,
    judged: Judgement,
    upstream: Upstream,
    gate: Gate,
    conclude: Callable[[Flow], Awaitable[None]] | None = None,
) -> Undialled | None:
    """As `open_tunnel`, once the host key has been judged. `conclude`: what is to be told of a clean end."""
    async with gate.open_flow(judged) as (flow, account):
        dialled = await dial(upstream, gate.limits)
        if isinstance(dialled, Undialled):
            dialled.tell(flow)
            return dialled
        flow.dialled(dialled.endpoint)
        opening = Opening(upstream, judged, gate.limits, flow)
        with dialled.sock:
            server = dialled.open_peer()
            idle = gate.limits.tunnel_idle_seconds
            ending = await relay(
                agent, server, flow, idle, account, begin=(opening.hear_client, opening.hear_server)
            )
            if ending is not None:
                server.reset()
                opening.tell(flow, ending)
            elif not opening.exchange.released:
                flow.fail("the connection ended before the server showed its host key")
            if ending is None and conclude is not None:
                await conclude(flow)
    if ending is None:
        agent.close()
    elif opening.exchange.released or opening.reason is None:
        agent.reset()
    else:
        identified = opening.exchange.has_identified(Side.SERVER)
        await _disconnect(agent, f"{DENIED}: {ending}", gate.limits, opening.reason, identified=identified)
    return None


def watch(flow: Flow) -> tuple[Begin, Begin]:
    """Carry whatever comes at once, and note the host key that is seen on the way."""
    exchange = KeyExchange()
    blind = False

    def look(side: Side, raw: bytes) -> None:
        nonlocal blind
        try:
            exchange.feed(side, raw)
        except PeerError:
            blind = True
        if exchange.host_key is not None:
            note_key(flow, exchange)

    async def carry(side: Side, source: Peer, sink: Peer, count: Count) -> None:
        while exchange.host_key is None and not blind and (raw := await source.recv()):
            look(side, raw)
            await sink.send(raw, count)

    return partial(carry, Side.CLIENT), partial(carry, Side.SERVER)


def note_key(flow: Flow, exchange: KeyExchange) -> None:
    """Which key the server showed, and by which method."""
    if exchange.host_key is not None and exchange.agreed is not None:
        flow.note(host_key=exchange.host_key.fingerprint, kex=exchange.agreed.method)


class Opening:
    """The beginning of a connection, in both directions, until the host key is judged. `reason`: of a disconnect."""

    def __init__(self, upstream: Upstream, judged: Judgement, limits: Limits, flow: Flow) -> None:
        self.exchange = KeyExchange()
        self.reason: int | None = None
        self._upstream = upstream
        self._rule = judged.decision.rule
        self._seconds = limits.head_seconds
        self._flow = flow

    async def hear_client(self, agent: Peer, server: Peer, count: Count) -> None:
        while not self.exchange.released and (raw := await agent.recv()):
            await server.send(self._feed(Side.CLIENT, raw), count)

    async def hear_server(self, server: Peer, agent: Peer, count: Count) -> None:
        """Until its key is judged, for so long as a request's head may take."""
        with trio.move_on_after(self._seconds) as patience:
            while not self.exchange.released and (raw := await server.recv()):
                await agent.send(self._feed(Side.SERVER, raw), count)
                if self.exchange.host_key is not None:
                    self._judge(self.exchange.host_key)
                    self.exchange.release()
        if patience.cancelled_caught:
            raise UpstreamError(f"the SSH key exchange took more than {self._seconds:g} s")
        await agent.send(self.exchange.feed(Side.SERVER, b""), count)

    def tell(self, flow: Flow, ending: str) -> None:
        """What the outcome says of an early end."""
        if self.reason is None:
            flow.fail(ending)
        else:
            flow.fail(ending, Layer.HOST_KEY, blocked=True)

    def _feed(self, side: Side, raw: bytes) -> bytes:
        try:
            return self.exchange.feed(side, raw)
        except Unfit as fault:
            self.reason = KEY_EXCHANGE_FAILED
            raise _Refused(f"{self._where} can't be trusted: {fault}") from None
        except PeerError as fault:
            self.reason = KEY_EXCHANGE_FAILED
            raise _Refused(f"the key exchange with {self._where} can't be followed: {fault}") from None

    def _judge(self, key: HostKey) -> None:
        note_key(self._flow, self.exchange)
        if key.fingerprint not in (self._upstream.host_keys or ()):
            self.reason = HOST_KEY_NOT_VERIFIABLE
            raise _Refused(
                f"{self._where} shows the host key {key.kind} {key.fingerprint}, which `host_keys` of {self._rule} "
                "doesn't name"
            )

    @property
    def _where(self) -> str:
        return render_authority(self._upstream.host, self._upstream.port)


async def _disconnect(
    agent: Peer, text: str, limits: Limits, reason: int = BY_APPLICATION, *, identified: bool = False
) -> None:
    """Say why in the clear, where no encryption has begun; the agent may be gone already."""
    said = b"" if identified else render_identification(SOFTWARE)
    with contextlib.suppress(PeerError):
        with trio.move_on_after(limits.linger_seconds):
            await agent.send(said + render_disconnect(reason, text))
        await close_gently(agent, limits)
        return
    agent.reset()
