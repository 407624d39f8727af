"""Container engines, which can't work inside: a container would run outside the sandbox, with a network of its own.

Their programs are covered with one that says so at once, instead of failing for want of a socket or a right.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from trio_egress.kernel.mountinfo import is_in
from trio_egress.kernel.steps import STAGE, Mount

PROGRAMS = frozenset(
    (
        "docker",
        "docker-compose",
        "podman",
        "podman-compose",
        "podman-remote",
        "nerdctl",
        "buildah",
        "ctr",
        "crictl",
    )
)
PLACES = ("/usr/local/bin", "/usr/bin", "/bin", "/snap/bin")
"""Looked through even where they are not in PATH."""

STAND_IN = f"{STAGE}/no-container-engine"
TEXT = """#!/bin/sh
echo "${0##*/}: trio-egress: there is no container engine inside the sandbox, because a container runs outside of it. \
Start containers before the run, and let a rule for host.internal:PORT lead to what they serve." >&2
exit 125
"""
"""125 is what docker and podman themselves end with where no container could be started."""


def cover_engines(path: str, writable: Sequence[str]) -> Iterator[Mount]:
    """Steps for those that are on this machine. What is in the agent's own directories is its own business."""
    covered: set[str] = set()
    for folder in dict.fromkeys((*path.split(os.pathsep), *PLACES)):
        for name in sorted(PROGRAMS) if folder.startswith("/") else ():
            real = os.path.realpath(f"{folder}/{name}")
            # A link to something else, such as the starter of all snaps, can't be covered without that.
            if os.path.basename(real) in PROGRAMS and os.path.isfile(real):
                covered.add(real)
    found = sorted(real for real in covered if not any(is_in(real, place) for place in writable))
    if found:
        yield Mount("program", STAND_IN, TEXT)
    for real in found:
        yield Mount("bind", real, STAND_IN, read_only=True, optional=True)
