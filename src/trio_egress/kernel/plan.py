"""The sandbox as data, before it is system calls: what the launcher will do, step by step.

The launcher is a program of its own that knows only the standard library, so the plan travels to it as JSON in a
sealed memory file. Nothing in it is secret.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import stat
from collections.abc import Iterable, Mapping, Sequence

import attrs

from trio_egress.kernel import syscalls
from trio_egress.kernel.identity import Identities
from trio_egress.kernel.landlock import explain_absence
from trio_egress.kernel.mounts import View, find_guard, plan_mounts
from trio_egress.kernel.places import find_private, find_writable
from trio_egress.kernel.protection import Guard
from trio_egress.kernel.resources import Resources, find_available, limit_mounts, plan_resources
from trio_egress.kernel.seccomp import Filters, build_filters
from trio_egress.kernel.steps import Mount
from trio_egress.resource_limits import ResourceLimits
from trio_egress.values import frozen

DEFAULT_LIMITS = ResourceLimits()


@frozen
class Landlock:
    """What Landlock of version `abi` leaves writable; `missing` says why it is not used, where it is not."""

    abi: int
    places: tuple[str, ...]
    missing: str


@frozen
class Plan:
    """Everything that the launcher needs to know. `must_write`: where the agent, too, has to be able to write.

    `directory_is`: device and inode of the directory, where its path may have been made to lead elsewhere.
    """

    command: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    identities: Identities
    mounts: tuple[Mount, ...]
    proxy_port: int
    seccomp: Filters
    resources: Resources
    landlock: Landlock
    guard: Guard
    must_write: tuple[str, ...] = ()
    lent: str = ""
    directory_is: tuple[int, int] | None = None
    group: Mapping[str, int] = attrs.field(factory=dict)


def plan_sandbox(
    command: Sequence[str],
    environment: Mapping[str, str],
    identities: Identities,
    view: View,
    proxy_port: int,
    limits: ResourceLimits = DEFAULT_LIMITS,
) -> Plan:
    """Work the whole sandbox out. Raises SandboxError for what can't be built."""
    mounts = plan_mounts(view)
    resources = plan_resources(limits, identities, find_private(mounts), find_available())
    return Plan(
        command=tuple(command),
        directory=view.directory,
        environment=dict(environment),
        identities=identities,
        mounts=limit_mounts(mounts, resources),
        proxy_port=proxy_port,
        seccomp=build_filters(platform.machine(), stat.S_ISUID | (stat.S_ISGID if view.lent else 0)),
        resources=resources,
        landlock=plan_landlock(mounts),
        guard=find_guard(view),
        must_write=_find_shared(view, identities),
        lent=view.lent,
    )


def _find_shared(view: View, identities: Identities) -> tuple[str, ...]:
    """Where an ordinary user and its agent, who is somebody else, both work: what that user can write itself.

    Of root's run: what is lent to the agent.
    """
    if identities.root:
        return (view.lent,) if view.lent else ()
    places = (view.directory, *view.write) if identities.apart else ()
    return tuple(path for path in places if os.access(path, os.W_OK))


def plan_landlock(mounts: Iterable[Mount]) -> Landlock:
    """A kernel without Landlock is no error: the mounts hold by themselves, and the plan says what is missing."""
    abi = syscalls.landlock_abi()
    missing = explain_absence(abi)
    return Landlock(0 if missing else abi, find_writable(mounts), missing)


def render_plan(plan: Plan) -> bytes:
    """The plan as the launcher reads it. Strings keep undecodable bytes as surrogates, as `os.fsencode` expects."""
    document = attrs.asdict(plan)
    document["seccomp"] = {
        name: base64.b64encode(raw).decode("ascii") for name, raw in document["seccomp"].items()
    }
    return json.dumps(document).encode("ascii")


def open_plan(plan: Plan) -> int:
    """A sealed, inheritable memory file with the plan; the caller closes it."""
    import fcntl

    descriptor = os.memfd_create("trio-egress-plan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    raw = render_plan(plan)
    written = 0
    while written < len(raw):
        written += os.write(descriptor, raw[written:])
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
