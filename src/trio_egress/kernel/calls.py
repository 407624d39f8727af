"""Which system calls the agent is refused: their numbers on each machine, the answer, and what one says in words.

Pure, standard library only: the filter that refuses them (seccomp.py) and PID 1, which answers those of which the
kernel notifies it (notify.py), go by the same tables.

Rule 1: the answer to a call is the same whoever gives it: the errno is a function of number and arguments.
Rule 2: only registers are read. What a pointer leads to may change at any time, and is none of our business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

EPERM, ENOSYS, EPROTONOSUPPORT, EAFNOSUPPORT = 1, 38, 93, 97  # the same on both machines

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
NETLINK_ROUTE = 0
NETLINK_KOBJECT_UEVENT = 15
"""Asked for by libudev, so by every Chromium that starts: refused without a word."""

SOCK_RAW, SOCK_PACKET = 3, 10
SOCK_TYPE_MASK = 0xF  # linux/net.h; above it stand SOCK_CLOEXEC and SOCK_NONBLOCK

# The usual one of the type, ICMP, TCP, UDP, ICMPv6, UDPLITE, MPTCP. Any other (SCTP, DCCP …) would make the
# kernel load a module on an unprivileged program's word: net-pf-2-proto-132-type-1.
INTERNET_PROTOCOLS = (0, 1, 6, 17, 58, 136, 262)

TIOCSTI = 0x5412  # types into the caller's terminal: a command for the user's shell after the run
TIOCLINUX = 0x541C  # pastes into a virtual console, the same trick

TIOCSETD = 0x5423  # has the kernel load a line discipline on an unprivileged program's word

# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (clone() takes NEWTIME for an exit signal)
CLONE_NAMESPACES = 0x7E02_0000

MAKES_A_FILE = 0o100 | 0o20000000  # O_CREAT, __O_TMPFILE: without them the kernel looks at no mode

X32_SYSCALL_BIT = 0x4000_0000
NO_SYSCALL = 0xFFFF_FFFF  # syscall(-1): the kernel answers ENOSYS, and programs probe with it

# name: (x86-64, aarch64), None where there is no such call. asm/unistd_64.h, asm-generic/unistd.h (6.18).
# The choice follows the calls that Docker's default profile gives only to privileged containers.
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # mounts: the view that hides docker.sock and the evidence must stay as it was made
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    # namespaces
    "unshare": (272, 97),
    "setns": (308, 268),
    # other processes, their memory and their descriptors
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # files by handle pass every mount
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # corners of the kernel where the holes have been
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    # Memory that no account of a process has: it would go by [limits] memory.
    "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    "modify_ldt": (154, None),
    "nfsservctl": (180, 42),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    # the machine itself
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "get_kernel_syms": (177, None),
    "query_module": (178, None),
    "acct": (163, 89),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
}


# name: x86-64, aarch64, which argument is the mode, and which the flags that decide whether there is one
MODES: dict[str, tuple[int | None, int | None, int, int | None]] = {
    "open": (2, None, 2, 1),
    "openat": (257, 56, 3, 2),
    "creat": (85, None, 1, None),
    "chmod": (90, None, 1, None),
    "fchmod": (91, 52, 1, None),
    "fchmodat": (268, 53, 2, None),
    "fchmodat2": (452, 452, 2, None),
    "mknod": (133, None, 1, None),
    "mknodat": (259, 33, 2, None),
}

# name: x86-64, aarch64. Their first argument is a process, and PID 1 of an ordinary user's sandbox has the agent's ids:
# with a limit of no CPU time the kernel would kill it, and with it go the refused calls that it has not told yet.
OF_A_PROCESS: dict[str, tuple[int, int]] = {
    "prlimit64": (302, 261),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
}
PID_ONE = 1


class Machine(NamedTuple):
    """What differs between architectures. `column` is the place in REFUSED."""

    audit_arch: int
    column: int
    clone: int
    clone3: int
    ioctl: int
    socket: int
    socketpair: int
    openat2: int = 437
    has_x32: bool = False


# linux/audit.h: EM_X86_64 and EM_AARCH64 with the bits for 64-bit and little-endian
MACHINES = {
    "x86_64": Machine(
        audit_arch=0xC000_003E,
        column=0,
        clone=56,
        clone3=435,
        ioctl=16,
        socket=41,
        socketpair=53,
        has_x32=True,
    ),
    "aarch64": Machine(
        audit_arch=0xC000_00B7, column=1, clone=220, clone3=435, ioctl=29, socket=198, socketpair=199
    ),
}


NAMES: Mapping[int, Mapping[int, str]] = {
    column: {
        number: name
        for name, numbers in [
            *REFUSED.items(),
            *OF_A_PROCESS.items(),
            *((name, row[:2]) for name, row in MODES.items()),
        ]
        if (number := numbers[column]) is not None
    }
    for column in (0, 1)
}
"""By column: the names of the calls that are refused, for one of their words or whatever these are, by number."""

MANY = "many"
"""The detail of calls whose own details are too many to tell."""

# linux/socket.h
_FAMILIES = {
    1: "UNIX", 2: "INET", 3: "AX25", 5: "APPLETALK", 6: "NETROM", 9: "X25", 10: "INET6", 11: "ROSE", 15: "KEY",
    16: "NETLINK", 17: "PACKET", 21: "RDS", 24: "PPPOX", 26: "LLC", 27: "IB", 29: "CAN", 30: "TIPC",
    31: "BLUETOOTH", 33: "RXRPC", 34: "ISDN", 35: "PHONET", 36: "IEEE802154", 37: "CAIF", 38: "ALG", 39: "NFC",
    40: "VSOCK", 41: "KCM", 42: "QIPCRTR", 43: "SMC", 44: "XDP", 45: "MCTP",
}  # fmt: skip
_TYPES = {1: "STREAM", 2: "DGRAM", 3: "RAW", 4: "RDM", 5: "SEQPACKET", 6: "DCCP", 10: "PACKET"}
_NAMESPACES = {
    0x0000_0080: "CLONE_NEWTIME",
    0x0002_0000: "CLONE_NEWNS",
    0x0200_0000: "CLONE_NEWCGROUP",
    0x0400_0000: "CLONE_NEWUTS",
    0x0800_0000: "CLONE_NEWIPC",
    0x1000_0000: "CLONE_NEWUSER",
    0x2000_0000: "CLONE_NEWPID",
    0x4000_0000: "CLONE_NEWNET",
}
_REQUESTS = {TIOCSTI: "TIOCSTI", TIOCLINUX: "TIOCLINUX", TIOCSETD: "TIOCSETD"}
_TRACES = {0: "PTRACE_TRACEME", 16: "PTRACE_ATTACH", 0x4206: "PTRACE_SEIZE"}


class Refusal(NamedTuple):
    """A refused call. `detail`: what tells it from others of its name, as C spells it, or nothing."""

    name: str
    detail: str
    errno: int


def explain(machine: Machine, number: int, words: Sequence[int]) -> Refusal:
    """A call that the filter refuses, by its number and its words."""
    first, second, third = (word & 0xFFFF_FFFF for word in words[:3])
    if number == machine.socket:
        return _explain_socket(first, second, third)
    if number == machine.socketpair:
        return Refusal("socketpair", spell_socket(first, second, third), EAFNOSUPPORT)
    if number == machine.ioctl:
        return Refusal("ioctl", _REQUESTS.get(second, hex(second)), EPERM)
    if number == machine.clone:
        return Refusal("clone", _spell_flags(first & CLONE_NAMESPACES), EPERM)
    name = NAMES[machine.column][number]
    if name in MODES:
        return Refusal(name, f"0{words[MODES[name][2]] & 0o7777:o}", EPERM)
    if name in OF_A_PROCESS:
        return Refusal(name, f"PID {first}", EPERM)
    return Refusal(name, _spell_first(name, first, second), EPERM)


def _explain_socket(family: int, kind: int, protocol: int) -> Refusal:
    detail = spell_socket(family, kind, protocol)
    if family not in (AF_INET, AF_INET6):
        return Refusal("socket", detail, EAFNOSUPPORT)
    raw = kind & SOCK_TYPE_MASK in (SOCK_RAW, SOCK_PACKET)
    return Refusal("socket", detail, EPERM if raw else EPROTONOSUPPORT)


def spell_socket(family: int, kind: int, protocol: int) -> str:
    """`AF_PACKET, SOCK_RAW, 768`; what has no name as its number, and flags left out."""
    name = f"AF_{_FAMILIES[family]}" if family in _FAMILIES else str(family)
    base = kind & SOCK_TYPE_MASK
    shape = f"SOCK_{_TYPES[base]}" if base in _TYPES else str(base)
    return f"{name}, {shape}, {protocol}"


def _spell_flags(flags: int) -> str:
    named = [name for flag, name in _NAMESPACES.items() if flags & flag]
    return "|".join(named) or hex(flags)


def _spell_first(name: str, first: int, second: int) -> str:
    """The word that says what a call of many would do."""
    match name:
        case "unshare":
            return _spell_flags(first)
        case "setns":
            return _spell_flags(second)
        case "ptrace":
            return _TRACES.get(first, str(first))
        case "keyctl" | "bpf":
            return str(first)
    return ""
