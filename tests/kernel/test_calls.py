"""What is said of a refused call: as C spells it, whatever the agent put into its registers."""

from __future__ import annotations

import socket

import pytest

from trio_egress.kernel import calls
from trio_egress.kernel.calls import MACHINES, MODES, OF_A_PROCESS, REFUSED, Refusal, explain

HIGH = 0xDEAD_BEEF << 32


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest) -> calls.Machine:
    return MACHINES[str(request.param)]


def number_of(machine: calls.Machine, name: str) -> int:
    tables: dict[str, tuple[int | None, ...]] = {**REFUSED, **MODES, **OF_A_PROCESS}
    number = tables[name][machine.column]
    assert number is not None
    return number


@pytest.mark.parametrize(
    ("words", "detail", "errno"),
    [
        ((17, 3, 768), "AF_PACKET, SOCK_RAW, 768", 97),
        ((2, 3, 1), "AF_INET, SOCK_RAW, 1", 1),
        ((10, 3 | 0o2004000, 58), "AF_INET6, SOCK_RAW, 58", 1),
        ((2, 1, 132), "AF_INET, SOCK_STREAM, 132", 93),
        ((16, 2, 12), "AF_NETLINK, SOCK_DGRAM, 12", 97),
        ((40, 1, 0), "AF_VSOCK, SOCK_STREAM, 0", 97),
        ((38, 5, 0), "AF_ALG, SOCK_SEQPACKET, 0", 97),
        ((77, 9, 1), "77, 9, 1", 97),
        ((HIGH | 17, HIGH | 10, HIGH), "AF_PACKET, SOCK_PACKET, 0", 97),
        (((1 << 32) - 1, 0, 0), "4294967295, 0, 0", 97),
    ],
)
def test_socket_is_told_by_family_type_and_protocol(
    machine: calls.Machine, words: tuple[int, int, int], detail: str, errno: int
) -> None:
    assert explain(machine, machine.socket, words) == Refusal("socket", detail, errno)
    assert explain(machine, machine.socketpair, words) == Refusal("socketpair", detail, 97)


@pytest.mark.parametrize(
    ("name", "words", "detail"),
    [
        ("unshare", (0x1000_0000,), "CLONE_NEWUSER"),
        ("unshare", (HIGH | 0x5002_0080,), "CLONE_NEWTIME|CLONE_NEWNS|CLONE_NEWUSER|CLONE_NEWNET"),
        ("unshare", (0x400,), "0x400"),
        ("setns", (3, 0x4000_0000), "CLONE_NEWNET"),
        ("setns", (3, 0), "0x0"),
        ("ptrace", (16,), "PTRACE_ATTACH"),
        ("ptrace", (4,), "4"),
        ("keyctl", (HIGH | 10,), "10"),
        ("bpf", (5,), "5"),
        ("mount", (1, 2, 3), ""),
        ("fchmod", (3, HIGH | 0o104755), "04755"),
        ("openat", (-100, 1, 0o100, 0o6711), "06711"),
        ("prlimit64", (HIGH | 1, 7, 0), "PID 1"),
        ("mknodat", (-100, 1, 0o104000, 0), "04000"),
    ],
)
def test_calls_of_many_are_told_apart(
    machine: calls.Machine, name: str, words: tuple[int, ...], detail: str
) -> None:
    padded = (*words, *[0] * (6 - len(words)))
    assert explain(machine, number_of(machine, name), padded) == Refusal(name, detail, 1)


def test_clone_is_told_by_its_namespaces_alone(machine: calls.Machine) -> None:
    refusal = explain(machine, machine.clone, (0x6000_0000 | 0x11 | 0x100, 0, 0))
    assert refusal == Refusal("clone", "CLONE_NEWPID|CLONE_NEWNET", 1)


def test_ioctl_is_told_by_its_request(machine: calls.Machine) -> None:
    assert explain(machine, machine.ioctl, (0, HIGH | 0x5412, 0)) == Refusal("ioctl", "TIOCSTI", 1)
    assert explain(machine, machine.ioctl, (0, 0x541C, 0)) == Refusal("ioctl", "TIOCLINUX", 1)


def test_every_refused_call_has_words(machine: calls.Machine) -> None:
    for name, numbers in REFUSED.items():
        if (number := numbers[machine.column]) is not None:
            assert explain(machine, number, [~0] * 6).name == name


def test_families_are_those_of_the_kernel() -> None:
    for family in socket.AddressFamily:
        if family.name.startswith("AF_") and family in calls._FAMILIES:
            assert family.name == f"AF_{calls._FAMILIES[family]}"
    assert {int(f) for f in socket.AddressFamily} & set(calls._FAMILIES) > {1, 2, 10, 16, 17}
