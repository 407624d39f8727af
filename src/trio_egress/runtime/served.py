"""A session whose program is a client of `trio-egress serve`: another process of another user, at the end of a socket.

Rule 1: what the client gets of the evidence is its directory, open for reading, when the chain is closed and signed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from trio_egress.runtime.parting import say_last
from trio_egress.runtime.serving import Host
from trio_egress.runtime.spec import RunSpec
from trio_egress.values import define


@define(slots=False, eq=False)
class ServedHost(Host):
    """The client at the other end of `sock`."""

    _evidence: Path = attrs.field(factory=Path, init=False)
    _packet: int = attrs.field(default=-1, init=False)

    def join(self, spec: RunSpec) -> RunSpec:
        self._evidence = spec.evidence
        return super().join(spec)

    @contextmanager
    def open_streams(self) -> Iterator[tuple[int, ...]]:
        """With the rights that are there at the start, and not at the end, the packet's directory is opened, too."""
        self._packet = os.open(self._evidence, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with super().open_streams() as streams:
            yield streams

    def part(self, status: object) -> None:
        """The last word: how it ended, with the packet."""
        packet = [] if self._packet < 0 else [self._packet]
        say_last(self.sock, packet, step="closed", status=status)
