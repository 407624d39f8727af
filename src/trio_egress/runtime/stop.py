"""The kill switch: all egress of a run ends at once, and for the rest of the run.

It is pulled by SIGUSR1 (`trio-egress stop`), or by a file that appears (`--stop-file`). The agent lives on, and is told
why nothing answers.

Rule 1: to stop is to put a policy in force that allows nothing, so that a reviewer decides what follows by that one.
Rule 2: nothing takes it back: no reload, no second file, no signal.
Rule 3: the file is where the agent can't write: it could take it away between two looks, or move what it is in.
Rule 4: a file of which it can't be said that it isn't there, is there.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import trio

from trio_egress.errors import UsageError
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy
from trio_egress.proxy.gate import Gate
from trio_egress.recorder import Recorder
from trio_egress.values import frozen

LOOK_SECONDS = 0.2
"""Between two looks for the file: less than a person needs to wonder."""

STOPPED = "egress was stopped"
BY_SIGNAL = "by SIGUSR1"

_NOTHING = """\
# In force since egress was stopped: it allows nothing.
version = "1.0"
default_deny = true
"""

Put = Callable[[Policy, str], None]
"""Puts a policy in force; the text is why."""


def make_nothing() -> Policy:
    """The policy that is in force from then on."""
    return load_policy(_NOTHING, "stopped.toml")


@frozen
class StopFile:
    """A path to look for, from a directory that is held open: no other takes its place."""

    path: Path
    directory: int

    def look(self) -> str:
        """Why egress is to stop, or nothing."""
        try:
            os.stat(self.path.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"by {self.path}, which can't be looked for: {error.strerror}"
        return f"by {self.path}"


@contextmanager
def hold_stop_file(path: Path | None) -> Iterator[StopFile | None]:
    """Raises UsageError where it is there already, or could never be seen."""
    if path is None:
        yield None
        return
    try:
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"--stop-file {path}: {path.parent}: {error.strerror}") from None
    try:
        file = StopFile(path, directory)
        if why := file.look():
            raise UsageError(f"{STOPPED} {why}: nothing runs until it is removed")
        yield file
    finally:
        os.close(directory)


async def keep_stop(
    gate: Gate, recorder: Recorder, requests: AsyncIterator[None], file: StopFile | None, put: Put
) -> None:
    """Stop at the first request, or when the file is there; each later request is answered, and changes nothing."""
    nothing = make_nothing()

    def stop(why: str) -> None:
        if gate.ledger.stopped:
            recorder.refuse_policy(f"the policy was not changed: {gate.ledger.stopped}")
            return
        gate.ledger.stop(f"{STOPPED} {why}, for the rest of this run")
        put(nothing, why)

    async with trio.open_nursery() as nursery:
        if file is not None:
            nursery.start_soon(_watch, file.look, stop)
        async for _ in requests:
            stop(BY_SIGNAL)


async def _watch(look: Callable[[], str], stop: Callable[[str], None]) -> None:
    find: Callable[[], Awaitable[str]] = partial(trio.to_thread.run_sync, look, abandon_on_cancel=True)
    while True:
        if why := await find():
            stop(why)
            return
        await trio.sleep(LOOK_SECONDS)
