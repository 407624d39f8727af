"""What this machine allows, measured: every facility that a run needs, by trying it.

Judges what the trials (trial.py) saw, and knows the cures; it changes nothing and installs nothing.

Rule 1: whatever fails is a line with its cure, never an exception.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Literal

from trio_egress.errors import SandboxError
from trio_egress.kernel import calls, syscalls
from trio_egress.kernel.accounts import find_power
from trio_egress.kernel.identity import SUBORDINATE, Identities, find_identities
from trio_egress.kernel.trial import (
    enter_namespaces,
    try_in_child,
    use_layers,
    use_mounts,
    use_network,
    use_notification,
    use_seccomp,
    use_subordinate,
)
from trio_egress.values import frozen

OLDEST_KERNEL = (5, 2)
"""The first with nat chains in the inet family."""

OLDEST_PYTHON = (3, 10)

Status = Literal["ok", "warn", "fail"]


@frozen
class Probe:
    """One line of the doctor. `cure` is empty where nothing is wrong."""

    name: str
    status: Status
    found: str
    cure: str = ""


@frozen
class Limits:
    """The settings that decide who may create user namespaces; None where this kernel has no such setting."""

    apparmor_restricts: int | None
    max_namespaces: int | None
    unprivileged_clone: int | None


def probe_all(user: str | None = None, proxy_user: str | None = None) -> list[Probe]:
    """Everything that a run as this caller (with these options) needs, in the order in which it needs it."""
    system = os.uname()
    probes = [
        judge_platform(system.release, system.machine),
        judge_python(platform.python_version_tuple(), sys.executable),
    ]
    try:
        identities = find_identities(user, os.environ, proxy_user)
    except SandboxError as error:
        return [*probes, Probe("identity", "fail", str(error), "name another user")]
    probes += judge_agent(identities)
    limits = Limits(
        _read_sysctl("kernel/apparmor_restrict_unprivileged_userns"),
        _read_sysctl("user/max_user_namespaces"),
        _read_sysctl("kernel/unprivileged_userns_clone"),
    )
    outcome = try_in_child(functools.partial(enter_namespaces, identities))
    probes += judge_namespaces(outcome.failure, limits, identities)
    probes.append(_probe_interpreter(identities))
    if not identities.root:
        probes.append(_probe_subordinate(outcome.failure))
    if not outcome.failure:
        probes += [_probe_mounts(identities), _probe_layers(identities), *_probe_network(identities)]
    return [*probes, _probe_seccomp(), _probe_notification(), _probe_landlock(), _probe_splice()]


def judge_platform(release: str, machine: str) -> Probe:
    found = f"Linux {release} on {machine}"
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if machine not in calls.MACHINES:
        return Probe("platform", "fail", found, f"use one of {', '.join(sorted(calls.MACHINES))}")
    if numbers is None or tuple(map(int, numbers.groups())) < OLDEST_KERNEL:
        return Probe("platform", "fail", found, "use Linux {}.{} or newer".format(*OLDEST_KERNEL))
    return Probe("platform", "ok", found)


def judge_python(version: tuple[str, str, str], executable: str) -> Probe:
    found = f"Python {'.'.join(version)} at {executable}"
    if (int(version[0]), int(version[1])) < OLDEST_PYTHON:
        return Probe("python", "fail", found, "use Python {}.{} or newer".format(*OLDEST_PYTHON))
    return Probe("python", "ok", found)


def judge_agent(identities: Identities) -> Iterator[Probe]:
    """Inside, sudo is dead for everybody. What the agent leaves behind is run later by whoever works there."""
    agent = identities.agent
    power = find_power(agent.name, agent.gid) if identities.root else ""
    if power:
        cure = "give --user an account without sudo where the agent need not be this one"
        found = f"{power}: not inside, but who later runs what the agent left may become root"
        yield Probe("identity", "warn", found, cure)
    elif identities.root:
        yield Probe("identity", "ok", f"the agent is {agent.name}, the proxy {identities.supervisor.name}")


def judge_namespaces(failure: str, limits: Limits, identities: Identities) -> Iterator[Probe]:
    """The trial's outcome, then the settings behind it, even where something else makes it work."""
    who = "root" if identities.root else identities.supervisor.name
    cure = namespace_cure(limits, identities.root)
    if failure:
        yield Probe("namespaces", "fail", f"{who} cannot build a sandbox: {failure}", cure)
    else:
        yield Probe("namespaces", "ok", f"{who} may create them")
    if limits.apparmor_restricts is not None:
        does = "restricts" if limits.apparmor_restricts else "does not restrict"
        found = f"{does} the user namespaces of ordinary users"
        if limits.apparmor_restricts and failure and not identities.root:
            yield Probe("apparmor", "fail", found, cure)
        else:
            yield Probe("apparmor", "ok", found)
    for setting, value, good in (
        ("user.max_user_namespaces", limits.max_namespaces, 15000),
        ("kernel.unprivileged_userns_clone", limits.unprivileged_clone, 1),
    ):
        if value == 0:
            yield Probe("sysctl", "warn", f"{setting} = 0", f"sudo sysctl -w {setting}={good}")
        elif value is not None:
            yield Probe("sysctl", "ok", f"{setting} = {value}")


def namespace_cure(limits: Limits, root: bool) -> str:
    """The cure for what is known to forbid it here, else the one for containers."""
    if limits.max_namespaces == 0:
        return "sudo sysctl -w user.max_user_namespaces=15000"
    if root:
        return (
            f"root is not enough here, so this is most likely a container: {_CONTAINER} --cap-add SYS_ADMIN"
        )
    cures = ["run it as root: sudo trio-egress run …"]
    if limits.apparmor_restricts:
        cures.append("or allow it to all: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
        cures.append(f"or to this interpreter: {_render_apparmor_profile(os.path.realpath(sys.executable))}")
    elif limits.unprivileged_clone == 0:
        cures.append("or allow it to all: sudo sysctl -w kernel.unprivileged_userns_clone=1")
    else:
        cures.append(f"or, in a container: {_CONTAINER}")
    return "\n".join(cures)


_CONTAINER = (
    "start it (docker, podman) with --security-opt seccomp=unconfined"
    " --security-opt apparmor=unconfined --security-opt systempaths=unconfined"
)


def _render_apparmor_profile(program: str) -> str:
    """One line for a shell; the form of the profiles that Ubuntu 24.04 ships."""
    text = (
        "abi <abi/4.0>,\\ninclude <tunables/global>\\n"
        f"profile trio-egress {program} flags=(unconfined) {{ userns, }}\\n"
    )
    file = "/etc/apparmor.d/trio-egress"
    return f"printf '{text}' | sudo tee {file} && sudo apparmor_parser -r {file}"


def _probe_interpreter(identities: Identities) -> Probe:
    """The agent may be a Python program, and a Python under a home of mode 0700 is not everybody's."""
    agent = identities.agent
    found = f"{sys.executable} as the agent's user {agent.name}"
    as_agent: dict[str, Any] = (
        {"user": agent.uid, "group": agent.gid, "extra_groups": []} if identities.root else {}
    )
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", ""], capture_output=True, check=False, cwd="/", **as_agent
        )
    except OSError as error:
        cure = f"use a Python outside of home directories, or --user with a user who may read {sys.prefix}"
        return Probe("interpreter", "fail", f"cannot start {found}: {error.strerror}", cure)
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        cure = f"sudo chmod -R o+rX {sys.prefix}, or --user with a user who may read it"
        return Probe("interpreter", "fail", f"{found} fails: {''.join(last) or done.returncode}", cure)
    return Probe("interpreter", "ok", f"starts {found}")


def _probe_subordinate(no_namespaces: str) -> Probe:
    """Whether an ordinary user's agent can be somebody else (`--user subordinate`). Nobody needs it."""
    try:
        identities = find_identities(SUBORDINATE, os.environ)
    except SandboxError as error:
        found, _, cure = str(error).removeprefix(f"--user {SUBORDINATE}: ").partition("; ")
        return Probe("subordinate", "warn", found, cure)
    if no_namespaces:
        return Probe("subordinate", "warn", no_namespaces, "see namespaces, above")
    failure = try_in_child(functools.partial(use_subordinate, identities)).failure
    if failure:
        return Probe("subordinate", "warn", failure, "reinstall the package uidmap, outside of a container")
    agent = identities.agent
    return Probe("subordinate", "ok", f"--user {SUBORDINATE}: the agent is uid {agent.uid}, gid {agent.gid}")


def _probe_mounts(identities: Identities) -> Probe:
    outcome = try_in_child(functools.partial(use_mounts, identities))
    if not outcome.failure:
        return Probe("mounts", "ok", "tmpfs and a /proc of the sandbox's own")
    cure = (
        "a /proc that a container engine has masked cannot be mounted anew: start the container with"
        " --security-opt systempaths=unconfined (docker, podman)"
    )
    return Probe("mounts", "fail", outcome.failure, cure)


def _probe_layers(identities: Identities) -> Probe:
    failure = try_in_child(functools.partial(use_layers, identities)).failure
    if not failure:
        return Probe(
            "overlays", "ok", "the host can be seen through overlays, on which none of its sockets answers"
        )
    cure = (
        "load the kernel's module (sudo modprobe overlay); in a container, give it a root that is not an overlay on an "
        "overlay. Without, a run with a HOME does not start"
    )
    return Probe("overlays", "warn", failure, cure)


def _probe_network(identities: Identities) -> Iterator[Probe]:
    outcome = try_in_child(functools.partial(use_network, identities))
    cure = (
        "load what the kernel does not load by itself: sudo modprobe -a nf_tables nft_ct nft_redir nft_reject_inet"
        " nft_log nfnetlink_log (Debian, Ubuntu: the package linux-modules-extra-$(uname -r) may have them)"
    )
    if outcome.failure:
        yield Probe("network", "fail", outcome.failure, cure)
        return
    for line in json.loads(outcome.text):
        ok = line["failure"] == ""
        yield Probe(
            line["name"], "ok" if ok else "fail", line["failure"] or line["found"], "" if ok else cure
        )


def _probe_seccomp() -> Probe:
    outcome = try_in_child(use_seccomp)
    if outcome.failure:
        return Probe("seccomp", "fail", outcome.failure, "use a kernel with CONFIG_SECCOMP_FILTER")
    return Probe("seccomp", "ok", "the filter refuses what it must")


def _probe_notification() -> Probe:
    outcome = try_in_child(use_notification)
    if not outcome.failure:
        return Probe("notification", "ok", "a refused system call becomes a receipt")
    cure = (
        "refused they are all the same; for receipts of them use Linux 5.0 or newer, and do not start trio-egress"
        " inside something that has a seccomp listener (EBUSY)"
    )
    return Probe("notification", "warn", f"refused system calls leave no receipt: {outcome.failure}", cure)


def _probe_landlock() -> Probe:
    abi = syscalls.landlock_abi()
    if abi:
        return Probe("landlock", "ok", f"ABI {abi}")
    cure = (
        "not needed yet; Linux 5.13 or newer with landlock in the lsm= list of the kernel command line has it"
    )
    return Probe("landlock", "warn", "missing or switched off", cure)


def _probe_splice() -> Probe:
    """Bulk data is moved by splice(2), socket to pipe to socket."""
    left, right = socket.socketpair()
    reader, writer = os.pipe()
    try:
        left.send(b"bulk")
        moved = os.splice(right.fileno(), writer, 4)
    except OSError as error:
        return Probe(
            "splice", "warn", f"cannot splice from a socket: {error.strerror}", "bulk data is copied"
        )
    finally:
        left.close()
        right.close()
        os.close(reader)
        os.close(writer)
    return Probe("splice", "ok", f"moves data without copying ({moved} of 4 bytes)")


def _read_sysctl(name: str) -> int | None:
    try:
        with open(f"/proc/sys/{name}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
