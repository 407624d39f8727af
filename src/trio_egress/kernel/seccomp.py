"""The seccomp filter of the agent: tables per machine in, BPF bytes out.

Pure: it installs nothing (syscalls.install_seccomp does). It denies what could change or leave the
namespaces, read other processes or reach the kernel's rare corners, and sockets that no nftables hook sees.
It is a deny-list: all else is allowed, old calls too, because glibc and real programs still make them.

Rule 1: a call made by another architecture's table (int 0x80, x32) kills the process.
Rule 2: integers that the kernel truncates to 32 bits are compared as 32 bits; a look at the upper half
would be a way around. Rule 3: what is behind a pointer cannot be judged, so clone3 and openat2 do not exist.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Sequence

import attrs

from trio_egress.errors import SandboxError

# linux/seccomp.h: the lower value wins where several filters answer
KILL_PROCESS = 0x8000_0000
ERRNO = 0x0005_0000
ALLOW = 0x7FFF_0000

EPERM = 1
ENOSYS = 38
EPROTONOSUPPORT = 93
EAFNOSUPPORT = 97

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
NETLINK_ROUTE = 0
SOCK_RAW, SOCK_PACKET = 3, 10
SOCK_TYPE_MASK = 0xF  # linux/net.h; above it stand SOCK_CLOEXEC and SOCK_NONBLOCK

# The usual one of the type, ICMP, TCP, UDP, ICMPv6, UDPLITE, MPTCP. Any other (SCTP, DCCP …) would make the
# kernel load a module on an unprivileged program's word: net-pf-2-proto-132-type-1.
INTERNET_PROTOCOLS = (0, 1, 6, 17, 58, 136, 262)

TIOCSTI = 0x5412  # types into the caller's terminal: a command for the user's shell after the run
TIOCLINUX = 0x541C  # pastes into a virtual console, the same trick

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


@attrs.frozen
class Machine:
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

# offsets in struct seccomp_data; both machines are little-endian, so the low half of an argument comes first
_NUMBER_AT = 0
_ARCH_AT = 4


def _argument_at(index: int) -> int:
    return 16 + 8 * index


@attrs.frozen
class Label:
    """A place to jump to."""

    name: str


@attrs.frozen
class Load:
    """A = the 32-bit word at `offset` of struct seccomp_data."""

    offset: int


@attrs.frozen
class Mask:
    """A = A & bits."""

    bits: int


@attrs.frozen
class Jump:
    """If A `test` value go to `then`, else to `otherwise`; an empty name is the next instruction."""

    test: str
    value: int
    then: str = ""
    otherwise: str = ""


@attrs.frozen
class Goto:
    """Go to `label`, however far."""

    label: str


@attrs.frozen
class Return:
    """Answer the call."""

    action: int


Instruction = Load | Mask | Jump | Goto | Return
Line = Label | Instruction

# linux/bpf_common.h
_LOAD, _AND, _GOTO, _RETURN = 0x20, 0x54, 0x05, 0x06
_TESTS = {"==": 0x15, ">=": 0x35, "&": 0x45}


def build_filter(machine: str, refused_modes: int = stat.S_ISUID) -> bytes:
    """The filter for `os.uname().machine` as struct sock_filter[]; SandboxError where there is none.

    No file gets a mode with one of `refused_modes`: a file that runs as its owner would give away, to whoever starts
    it later, what that owner may do.
    """
    if machine not in MACHINES:
        known = " and ".join(sorted(MACHINES))
        raise SandboxError(f"no seccomp filter for machine {machine!r}, only for {known}")
    return assemble(_filter_lines(MACHINES[machine], refused_modes))


def _filter_lines(machine: Machine, refused_modes: int) -> list[Line]:
    """Dispatch on the number, then a block per call whose arguments are judged, then the answers."""
    refused = [numbers[machine.column] for numbers in REFUSED.values()]
    return [
        Load(_ARCH_AT),
        Jump("==", machine.audit_arch, otherwise="kill"),
        Load(_NUMBER_AT),
        *_x32_lines(machine),
        Jump("==", machine.socket, then="socket"),
        Jump("==", machine.ioctl, then="ioctl"),
        Jump("==", machine.clone, then="clone"),
        Jump("==", machine.clone3, then="missing"),
        Jump("==", machine.openat2, then="missing"),
        Jump("==", machine.socketpair, then="socketpair"),
        *_mode_jumps(machine),
        *[Jump("==", number, then="refuse") for number in refused if number is not None],
        Return(ALLOW),
        *_ARGUMENT_LINES,
        *_mode_lines(refused_modes),
        Label("kill"),
        Return(KILL_PROCESS),
        Label("refuse"),
        Return(ERRNO | EPERM),
        Label("missing"),
        Return(ERRNO | ENOSYS),
        Label("no protocol"),
        Return(ERRNO | EPROTONOSUPPORT),
        Label("no family"),
        Return(ERRNO | EAFNOSUPPORT),
        Label("allow"),
        Return(ALLOW),
    ]


def _x32_lines(machine: Machine) -> list[Line]:
    if not machine.has_x32:
        return []
    return [Jump("==", NO_SYSCALL, then="allow"), Jump(">=", X32_SYSCALL_BIT, then="kill")]


def _mode_jumps(machine: Machine) -> list[Line]:
    lines: list[Line] = []
    for *numbers, mode, flags in MODES.values():
        number = numbers[machine.column]
        if number is not None:
            lines.append(Jump("==", number, then=f"mode {mode}" if flags is None else f"flags {flags}"))
    return lines


def _mode_lines(refused: int) -> list[Line]:
    lines: list[Line] = []
    for *_, mode, flags in MODES.values():
        if flags is not None:
            lines += [Label(f"flags {flags}"), Load(_argument_at(flags))]
            lines.append(Jump("&", MAKES_A_FILE, then=f"mode {mode}", otherwise="allow"))
    for mode in sorted({mode for *_, mode, _ in MODES.values()}):
        lines += [Label(f"mode {mode}"), Load(_argument_at(mode))]
        lines.append(Jump("&", refused, then="refuse", otherwise="allow"))
    return lines


_ARGUMENT_LINES: list[Line] = [
    Label("socket"),  # int family, int type, int protocol
    Load(_argument_at(0)),
    Jump("==", AF_UNIX, then="allow"),
    Jump("==", AF_INET, then="internet"),
    Jump("==", AF_INET6, then="internet"),
    Jump("==", AF_NETLINK, otherwise="no family"),
    Load(_argument_at(2)),
    Jump("==", NETLINK_ROUTE, then="allow", otherwise="no family"),
    Label("internet"),
    Load(_argument_at(1)),
    Mask(SOCK_TYPE_MASK),
    Jump("==", SOCK_RAW, then="refuse"),
    Jump("==", SOCK_PACKET, then="refuse"),
    Load(_argument_at(2)),
    *[Jump("==", protocol, then="allow") for protocol in INTERNET_PROTOCOLS],
    Goto("no protocol"),
    Label("socketpair"),
    Load(_argument_at(0)),
    Jump("==", AF_UNIX, then="allow", otherwise="no family"),
    Label("ioctl"),  # int fd, unsigned int cmd
    Load(_argument_at(1)),
    Jump("==", TIOCSTI, then="refuse"),
    Jump("==", TIOCLINUX, then="refuse", otherwise="allow"),
    Label("clone"),  # unsigned long flags, of which the kernel takes the lower 32 bits
    Load(_argument_at(0)),
    Jump("&", CLONE_NAMESPACES, then="refuse", otherwise="allow"),
]


def assemble(lines: Sequence[Line]) -> bytes:
    """Instructions as bytes. ValueError for a jump that goes backwards, nowhere or further than 255."""
    places: dict[str, int] = {}
    instructions: list[Instruction] = []
    for line in lines:
        if isinstance(line, Label):
            places[line.name] = len(instructions)
        else:
            instructions.append(line)

    def distance(label: str, start: int, furthest: int) -> int:
        if not label:
            return 0
        steps = places.get(label, -1) - start - 1
        if not 0 <= steps <= furthest:
            raise ValueError(f"a jump from instruction {start} to {label!r} cannot be encoded")
        return steps

    def encode(at: int, line: Instruction) -> tuple[int, int, int, int]:
        match line:
            case Load(offset):
                return _LOAD, 0, 0, offset
            case Mask(bits):
                return _AND, 0, 0, bits
            case Jump(test, value, then, otherwise):
                return _TESTS[test], distance(then, at, 255), distance(otherwise, at, 255), value
            case Goto(label):
                return _GOTO, 0, 0, distance(label, at, 0xFFFF_FFFF)
            case Return(action):
                return _RETURN, 0, 0, action

    return b"".join(struct.pack("<HBBI", *encode(at, line)) for at, line in enumerate(instructions))
