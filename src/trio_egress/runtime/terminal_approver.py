"""Whoever sits at the caller's terminal, asked about attempts: `trio-egress run --ask`.

Rule 1: one question at a time; while it stands the agent has neither keys nor screen.
Rule 2: what was typed before it was there for a while is no answer to it.
Rule 3: the agent's end, and the terminal's, end every question.
"""

from __future__ import annotations

import os
import pwd
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress

import attrs
import trio

from trio_egress.model import Host, RuleRef
from trio_egress.proxy.approval import ApproverError, Question, Said
from trio_egress.runtime.question import Key, read_key, render_answer, render_question
from trio_egress.runtime.terminal import STREAMS, Terminal, open_own_terminal
from trio_egress.values import define

SETTLE_SECONDS = 0.5
"""Nobody reads a question in less, so what is typed by then was meant for something else (browsers wait as long with
their dialogues, and for this reason)."""

KEYS_BYTES = 4096
ENDED = "the agent has ended"
WITHDRAWN = "the agent doesn't ask any more: denied"


def find_person() -> str | None:
    """Who is asked, in the words of receipts; None where this process has no terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return None
    return f"{os.environ.get('SUDO_USER') or _name_user()} at {_name_terminal()}"


def _name_user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _name_terminal() -> str:
    for number in STREAMS:
        with suppress(OSError):
            return os.ttyname(number)
    return "/dev/tty"


@define(eq=False)
class TerminalApprover:
    """Of one run. `person`: who is asked (`find_person`)."""

    person: str
    kind: str = attrs.field(default="terminal", init=False)
    everything: bool = attrs.field(default=False, init=False)
    _terminal: Terminal | None = attrs.field(default=None, init=False)
    _turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _allowed: set[tuple[RuleRef | None, Host]] = attrs.field(factory=set, init=False)

    @asynccontextmanager
    async def use(self, terminal: Terminal | None) -> AsyncIterator[None]:
        """Ask at this terminal, beside which the agent has one; None: at the one that this process has."""
        with open_own_terminal() if terminal is None else nullcontext(terminal) as used:
            self._terminal = used
            try:
                yield
            finally:
                self._terminal = None
                used.end_hold()
                with trio.CancelScope(shield=True):
                    async with self._turn:  # after all that wait for theirs
                        pass

    async def ask(self, question: Question) -> Said:
        async with self._turn:
            return await self._ask(question)

    async def _ask(self, question: Question) -> Said:
        key = question.rule, question.attempt.host
        if key in self._allowed:
            return Said(True, f"{self.person}, for the rest of the run")
        if self._terminal is None:
            raise ApproverError(ENDED)
        terminal = self._terminal
        with trio.CancelScope() as scope:
            async with terminal.hold(scope) as descriptor:
                match await self._put(question, terminal, descriptor):
                    case Key.NO:
                        return Said(False, self.person)
                    case Key.REST:
                        self._allowed.add(key)
                return Said(True, self.person)
        raise ApproverError(ENDED)

    async def _put(self, question: Question, terminal: Terminal, descriptor: int) -> Key:
        said = WITHDRAWN
        waiting = self._turn.statistics().tasks_waiting
        deadline = trio.current_effective_deadline()
        left = deadline - trio.current_time()
        try:
            columns = os.get_terminal_size(descriptor).columns
            await terminal.show(render_question(question, columns, min(left, question.seconds), waiting))
            key = await _read_answer(descriptor)
            said = {
                Key.ONCE: "allowed this once",
                Key.REST: "allowed until the run ends",
                Key.NO: "denied",
            }[key]
            return key
        except (OSError, termios.error):
            raise ApproverError("the terminal is gone") from None
        finally:
            if said is WITHDRAWN and trio.current_time() >= deadline:
                said = "no answer: denied"
            terminal.note(render_answer(said))


async def _read_answer(descriptor: int) -> Key:
    await trio.sleep(SETTLE_SECONDS)
    termios.tcflush(descriptor, termios.TCIFLUSH)
    while True:
        await trio.lowlevel.wait_readable(descriptor)
        try:
            keys = os.read(descriptor, KEYS_BYTES)
        except BlockingIOError:
            continue
        if not keys:
            raise ApproverError("the terminal is gone")
        if (key := read_key(keys)) is not None:
            return key
