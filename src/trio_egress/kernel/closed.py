"""The seccomp filter of a process that works on descriptors it was given, and on nothing else.

Pure: it installs nothing (syscalls.install_seccomp does), and is no sandbox of the agent's.

Rule 1: what would open a file, a socket or another process is refused (EPERM), and so is running a program. Reading,
writing, memory, waiting and forking are left.
"""

from __future__ import annotations

from trio_egress.errors import SandboxError
from trio_egress.kernel.calls import EPERM, MACHINES, NO_SYSCALL, X32_SYSCALL_BIT
from trio_egress.kernel.seccomp import ALLOW as ALLOWED
from trio_egress.kernel.seccomp import ERRNO, KILL_PROCESS, Jump, Label, Line, Load, Return, assemble

# asm/unistd.h of x86_64 and of aarch64, in the order of `Machine.column`; None where there is no such call
CLOSED: dict[str, tuple[int | None, int | None]] = {
    "open": (2, None),
    "creat": (85, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "open_by_handle_at": (304, 265),
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "io_uring_setup": (425, 425),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
}

_NUMBER_AT, _ARCH_AT = 0, 4


def build_closed_filter(machine: str) -> bytes:
    """As struct sock_filter[], for `os.uname().machine`; SandboxError where there is none."""
    found = MACHINES.get(machine)
    if found is None:
        raise SandboxError(f"no seccomp filter for machine {machine!r}")
    numbers = [row[found.column] for row in CLOSED.values()]
    other: list[Line] = []
    if found.has_x32:
        other = [Jump("==", NO_SYSCALL, then="allow"), Jump(">=", X32_SYSCALL_BIT, then="kill")]
    return assemble(
        [
            Load(_ARCH_AT),
            Jump("==", found.audit_arch, otherwise="kill"),
            Load(_NUMBER_AT),
            *other,
            *[Jump("==", number, then="refuse") for number in numbers if number is not None],
            Label("allow"),
            Return(ALLOWED),
            Label("refuse"),
            Return(ERRNO | EPERM),
            Label("kill"),
            Return(KILL_PROCESS),
        ]
    )
