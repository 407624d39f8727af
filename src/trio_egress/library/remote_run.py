"""`trio_egress.run` in a sandbox of `trio-egress serve`: a session of one command, told as a run is.

Rule 1: as with a supervisor of the program's own: what ends the waiting ends the command as SIGTERM would, and goes on
when the packet is here; a second one waits for nothing.
Rule 2: the command's own end is told where the session ended because of it; else it is how the session did.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress

import attrs

from trio_egress.errors import TrioEgressError
from trio_egress.kernel.streams import STREAMS, check_streams
from trio_egress.library.command import Command, Ended
from trio_egress.library.commands import Asked, follow, read_asked, start_captured
from trio_egress.library.deciding import Deciding
from trio_egress.library.process import Kept, Output
from trio_egress.library.remote import RemoteSession, ask_serve
from trio_egress.library.running import Terms

EXITED = "agent_exited"


def run_remote(
    terms: Terms, words: Sequence[str], max_output: int | None, deciding: Deciding | None
) -> tuple[Mapping[str, object], Output]:
    """How it ended, and what was kept of its output. Raises SandboxError and UsageError."""
    output = Output(Kept(max_output or 0), Kept(max_output or 0))
    asked = read_asked(words, "", None, terms.timeout)
    own = None if max_output is not None else _find_own()
    with nullcontext() if deciding is None else deciding.open_line() as line:
        session = ask_serve(attrs.evolve(terms, timeout=None), None, line)  # it is the command's
        session.begin(None)
        ended = _run(session, asked, own or output, deciding)
        return tell(session.finish(), ended), output


def _find_own() -> list[int | None]:
    """This program's streams, before anything else is opened that would take the number of one that is closed.

    Raises SandboxError for one that would lead out.
    """
    check_streams()
    return [number if _is_open(number) else None for number in STREAMS]


def _is_open(number: int) -> bool:
    with suppress(OSError):
        os.fstat(number)
        return True
    return False


def _run(
    session: RemoteSession, asked: Asked, streams: list[int | None] | Output, deciding: Deciding | None
) -> Ended | None:
    """None where the session has ended before."""
    try:
        with ExitStack() as stack:
            command, pipes = _start(session, asked, streams, stack)
            return follow(command, pipes, deciding)
    except BaseException as error:
        if isinstance(error, TrioEgressError) and session.closed:
            return None
        if deciding is not None:
            deciding.close()
        session.hang_up()
        raise


def _start(
    session: RemoteSession, asked: Asked, streams: list[int | None] | Output, stack: ExitStack
) -> tuple[Command, dict[int, Kept]]:
    """What is closed is nothing."""
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    stack.callback(os.close, nowhere)
    if isinstance(streams, Output):
        return start_captured(session, asked, nowhere, (streams.stdout, streams.stderr), stack)
    given = [nowhere if number is None else number for number in streams]
    return session.spawn(asked.argv, given, asked.directory, asked.environment, asked.timeout), {}


def tell(status: Mapping[str, object], ended: Ended | None) -> dict[str, object]:
    """The session's status, as that of a run."""
    told = dict(status)
    if ended is None:
        return {**told, "agent_exit_code": None} if told["end"] == EXITED else told
    code = ended.returncode
    told["agent_exit_code"] = code if code is not None and code >= 0 else None
    told["agent_signal"] = -code if code is not None and code < 0 else None
    if told["end"] == EXITED:
        told["end"], told["message"] = _explain(ended)
    return told


def _explain(ended: Ended) -> tuple[str, str]:
    if ended.returncode is None:
        return "agent_not_started", ended.message
    if ended.timed_out:
        return "timed_out", "the agent was ended by its time-out"
    if ended.limit:
        return "limit_exceeded", f"the agent came to the limit {ended.limit!r} in [limits]"
    return EXITED, ""
