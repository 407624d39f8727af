"""git over SSH with a key that the agent never has: SSH is ended in a process of its own, and each command is judged.

accept → SSH ends in that process → it asks → attempt → decision → receipt → dial → host key judged → command → receipt

Rule 1: one command in a connection, judged by its service and repository; every other attempt has its own denial.
Rule 2: the key leaves this process for a command that is allowed, and the way out is dialled here, counted and cut.
Rule 3: what that process says is a peer's word: whatever breaks its rules ends the connection.
"""

from __future__ import annotations

import math

import attrs
import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.model import Layer, Protocol
from trio_egress.policy.engine import leads_to_git
from trio_egress.policy.ssh_secrets import find_ssh_key
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.git_relay import GitRelay, HeldKey, Line
from trio_egress.proxy.judge import Door, Judgement, deny, judge_git, judge_tcp
from trio_egress.proxy.peer import UNCOUNTED, Peer
from trio_egress.proxy.relay import move
from trio_egress.proxy.ssh import end_undialled, open_pinned
from trio_egress.recorder import Flow
from trio_egress.wire.git_command import parse_command
from trio_egress.wire.git_relay import Kind, Message, Side, Talk


def is_for_git(door: Door, gate: Gate) -> bool:
    """Whether SSH ends here: some rule carries git there, and none lets all of SSH through."""
    judged = judge_tcp(gate.policy, door, gate.ledger.moment(), Protocol.SSH)
    if judged.decision.layer is Layer.RULE:
        return False
    return leads_to_git(gate.policy, judged.attempt, gate.ledger.moment())


async def handle_git(agent: Peer, door: Door, gate: Gate, relay: GitRelay) -> None:
    """A connection to where git is carried over SSH."""
    async with relay.open_line() as line:
        await _Call(agent, door, gate, relay, line).run()
    agent.close()


class _Call:
    """One connection. What its tasks meet of faults ends it, and never leaves them."""

    def __init__(self, agent: Peer, door: Door, gate: Gate, relay: GitRelay, line: Line) -> None:
        self._agent, self._door, self._gate, self._relay, self._line = agent, door, gate, relay, line
        self._talk = Talk(Side.PROXY)
        self._ended = trio.Event()
        self._said = ""
        self._recorded = False
        self._patience = trio.CancelScope()

    async def run(self) -> None:
        self._patience.deadline = trio.current_time() + self._gate.limits.head_seconds
        answered = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._carry, self._agent, self._line.inner)
            nursery.start_soon(self._carry, self._line.inner, self._agent, answered)
            try:
                with self._patience:
                    await self._listen(nursery)
            except PeerError:
                pass
            self._ended.set()
            self._line.channel.hang_up()  # which ends the process behind it
            with trio.move_on_after(self._gate.limits.linger_seconds):
                await answered.wait()
            nursery.cancel_scope.cancel()
        if not self._recorded:
            await self._refuse_other("a connection that asks for nothing")

    async def _carry(self, source: Peer, sink: Peer, ended: trio.Event | None = None) -> None:
        """What one end of the agent's SSH says to the other. Its bytes leave the machine nowhere."""
        try:
            await move(source, sink, UNCOUNTED)
            sink.end()
        except (PeerError, UpstreamError):
            self._line.inner.hang_up()
        if ended is not None:
            ended.set()

    async def _listen(self, nursery: trio.Nursery) -> None:
        """Until the process has ended, and what it carried too. Raises PeerError for what it may not say."""
        carrying: trio.Event | None = None
        while raw := await self._line.channel.recv():
            for message in self._talk.feed(raw):
                match message.kind:
                    case Kind.TRIED:
                        await self._refuse_other(message.text("what"))
                    case Kind.ASK:
                        self._patience.deadline = math.inf
                        judged, key = self._judge(message)
                        reply = await self._gate.approvals.ask(
                            judged, self._gate.policy, self._agent.wait_gone
                        )
                        if reply is not None:
                            judged, key = self._judge(message)
                            judged = reply.apply(judged)
                        key = key if judged.decision.allowed else None
                        if key is None:
                            await self._refuse(judged)
                            await self._say(Kind.NO, reason=judged.decision.reason)
                        else:
                            self._recorded, carrying = True, trio.Event()
                            nursery.start_soon(self._go, judged, key, message, carrying)
                    case _:
                        self._said = message.text("reason")
                        self._ended.set()
        self._ended.set()
        if carrying is not None:
            await carrying.wait()

    async def _say(self, kind: Kind, **fields: str | list[str]) -> None:
        await self._line.channel.send(self._talk.say(kind, **fields))

    async def _refuse_other(self, what: str) -> None:
        """A denial of something else than git, by the rule that allows git alone."""
        judged = self._judge_other(what)
        await self._refuse(judged)

    async def _refuse(self, judged: Judgement) -> None:
        self._recorded = True
        await self._gate.recorder.refuse(judged.attempt, judged.decision, judged.facts)

    def _judge_other(self, what: str) -> Judgement:
        judged = judge_tcp(self._gate.policy, self._door, self._gate.ledger.moment(), Protocol.SSH)
        decision = judged.decision
        if decision.allowed or decision.rule is None:  # by a policy that has come into force meanwhile
            reason = f"git alone is carried in this connection, not {what}"
            return attrs.evolve(judged, decision=deny(Layer.OPERATION, reason), facts={})
        return attrs.evolve(
            judged, decision=attrs.evolve(decision, reason=f"{decision.rule} carries git alone, not {what}")
        )

    def _judge(self, asked: Message) -> tuple[Judgement, HeldKey | None]:
        """What is asked for, and the key for it where it is allowed."""
        try:
            command = parse_command(asked.text("command"))
        except ValueError as error:
            return self._judge_other(str(error)), None
        gate, door = self._gate, self._door
        judged = judge_git(gate.policy, door, command, gate.ledger.moment())
        if not judged.decision.allowed:
            return judged, None
        secret = find_ssh_key(gate.policy, door.host, door.port)
        key = None if secret is None else self._relay.keys.get(secret.name)
        upstream, user = judged.decision.upstream, asked.text("user")
        if key is None or upstream is None or not upstream.host_keys:
            return _deny(judged, "there is no key that goes there, or no host key is pinned"), None
        if user != key.user:
            return _deny(judged, f"the key {key.name} logs in as {key.user}, not as another user"), None
        return attrs.evolve(judged, facts={**judged.facts, "secrets_used": [key.commitment]}), key

    async def _go(self, judged: Judgement, key: HeldKey, asked: Message, done: trio.Event) -> None:
        """The way out, from the intent to the outcome."""
        upstream = judged.decision.upstream
        if upstream is None or upstream.host_keys is None:
            raise ValueError("an allowed command has no upstream")
        try:
            await self._say(
                Kind.GO,
                user=key.user,
                command=str(judged.facts["command"]),
                protocol=asked.text("protocol"),
                key=key.text,
                host=str(upstream.host),
                host_keys=sorted(upstream.host_keys),
            )
            outer = self._line.outer
            undialled = await open_pinned(outer, judged, upstream, self._gate, self._conclude)
            await end_undialled(outer, undialled, self._gate.limits)
        except PeerError:
            self._line.outer.hang_up()
        finally:
            done.set()

    async def _conclude(self, flow: Flow) -> None:
        """What the other process says of how it ended, which comes by another way than its end."""
        with trio.move_on_after(self._gate.limits.linger_seconds):
            await self._ended.wait()
        if self._said:
            flow.fail(self._said)


def _deny(judged: Judgement, reason: str) -> Judgement:
    return attrs.evolve(judged, decision=deny(Layer.SECRET, reason))
