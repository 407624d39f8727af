"""Reads the policy again while the agent runs, from the files that the run began with.

The agent sees them read-only by mounts, and a mount goes when its file is replaced: `sed -i`, git and many editors do
that. What then has the name in a directory that the agent writes in, the agent can write.

Rule 1: the way to the policy is followed once, before the agent runs.
Rule 2: where the agent can write, only what was the policy's when the run began is read, and only if it has no other
name. All of it is held open, so that no other file gets its number.
Rule 3: presets are those that the run began with, and nothing is imported for another policy.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from trio_egress.policy.presets import PRESET, PRESETS, read_preset
from trio_egress.policy.rule import Policy
from trio_egress.runtime.policy_file import find_files, read_policy_of
from trio_egress.values import frozen

_REPLACED = (
    "it is not the file that the run began with, and it is where the agent can write: write into that one, as `cp` "
    "does, or start with a policy that is elsewhere"
)


@frozen
class HeldPolicy:
    """`path`, `directory`: the policy and where its includes are named from, without links. `places`: the agent's."""

    path: Path
    directory: Path
    shown: str
    places: tuple[str, ...]
    files: frozenset[tuple[int, int]]
    presets: Mapping[str, bytes]
    allowed: tuple[str, ...] = ()

    def read(self) -> Policy:
        """Raises UsageError and PolicyError."""
        presets = self.presets.__getitem__
        return read_policy_of(
            self.path, self.directory, self.shown, self._check, presets, allowed=self.allowed
        )[1]

    def _check(self, descriptor: int) -> None:
        where, found = os.readlink(f"/proc/self/fd/{descriptor}"), os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a plain file")
        if not any(where.startswith(f"{place.rstrip('/')}/") for place in self.places):
            return
        if (found.st_dev, found.st_ino) not in self.files or found.st_nlink > 1:
            raise OSError(errno.EPERM, _REPLACED)


@contextmanager
def hold_policy(
    path: Path, policy: Policy, places: Iterable[str], allowed: Sequence[str] = ()
) -> Iterator[HeldPolicy]:
    """The policy at this path, before the agent runs. `places`: the directories that stay the host's own for it.

    `allowed`: the destinations that the command line added to it, and adds to each policy after it."""
    descriptors: list[int] = []
    try:
        for file in find_files(path, policy):
            with suppress(OSError):  # a user without the right to it will not read it later, either
                descriptors.append(os.open(file, os.O_PATH | os.O_CLOEXEC))
        found = [os.fstat(descriptor) for descriptor in descriptors]
        yield HeldPolicy(
            Path(os.path.realpath(path)),
            Path(os.path.realpath(path.parent)),
            str(path),
            tuple(map(os.path.realpath, places)),
            frozenset((status.st_dev, status.st_ino) for status in found),
            {name: read_preset(name) for name in (f"{PRESET}{word}" for word in PRESETS)},
            tuple(allowed),
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
