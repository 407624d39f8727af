"""What the kernel itself holds the agent to: rlimits, the order in which memory is taken back, numbers of processes.

Standard library only: part of the launcher. What the kernel counts per process alone is counted by kernel/watch.py.

Rule 1: a limit is never raised: the caller's own hard limits stay above ours.
"""

from __future__ import annotations

import contextlib
import os
import resource
from typing import Any

from trio_egress.kernel import syscalls

Values = dict[str, Any]
"""The members of `resources.Resources`, as the plan carries them."""

NO_DUMP = 1
"""RLIMIT_CORE. Less than any core file, and unlike 0 it also keeps a crash from the host's core_pattern program."""

SANDBOX_SCORE = 999
AGENT_SCORE = 1000
"""oom_score_adj: the agent goes first, then what is around it, and the supervisor stays."""

SUPERVISOR_SCORE = -900
"""As root; else the caller's own score stays, as long as the agent's is higher."""

FEWEST_NUMBERS = 1024
NUMBERS_TO_SPARE = 300
"""RESERVED_PIDS (kernel/pid.c): what stays free of a namespace's numbers once they have been through."""


def set_memory_score(score: int) -> None:
    """Where this process stands when the machine is out of memory (`man 5 proc_pid_oom_score_adj`).

    Set by root it can't be lowered by what this process starts. An ordinary user may only raise it.
    """
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(str(score))


def keep_supervisor(*, root: bool) -> None:
    """Let this process stay when memory is short. Not before the launcher has started, which would inherit it.

    A caller that is itself the first to go (some runners start everything at 1000) may mostly step back.
    """
    if root:
        set_memory_score(SUPERVISOR_SCORE)
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        own = int(file.read())
    if own >= SANDBOX_SCORE:
        set_memory_score(SANDBOX_SCORE - 1)


def enter_group(group: dict[str, int]) -> None:
    """Move this process into the run's cgroup, where there is one (kernel/cgroup.py)."""
    if group:
        os.write(group["procs"], b"0")


def leave_keyring() -> None:
    """A session keyring of the agent's own. Where there are none, or no more to be had, nothing is lost by it: the
    system call filter refuses every call that could reach one."""
    with contextlib.suppress(OSError):
        syscalls.new_session_keyring()


def limit_numbers(values: Values) -> None:
    """Leave the PID namespace too few numbers for many more processes than are allowed (Linux 6.14; else refused)."""
    if values["processes"] is None:
        return
    most = max(2 * values["processes"] + NUMBERS_TO_SPARE, FEWEST_NUMBERS)
    try:
        with open("/proc/sys/kernel/pid_max", "r+", encoding="ascii") as file:
            if int(file.read()) > most:
                file.seek(0)
                file.write(str(most))
    except OSError:
        return  # before 6.14 it is the machine's, and nobody's in here


def limit_agent(values: Values) -> None:
    """In the agent's process, when it has its ids. `processes` needs Linux 5.14, which counts per user namespace."""
    syscalls.set_dumpable(
        True
    )  # or /proc/self would be root's; nothing of the agent runs yet, and exec sets it too
    set_memory_score(AGENT_SCORE)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (_less(hard, NO_DUMP),) * 2)
    _lower(resource.RLIMIT_NOFILE, values["open_files"])
    _lower(resource.RLIMIT_FSIZE, values["file_size"])
    _lower(resource.RLIMIT_CPU, values["cpu_seconds"], grace=1)
    if values["processes"] is not None and kernel_version() >= (5, 14):
        _lower(resource.RLIMIT_NPROC, values["processes"] + values["neighbours"])


def _lower(kind: int, most: int | None, grace: int = 0) -> None:
    """`grace`: how much later the hard limit is, whose signal can't be caught."""
    if most is None:
        return
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (_less(soft, most), _less(hard, most + grace)))


def _less(one: int, other: int) -> int:
    return other if one == resource.RLIM_INFINITY else min(one, other)


def kernel_version() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(minor.partition("-")[0])
