"""The agent's life as the supervisor sees it: started, signalled, stopped and continued at a terminal, ended.

Speaks with PID 1 of the sandbox (kernel/init.py) in one JSON message a packet. It never decides why a run ends; it
tells how the agent did.
"""

from __future__ import annotations

import errno
import json
import signal
import socket
from array import array
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trio_egress.runtime.live_line import LiveLine
from trio_egress.runtime.orders import Orders
from trio_egress.runtime.sandbox import END_SECONDS, Sandbox
from trio_egress.runtime.signals import describe_early_end
from trio_egress.runtime.spec import TERM_GRACE_SECONDS, End
from trio_egress.runtime.terminal import Terminal, open_terminal
from trio_egress.values import define, frozen

if TYPE_CHECKING:
    from trio_egress.runtime.program_approver import ProgramApprover
    from trio_egress.runtime.terminal_approver import TerminalApprover

MESSAGE_BYTES = 65536
ENDING = (signal.SIGTERM, signal.SIGHUP)
"""After one of these the agent has TERM_GRACE_SECONDS; SIGINT may mean anything to an interactive agent."""

TWICE_SECONDS = 2.0
"""Within these a second SIGINT is impatience. One now and then may be how somebody speaks to the agent."""


@frozen
class AgentEnd:
    """How it ended: `code` is the exit code, negative for a signal; None where it never started.

    `ended_by`: the signal for which it did not. `touched`: protected files are not as they were.
    """

    end: End
    code: int | None = None
    message: str = ""
    not_found: bool = False
    limit: str = ""
    ended_by: int | None = None
    touched: bool = False


Tell = Callable[[Mapping[str, Any]], None]
"""Takes what PID 1 says of refused system calls, whenever it says it."""


def end_early(orders: Orders) -> AgentEnd:
    """The end of a run whose agent is not started any more."""
    number = orders.ended_by
    assert number is not None
    return AgentEnd(End.INTERRUPTED, message=describe_early_end(number), ended_by=number)


async def run_agent(
    sandbox: Sandbox,
    orders: Orders,
    timeout_seconds: float | None,
    tell: Tell,
    *,
    at_terminal: bool = True,
    line: LiveLine | None = None,
    approver: TerminalApprover | ProgramApprover | None = None,
) -> AgentEnd:
    """Start the agent and stay with it to its end, whatever ends it. `at_terminal`: where the caller is, if at one.

    `line`: of status, for it. `approver`: who is asked there.
    """
    if not orders.start_agent():
        return end_early(orders)
    with open_terminal() if at_terminal else nullcontext() as terminal:
        async with (
            nullcontext() if approver is None else approver.use(terminal),
            trio.open_nursery() as nursery,
        ):
            deadline = _Deadline()
            nursery.start_soon(_keep_signals, sandbox, orders.for_agent, deadline)
            if timeout_seconds is not None:
                nursery.start_soon(_keep_time, sandbox, timeout_seconds, deadline)
            with deadline.scope:
                deadline.agent = await _live(sandbox, terminal, tell, line)
            nursery.cancel_scope.cancel()
        return deadline.verdict()


async def _live(sandbox: Sandbox, terminal: Terminal | None, tell: Tell, line: LiveLine | None) -> AgentEnd:
    """Start the agent, with a terminal of its own where the caller has one, and wait for its end."""
    if terminal is None:
        await _say(sandbox, step="go", streams=())
        return await _follow(sandbox, None, tell)
    await _say(sandbox, step="go", **terminal.begin())
    raw, descriptors = await _receive(sandbox)
    if not descriptors:
        return _not_started(json.loads(raw) if raw else None)
    async with terminal.open_relay(descriptors[0], partial(_say, sandbox), line):
        return await _follow(sandbox, terminal, tell)


async def _follow(sandbox: Sandbox, terminal: Terminal | None, tell: Tell) -> AgentEnd:
    message = await _hear(sandbox, tell)
    if message is None or message["step"] != "started":
        return _not_started(message)
    return await _wait_end(sandbox, terminal, tell)


@define
class _Deadline:
    """What was asked of the agent from outside, and until when it may take."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    end: End = End.EXITED
    code: int | None = None
    message: str = ""
    agent: AgentEnd | None = None

    def set(self, end: End, code: int, message: str, *, at_once: bool = False) -> None:
        if self.end is End.EXITED:
            self.end, self.code, self.message = end, code, message
            self.scope.deadline = trio.current_time() + TERM_GRACE_SECONDS
        if at_once:
            self.scope.deadline = trio.current_time()

    def verdict(self) -> AgentEnd:
        if self.agent is not None and self.end is not End.TIMED_OUT:
            return self.agent if self.end is End.EXITED else attrs.evolve(self.agent, end=self.end)
        return AgentEnd(self.end, self.code, self.message)


async def _keep_signals(sandbox: Sandbox, signals: AsyncIterator[int], deadline: _Deadline) -> None:
    interrupted = -TWICE_SECONDS
    async for number in signals:
        await _say(sandbox, step="signal", signal=int(number))
        if number == signal.SIGINT:
            if trio.current_time() - interrupted < TWICE_SECONDS:
                deadline.set(
                    End.TERMINATED, -number, "ended at once by SIGINT, which came twice", at_once=True
                )
            interrupted = trio.current_time()
        if number in ENDING:
            await _continue(sandbox)
            deadline.set(End.TERMINATED, -number, f"ended by {signal.Signals(number).name}")


async def _keep_time(sandbox: Sandbox, seconds: float, deadline: _Deadline) -> None:
    await trio.sleep(seconds)
    deadline.set(End.TIMED_OUT, -signal.SIGTERM, f"the agent was ended after {seconds:g} s, its time-out")
    await _say(sandbox, step="signal", signal=int(signal.SIGTERM))
    await _continue(sandbox)


async def _continue(sandbox: Sandbox) -> None:
    """An agent that is stopped would hear of no other signal before it is killed."""
    await _say(sandbox, step="signal", signal=int(signal.SIGCONT))


async def _wait_end(sandbox: Sandbox, terminal: Terminal | None, tell: Tell) -> AgentEnd:
    while True:
        message = await _hear(sandbox, tell)
        if message is None:
            return AgentEnd(End.KILLED, -signal.SIGKILL, "the sandbox was killed from outside")
        if message["step"] == "exited":
            return _ended(int(str(message["code"])), message.get("limit"))
        if message["step"] == "stopped" and terminal is not None:
            await terminal.stop_with_agent(message, partial(_say, sandbox))


def _ended(code: int, limit: Any) -> AgentEnd:
    """`limit`: what the agent had come to (`kernel/watch.py`, Reached), or None."""
    if limit is None:
        return AgentEnd(End.EXITED, code)
    name, most, ends = limit["name"], explain_amount(limit["name"], limit["most"]), limit["ends"]
    said = f"was ended: more than {most}" if ends else f"came to its limit of {most}"
    if ends and name == "processes":
        said = f"was ended: it stayed at its limit of {most}"
    message = f"the agent {said} ([limits] {name})"
    return AgentEnd(End.OVER_LIMIT if ends else End.EXITED, code, message, limit=name)


def explain_amount(limit: str, most: int) -> str:
    match limit:
        case "memory":
            return f"{most / (1 << 20):g} MiB of memory"
        case "file_size":
            return f"{most / (1 << 20):g} MiB in one file"
        case "cpu_seconds":
            return f"{most} s of processor time"
        case _:
            return f"{most} {limit.replace('_', ' ')}"


def _not_started(message: dict[str, Any] | None) -> AgentEnd:
    if message is None:
        return AgentEnd(End.REFUSED, message="the sandbox ended before the agent ran")
    if message.get("stage") != "exec":
        return AgentEnd(End.REFUSED, message=f"cannot start the agent: {message['message']}")
    missing = message["errno"] == errno.ENOENT
    return AgentEnd(End.NOT_STARTED, message=str(message["message"]), not_found=missing)


async def _say(sandbox: Sandbox, **message: object) -> None:
    try:
        await sandbox.control.send(json.dumps(message).encode("ascii"))
    except (OSError, trio.ClosedResourceError):
        return  # PID 1 is gone, and `_hear` says so


async def _hear(sandbox: Sandbox, tell: Tell) -> dict[str, Any] | None:
    """The next word that is about the agent's life; None when PID 1 is gone."""
    while True:
        try:
            raw = await sandbox.control.recv(MESSAGE_BYTES)
        except (OSError, trio.ClosedResourceError):
            return None
        if not raw:
            return None
        message: dict[str, Any] = json.loads(raw)
        if message["step"] != "refused":
            return message
        tell(message)


async def _receive(sandbox: Sandbox) -> tuple[bytes, list[int]]:
    """A message and the descriptor that comes with it."""
    room = socket.CMSG_LEN(array("i").itemsize)
    try:
        raw, ancillary, _, _ = await sandbox.control.recvmsg(MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    except (OSError, trio.ClosedResourceError):
        return b"", []
    return raw, [descriptor for _, _, data in ancillary for descriptor in array("i", data)]


async def ask(
    sandbox: Sandbox, answer: str, tell: Tell = lambda _: None, **message: object
) -> dict[str, Any] | None:
    """One word to PID 1 and its `answer`; None when it is gone. What it had said of the agent before is passed over."""
    await _say(sandbox, **message)
    while (heard := await _hear(sandbox, tell)) is not None:
        if heard["step"] in (answer, "failed"):
            return heard
    return None


async def end_inside(sandbox: Sandbox, tell: Tell) -> None:
    """Have PID 1 kill everything else inside, and say what is left to say; if it doesn't answer, it is ended too."""
    with trio.move_on_after(END_SECONDS) as patience:
        await ask(sandbox, "ended", tell, step="end")
    if patience.cancelled_caught:
        await sandbox.end(0)
