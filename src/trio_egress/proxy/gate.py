"""What every connection of one run shares: the policy, the recorder, the names, and the limits.

Rule 1: a limit is a number with its precedent, and there is no wait and no buffer without one.
Rule 2: nothing here changes during a run but what the ledger says, and the policy that is in force.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import attrs
import trio

from trio_egress.errors import PeerError
from trio_egress.model import INTERCEPTED
from trio_egress.policy.recall import ANSWER, APPROVED, CHANGED
from trio_egress.proxy.approval import Approvals, Gone
from trio_egress.proxy.books import Books, Entries
from trio_egress.proxy.in_force import InForce, put_in_force
from trio_egress.proxy.ledger import Account, Ledger
from trio_egress.proxy.vault import Vault
from trio_egress.values import frozen

if TYPE_CHECKING:
    from trio_egress.policy.rule import Policy
    from trio_egress.proxy.bodies import Bodies
    from trio_egress.proxy.git_relay import GitRelay
    from trio_egress.proxy.inspection import Inspection
    from trio_egress.proxy.interception import Interception
    from trio_egress.proxy.judge import Judgement
    from trio_egress.proxy.names import Names
    from trio_egress.recorder import Flow, Recorder


@frozen
class Limits:
    """Bounds of one run, in seconds, bytes and counts."""

    connections: int = 1024
    """Open connections of one listener; more wait in its backlog (half of nginx's worker_connections)."""

    silent_seconds: float = 0.3
    """How long a client may stay silent before it is taken for one that waits for the server to speak first
    (RFC 8305 5 gives an attempt 250 ms before the next; a denied one must end within a second)."""

    peek_seconds: float = 10.0
    """From accept to a whole ClientHello or a first byte (HAProxy's usual `tcp-request inspect-delay`)."""

    head_seconds: float = 30.0
    """From its first byte to the end of a request head (Apache's RequestReadTimeout is 20 to 40 s)."""

    keepalive_seconds: float = 75.0
    """Silence between two requests of one connection (nginx's keepalive_timeout)."""

    reuse_seconds: float = 3.0
    """An upstream connection idle for longer isn't used again: the shortest common keep-alive is 5 s (Node)."""

    resolve_seconds: float = 10.0
    """One look-up, all its retries (resolv.conf: 5 s times 2 attempts)."""

    connect_seconds: float = 10.0
    """One dial, all its addresses (HAProxy advises 4 to 10 s)."""

    stagger_seconds: float = 0.25
    """Between two connection attempts of one dial (RFC 8305 5, Connection Attempt Delay)."""

    idle_seconds: float = 600.0
    """Silence of both sides in one HTTP exchange (a model API's clients wait 600 s for an answer)."""

    tunnel_idle_seconds: float = 3600.0
    """Silence of both sides in one tunnel (Envoy's idle_timeout)."""

    linger_seconds: float = 2.0
    """How long what a refused client still sends is read, so that it sees the answer (nginx lingering_timeout 5 s)."""

    linger_bytes: int = 1 << 20
    """… and how much of it."""

    head_bytes: int = 64 * 1024
    """One request or response head (Node allows 16 KiB, Apache 100 lines of 8 KiB)."""

    header_count: int = 128
    """Header fields of one head (Apache's LimitRequestFields is 100)."""

    candidates: int = 8
    """Addresses of one name that are tried."""

    dns_idle_seconds: float = 10.0
    """Until a whole DNS query has come over TCP (RFC 7766 6.2.3 says a few seconds; unbound waits 30)."""

    dns_send_seconds: float = 1.0
    """Until the client's buffer takes a DNS answer of a few hundred bytes."""


@frozen
class Gate:
    """What a connection needs to be judged, recorded and dialled. `recorder`: the connection's own, once it has one."""

    in_force: InForce = attrs.field(converter=put_in_force)
    recorder: Recorder | Entries
    names: Names
    limits: Limits = Limits()
    ledger: Ledger = attrs.field(factory=Ledger, kw_only=True)
    interception: Interception | None = attrs.field(default=None, kw_only=True)
    inspection: Inspection | None = attrs.field(default=None, kw_only=True)
    bodies: Bodies | None = attrs.field(default=None, kw_only=True)
    git: GitRelay | None = attrs.field(default=None, kw_only=True)
    vault: Vault = attrs.field(factory=Vault, kw_only=True)
    approvals: Approvals = attrs.field(factory=Approvals, kw_only=True)
    books: Books = attrs.field(kw_only=True)

    @books.default
    def _open_books(self) -> Books:
        if isinstance(self.recorder, Entries):
            raise TypeError("a connection opens no books of its own")
        return Books(self.recorder)

    @property
    def policy(self) -> Policy:
        """The one that is in force now."""
        return self.in_force.policy

    async def ask(self, judged: Judgement, again: Callable[[], Judgement], gone: Gone) -> Judgement:
        """What becomes of it where somebody is asked; `again` judges it anew, when that has taken its time.

        `gone`: returns when the agent has hung up.
        """
        reply = await self.approvals.ask(judged, self.policy, gone)
        return judged if reply is None else reply.apply(again())

    def open_flow(self, judged: Judgement) -> OpenFlow:
        """Charge an allowed attempt and record its intent; its outcome when the body is left.

        Raises PeerError where the policy was changed meanwhile and doesn't allow it any more.
        """
        return OpenFlow(self, judged)


class OpenFlow:
    """`async with`: an allowed attempt from its intent to its outcome. Once."""

    __slots__ = ("_account", "_flow", "_gate", "_judged", "_leave", "_scope")

    def __init__(self, gate: Gate, judged: Judgement) -> None:
        self._gate = gate
        self._judged = judged

    async def __aenter__(self) -> tuple[Flow, Account | None]:
        gate, judged = self._gate, self._judged
        attempt, decision, facts = judged.attempt, judged.decision, judged.facts
        if decision.ask is not None and facts.get("tls") != INTERCEPTED and facts.get(ANSWER) != APPROVED:
            raise ValueError("nobody has approved what its rule asks about")
        via = decision.upstream.via if decision.upstream is not None else None
        if via is not None and facts.get("tls") != INTERCEPTED:  # which leads to no dial of its own
            facts = {**facts, "via": str(via)}
        self._account = gate.ledger.charge(attempt, decision, judged.moment)
        try:
            self._flow = await gate.recorder.allow(attempt, decision, facts)
        except BaseException:
            self._release()
            raise
        self._scope = trio.CancelScope()
        self._scope.__enter__()
        self._leave = gate.in_force.hold(judged, self._flow, self._scope, gate.ledger)
        if self._scope.cancel_called:  # else what can go at once would go, before anything waits
            await self.__aexit__(None, None, None)
            raise PeerError(CHANGED)
        return self._flow, self._account

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        try:
            if self._scope.__exit__(kind, error, trace):
                kind = error = trace = None
        finally:
            self._flow.__exit__(kind, error, trace)
            self._release()
        if self._scope.cancelled_caught:
            raise PeerError(CHANGED)

    def _release(self) -> None:
        if self._account is not None:
            self._account.release()
