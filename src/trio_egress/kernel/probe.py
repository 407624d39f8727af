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
from typing import Literal

import attrs

from trio_egress.errors import SandboxError
from trio_egress.kernel import seccomp, syscalls
from trio_egress.kernel.identity import Identities, find_identities
from trio_egress.kernel.trial import enter_namespaces, try_in_child, use_mounts, use_network, use_seccomp

OLDEST_KERNEL = (5, 2)
"""The first with nat chains in the inet family."""

OLDEST_PYTHON = (3, 10)

Status = Literal["ok", "warn", "fail"]


@attrs.frozen
class Probe:
    """One line of the doctor. `cure` is empty where nothing is wrong."""

    name: str
    status: Status
    found: str
    cure: str = ""


def probe_all(user: str | None = None) -> list[Probe]:
    """Everything that a run as this caller (with `--user user`) needs, in the order in which it needs it."""
    try:
        identities = find_identities(user, os.environ)
    except SandboxError as error:
        return [*_probe_platform(), Probe("identity", "fail", str(error), "give --user an existing user")]
    namespaces = _probe_namespaces(identities)
    probes = [*_probe_platform(), namespaces, *_probe_limits(identities, namespaces.status == "ok")]
    probes += _probe_interpreter(identities)
    if namespaces.status == "ok":
        probes += [_probe_mounts(identities), *_probe_network(identities)]
    return [*probes, _probe_seccomp(), _probe_landlock(), _probe_splice()]


def _probe_platform() -> Iterator[Probe]:
    system = os.uname()
    found = f"Linux {system.release} on {system.machine}"
    numbers = re.match(r"(\d+)\.(\d+)", system.release)
    if system.machine not in seccomp.MACHINES:
        yield Probe("platform", "fail", found, f"use one of {', '.join(sorted(seccomp.MACHINES))}")
    elif numbers is None or tuple(map(int, numbers.groups())) < OLDEST_KERNEL:
        yield Probe("platform", "fail", found, f"use Linux {OLDEST_KERNEL[0]}.{OLDEST_KERNEL[1]} or newer")
    else:
        yield Probe("platform", "ok", found)
    python = f"Python {platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        yield Probe("python", "fail", python, "use Python 3.10 or newer")
    else:
        yield Probe("python", "ok", python)


def _probe_namespaces(identities: Identities) -> Probe:
    name = "namespaces"
    who = "root" if identities.root else identities.supervisor.name
    outcome = try_in_child(functools.partial(enter_namespaces, identities))
    if outcome.failure:
        return Probe(name, "fail", f"{who} cannot build a sandbox: {outcome.failure}", _namespace_cure())
    return Probe(name, "ok", f"{who} may create them")


def _namespace_cure() -> str:
    """The cure for what is known to forbid it here, else those of the usual places."""
    if _read_sysctl("user/max_user_namespaces") == 0:
        return "sudo sysctl -w user.max_user_namespaces=15000"
    if os.geteuid() == 0:
        return (
            "root is not enough here, so this is most likely a container: start it with\n"
            "--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
            " --security-opt systempaths=unconfined --cap-add SYS_ADMIN (docker, podman)"
        )
    cures = ["run it as root: sudo trio-egress run …"]
    if _read_sysctl("kernel/apparmor_restrict_unprivileged_userns") == 1:
        cures += [
            "or allow it to all: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            "or to this interpreter: " + _apparmor_profile(),
        ]
    elif _read_sysctl("kernel/unprivileged_userns_clone") == 0:
        cures.append("or allow it to all: sudo sysctl -w kernel.unprivileged_userns_clone=1")
    else:
        cures.append(
            "or, in a container (docker, podman): --security-opt seccomp=unconfined"
            " --security-opt apparmor=unconfined --security-opt systempaths=unconfined"
        )
    return "\n".join(cures)


def _apparmor_profile() -> str:
    program = os.path.realpath(sys.executable)
    text = (
        f"abi <abi/4.0>,\\ninclude <tunables/global>\\n"
        f"profile trio-egress {program} flags=(unconfined) {{ userns, }}\\n"
    )
    file = "/etc/apparmor.d/trio-egress"
    return f"printf '{text}' | sudo tee {file} && sudo apparmor_parser -r {file}"


def _probe_limits(identities: Identities, works: bool) -> Iterator[Probe]:
    """The settings behind it, named even where something else makes it work."""
    restricted = _read_sysctl("kernel/apparmor_restrict_unprivileged_userns")
    if restricted is not None:
        found = "restricts" if restricted else "does not restrict"
        note = "; root is exempt" if restricted and identities.root else ""
        failed = restricted and not works and not identities.root
        status: Status = "fail" if failed else "ok"
        cure = _namespace_cure() if failed else ""
        yield Probe("apparmor", status, f"{found} the user namespaces of ordinary users{note}", cure)
    for file in ("user/max_user_namespaces", "kernel/unprivileged_userns_clone"):
        value = _read_sysctl(file)
        if value is not None:
            setting = file.replace("/", ".")
            status = "warn" if value == 0 else "ok"
            cure = f"sudo sysctl -w {setting}=…, see namespaces" if value == 0 else ""
            yield Probe("sysctl", status, f"{setting} = {value}", cure)


def _probe_interpreter(identities: Identities) -> Iterator[Probe]:
    """The agent may be a Python program, and a Python under a home of mode 0700 is not everybody's."""
    agent = identities.agent
    name = "interpreter"
    command = [sys.executable, "-I", "-S", "-c", ""]
    found = f"{sys.executable} as the agent's user {agent.name}"
    try:
        if identities.root:
            done = subprocess.run(
                command, capture_output=True, cwd="/", user=agent.uid, group=agent.gid, extra_groups=[]
            )
        else:
            done = subprocess.run(command, capture_output=True, cwd="/")
    except OSError as error:
        cure = f"use a Python outside of home directories, or --user with a user who may read {sys.prefix}"
        yield Probe(name, "fail", f"cannot start {found}: {error.strerror}", cure)
        return
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        cure = f"chmod -R o+rX {sys.prefix}, or --user with a user who may read it"
        yield Probe(name, "fail", f"{found} fails: {''.join(last) or done.returncode}", cure)
    else:
        yield Probe(name, "ok", f"starts {found}")


def _probe_mounts(identities: Identities) -> Probe:
    outcome = try_in_child(functools.partial(use_mounts, identities))
    if not outcome.failure:
        return Probe("mounts", "ok", "tmpfs and a /proc of the sandbox's own")
    cure = (
        "a /proc that a container engine has masked cannot be mounted anew: start the container with"
        " --security-opt systempaths=unconfined (docker, podman)"
    )
    return Probe("mounts", "fail", outcome.failure, cure)


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
