"""The seccomp filter of the agent: tables per machine in, BPF bytes out.

Pure: it installs nothing (syscalls.install_seccomp does). It denies what could change or leave the
namespaces, read other processes or reach the kernel's rare corners, and sockets that no nftables hook sees.
It is a deny-list (calls.REFUSED): all else is allowed, old calls too, because glibc and real programs still make them.
A refused call is answered by the kernel alone, or by PID 1 (notify.py) so that it becomes a receipt: with one errno.

Rule 1: a call made by another architecture's table (int 0x80, x32) kills the process.
Rule 2: integers that the kernel truncates to 32 bits are compared as 32 bits; a look at the upper half
would be a way around. Rule 3: what is behind a pointer cannot be judged, so clone3 and openat2 do not exist.
Rule 4: what ordinary programs ask for as a matter of course is answered by the kernel alone: clone3, which every thread
of glibc tries first, openat2, and the events of devices, which libudev listens for.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Sequence

from trio_egress.errors import SandboxError
from trio_egress.kernel.calls import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNIX,
    CLONE_NAMESPACES,
    EAFNOSUPPORT,
    ENOSYS,
    EPERM,
    EPROTONOSUPPORT,
    INTERNET_PROTOCOLS,
    MACHINES,
    MAKES_A_FILE,
    MODES,
    NETLINK_KOBJECT_UEVENT,
    NETLINK_ROUTE,
    NO_SYSCALL,
    OF_A_PROCESS,
    PID_ONE,
    REFUSED,
    SOCK_PACKET,
    SOCK_RAW,
    SOCK_TYPE_MASK,
    TIOCLINUX,
    TIOCSETD,
    TIOCSTI,
    X32_SYSCALL_BIT,
    Machine,
)
from trio_egress.values import frozen

# linux/seccomp.h: the lower value wins where several filters answer
KILL_PROCESS = 0x8000_0000
ERRNO = 0x0005_0000
USER_NOTIF = 0x7FC0_0000
ALLOW = 0x7FFF_0000

# offsets in struct seccomp_data; both machines are little-endian, so the low half of an argument comes first
_NUMBER_AT = 0
_ARCH_AT = 4


def _argument_at(index: int) -> int:
    return 16 + 8 * index


@frozen
class Label:
    """A place to jump to."""

    name: str


@frozen
class Load:
    """A = the 32-bit word at `offset` of struct seccomp_data."""

    offset: int


@frozen
class Mask:
    """A = A & bits."""

    bits: int


@frozen
class Jump:
    """If A `test` value go to `then`, else to `otherwise`; an empty name is the next instruction."""

    test: str
    value: int
    then: str = ""
    otherwise: str = ""


@frozen
class Goto:
    """Go to `label`, however far."""

    label: str


@frozen
class Return:
    """Answer the call."""

    action: int


Instruction = Load | Mask | Jump | Goto | Return
Line = Label | Instruction

# linux/bpf_common.h
_LOAD, _AND, _GOTO, _RETURN = 0x20, 0x54, 0x05, 0x06
_TESTS = {"==": 0x15, ">=": 0x35, "&": 0x45}


@frozen
class Filters:
    """The filter that has PID 1 notified of what it refuses, and the one for a kernel that can't."""

    notifying: bytes
    refusing: bytes


def build_filters(machine: str, refused_modes: int = stat.S_ISUID) -> Filters:
    """Both, for `os.uname().machine`; SandboxError where there is none."""
    notifying = build_filter(machine, refused_modes, notify=True)
    return Filters(notifying, build_filter(machine, refused_modes))


def build_filter(machine: str, refused_modes: int = stat.S_ISUID, *, notify: bool = False) -> bytes:
    """One filter as struct sock_filter[]; SandboxError where there is none.

    No file gets a mode with one of `refused_modes`: a file that runs as its owner would give away, to whoever starts
    it later, what that owner may do.
    """
    if machine not in MACHINES:
        known = " and ".join(sorted(MACHINES))
        raise SandboxError(f"no seccomp filter for machine {machine!r}, only for {known}")
    return assemble([*_filter_lines(MACHINES[machine], refused_modes), *_answer_lines(notify)])


def _filter_lines(machine: Machine, refused_modes: int) -> list[Line]:
    """Dispatch on the number, then a block per call whose arguments are judged."""
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
        *[Jump("==", row[machine.column], then="process") for row in OF_A_PROCESS.values()],
        *[Jump("==", number, then="refuse") for number in refused if number is not None],
        Return(ALLOW),
        *_ARGUMENT_LINES,
        *_mode_lines(refused_modes),
    ]


def _answer_lines(notify: bool) -> list[Line]:
    """The answers; with `notify` PID 1 gives those that tell of something."""
    told = {
        "refuse": EPERM,
        "no protocol": EPROTONOSUPPORT,
        "no family": EAFNOSUPPORT,
    }
    plain = {"missing": ENOSYS, "no events": EAFNOSUPPORT}
    lines: list[Line] = [Label("kill"), Return(KILL_PROCESS)]
    for label, number in told.items():
        lines += [Label(label), Return(USER_NOTIF if notify else ERRNO | number)]
    for label, number in plain.items():
        lines += [Label(label), Return(ERRNO | number)]
    return [*lines, Label("allow"), Return(ALLOW)]


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
    Jump("==", NETLINK_ROUTE, then="allow"),
    Jump("==", NETLINK_KOBJECT_UEVENT, then="no events", otherwise="no family"),
    Label("internet"),
    Load(_argument_at(1)),
    Mask(SOCK_TYPE_MASK),
    Jump("==", SOCK_RAW, then="refuse"),
    Jump("==", SOCK_PACKET, then="refuse"),
    Load(_argument_at(2)),
    *[Jump("==", protocol, then="allow") for protocol in INTERNET_PROTOCOLS],
    Goto("no protocol"),
    Label("process"),  # pid_t, of which the kernel takes the lower 32 bits
    Load(_argument_at(0)),
    Jump("==", PID_ONE, then="refuse", otherwise="allow"),
    Label("socketpair"),
    Load(_argument_at(0)),
    Jump("==", AF_UNIX, then="allow", otherwise="no family"),
    Label("ioctl"),  # int fd, unsigned int cmd
    Load(_argument_at(1)),
    Jump("==", TIOCSTI, then="refuse"),
    Jump("==", TIOCLINUX, then="refuse"),
    Jump("==", TIOCSETD, then="refuse", otherwise="allow"),
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
