"""The filter's bytes under an interpreter, against a model written from the rules; then in real processes."""

from __future__ import annotations

import ctypes
import ctypes.util
import itertools
import json
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import trio_egress
from trio_egress.errors import SandboxError
from trio_egress.kernel import calls, seccomp
from trio_egress.kernel.calls import MACHINES, MODES, OF_A_PROCESS, REFUSED
from trio_egress.kernel.seccomp import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    USER_NOTIF,
    Goto,
    Jump,
    Label,
    Load,
    Return,
)

EPERM, ENOSYS = ERRNO | 1, ERRNO | 38
NO_PROTOCOL, NO_FAMILY = ERRNO | 93, ERRNO | 97
HIGH = 0xDEAD_BEEF << 32  # upper halves that the kernel cuts off
NAMESPACE_FLAGS = {
    "NEWNS": 0x0002_0000,
    "NEWCGROUP": 0x0200_0000,
    "NEWUTS": 0x0400_0000,
    "NEWIPC": 0x0800_0000,
    "NEWUSER": 0x1000_0000,
    "NEWPID": 0x2000_0000,
    "NEWNET": 0x4000_0000,
}


def run_filter(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """Classic BPF as far as seccomp allows it (linux/filter.h); a fault fails the test."""
    words = [argument & (1 << 64) - 1 for argument in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("<IIQ6Q", number, arch, 0x7FFF_0000_1234, *words)
    instructions = list(struct.iter_unpack("<HBBI", program))
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x05:
            at += value
        elif code in (0x15, 0x35, 0x45):
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: accumulator & value}[code]
            at += if_true if holds else if_false
        elif code == 0x06:
            return int(value)
        else:
            raise AssertionError(f"no such instruction: {code:#x}")


def judge_socket(family: int, kind: int, protocol: int) -> int:
    if family == 1:
        return ALLOW
    if family == 16:
        return ALLOW if protocol == 0 else NO_FAMILY
    if family not in (2, 10):
        return NO_FAMILY
    if kind & 0xF in (3, 10):
        return EPERM
    return ALLOW if protocol in (0, 1, 6, 17, 58, 136, 262) else NO_PROTOCOL


def refused_numbers(machine: str) -> dict[int, str]:
    column = MACHINES[machine].column
    return {number: name for name, numbers in REFUSED.items() if (number := numbers[column]) is not None}


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def mode_calls(machine: str) -> list[tuple[int, int, int | None]]:
    """Number of the call, and which arguments are its mode and its flags."""
    column = MACHINES[machine].column
    rows = [(row[:2][column], row[2], row[3]) for row in MODES.values()]
    return [(number, mode, flags) for number, mode, flags in rows if number is not None]


def test_every_call_by_number_is_judged_as_the_table_says(machine: str) -> None:
    facts, program = MACHINES[machine], seccomp.build_filter(machine)
    judged_by_argument = {facts.socket, facts.socketpair, facts.ioctl, facts.clone}
    judged_by_argument |= {number for number, _, _ in mode_calls(machine)}
    refused = refused_numbers(machine)
    for number in range(1024):
        if number in judged_by_argument:
            continue
        missing = number in (facts.clone3, facts.openat2)
        expected = EPERM if number in refused else ENOSYS if missing else ALLOW
        assert run_filter(program, facts.audit_arch, number, *[~0] * 6) == expected, number


def test_every_socket_is_judged_by_family_type_and_protocol(machine: str) -> None:
    facts, program = MACHINES[machine], seccomp.build_filter(machine)
    kinds = [kind | flags for kind in range(16) for flags in (0, 0o2000000, 0o4000, 0o2004000)]
    protocols = [0, 1, 2, 6, 17, 33, 41, 47, 58, 59, 132, 136, 137, 255, 256, 261, 262, 263]
    for family, kind, protocol in itertools.product(range(64), kinds, protocols):
        verdict = run_filter(program, facts.audit_arch, facts.socket, family, kind, protocol)
        assert verdict == judge_socket(family, kind, protocol), (family, kind, protocol)


@pytest.mark.parametrize("refused", [0o4000, 0o6000])
def test_no_file_gets_a_refused_mode(machine: str, refused: int) -> None:
    arch, program = MACHINES[machine].audit_arch, seccomp.build_filter(machine, refused)
    for number, at, flags_at in mode_calls(machine):
        for mode, flags in itertools.product(range(0o10000), (0, 0o100, 0o20200000, 0o2000000)):
            arguments = [0] * 6
            arguments[at] = mode | 0o100000 | HIGH
            if flags_at is not None:
                arguments[flags_at] = flags | HIGH
            elif flags:
                break
            judged = flags_at is None or flags & (0o100 | 0o20000000)
            expected = EPERM if judged and mode & refused else ALLOW
            assert run_filter(program, arch, number, *arguments) == expected, (number, oct(mode), oct(flags))


def test_upper_halves_of_arguments_change_nothing(machine: str) -> None:
    facts, program = MACHINES[machine], seccomp.build_filter(machine)
    for number, arguments in (
        (facts.socket, (17, 3, 0)),
        (facts.socket, (2, 3, 1)),
        (facts.socket, (16, 3, 12)),
        (facts.socketpair, (2, 1, 0)),
        (facts.ioctl, (0, 0x5412)),
        (facts.clone, (0x1000_0000,)),
    ):
        plain = run_filter(program, facts.audit_arch, number, *arguments)
        assert plain != ALLOW
        for place in range(len(arguments)):
            disguised = [a | HIGH if i == place else a for i, a in enumerate(arguments)]
            assert run_filter(program, facts.audit_arch, number, *disguised) == plain


def judge_twice(machine: str, number: int, *words: int) -> tuple[int, int]:
    arch = MACHINES[machine].audit_arch
    plain, notifying = seccomp.build_filter(machine), seccomp.build_filter(machine, notify=True)
    return run_filter(plain, arch, number, *words), run_filter(notifying, arch, number, *words)


def assert_same_answer(machine: str, number: int, *words: int) -> None:
    """What the kernel would answer by itself is what PID 1 answers, or both let it by."""
    plain, notifying = judge_twice(machine, number, *words)
    if notifying == USER_NOTIF:
        padded = [*words, *[0] * (6 - len(words))]
        assert plain == ERRNO | calls.explain(MACHINES[machine], number, padded).errno, (number, words)
    else:
        assert plain == notifying, (number, words)


def test_who_is_notified_gives_the_answer_of_the_kernel(machine: str) -> None:
    facts = MACHINES[machine]
    for number in range(1024):
        assert_same_answer(machine, number, *[~0] * 6)
    protocols = [0, 1, 2, 6, 12, 15, 16, 17, 132, 262]
    for family, kind, protocol in itertools.product(range(50), range(16), protocols):
        assert_same_answer(machine, facts.socket, family, kind, protocol)
        assert_same_answer(machine, facts.socketpair, family, kind, protocol)
    for flag in NAMESPACE_FLAGS.values():
        assert_same_answer(machine, facts.clone, flag | signal.SIGCHLD)
    for command in range(0x5400, 0x5500):
        assert_same_answer(machine, facts.ioctl, 0, command)


def test_all_that_is_refused_is_notified_but_what_programs_ask_as_a_matter_of_course(machine: str) -> None:
    facts = MACHINES[machine]
    for number in refused_numbers(machine):
        assert judge_twice(machine, number) == (EPERM, USER_NOTIF)
    assert judge_twice(machine, facts.clone3) == (ENOSYS, ENOSYS)
    assert judge_twice(machine, facts.socket, 16, 3, 15) == (NO_FAMILY, NO_FAMILY)
    for others in ((16, 3, 12), (17, 3, 768), (38, 5, 0)):
        assert judge_twice(machine, facts.socket, *others) == (NO_FAMILY, USER_NOTIF)
    assert judge_twice(machine, facts.socket, 2, 3, 1) == (EPERM, USER_NOTIF)
    assert judge_twice(machine, facts.socket, 2, 1, 132) == (NO_PROTOCOL, USER_NOTIF)


def test_another_architecture_is_killed_by_the_filter_that_notifies_too() -> None:
    program = seccomp.build_filter("x86_64", notify=True)
    assert run_filter(program, 0x4000_0003, 1) == KILL_PROCESS
    assert run_filter(program, MACHINES["x86_64"].audit_arch, 0x4000_0001) == KILL_PROCESS


def test_socketpair_is_unix_only(machine: str) -> None:
    facts, program = MACHINES[machine], seccomp.build_filter(machine)
    for family in range(64):
        verdict = run_filter(program, facts.audit_arch, facts.socketpair, family, 1, 0)
        assert verdict == (ALLOW if family == 1 else NO_FAMILY)


def test_only_ioctls_that_type_or_set_a_line_discipline_are_refused(machine: str) -> None:
    facts, program = MACHINES[machine], seccomp.build_filter(machine)
    for command in range(0x5400, 0x5500):
        verdict = run_filter(program, facts.audit_arch, facts.ioctl, 0, command)
        assert verdict == (EPERM if command in (0x5412, 0x541C, 0x5423) else ALLOW)


def test_only_pid_1_is_left_as_it_is_by_those_who_may_set_others(machine: str) -> None:
    facts, program = MACHINES[machine], seccomp.build_filter(machine)
    for row in OF_A_PROCESS.values():
        for pid, expected in ((1, EPERM), (1 | HIGH, EPERM), (0, ALLOW), (2, ALLOW), (~0, ALLOW)):
            assert run_filter(program, facts.audit_arch, row[facts.column], pid, *[~0] * 5) == expected
        assert judge_twice(machine, row[facts.column], 1) == (EPERM, USER_NOTIF)


@pytest.mark.parametrize("flag", NAMESPACE_FLAGS)
def test_clone_into_a_new_namespace_is_refused(machine: str, flag: str) -> None:
    facts, program = MACHINES[machine], seccomp.build_filter(machine)
    thread = 0x003D_0F00  # what pthread_create passes
    for others in (0, signal.SIGCHLD, thread, ~0x7E02_0000 & 0xFFFF_FFFF):
        assert run_filter(program, facts.audit_arch, facts.clone, others) == ALLOW
        assert run_filter(program, facts.audit_arch, facts.clone, others | NAMESPACE_FLAGS[flag]) == EPERM


def test_calls_of_another_architecture_kill(machine: str) -> None:
    program = seccomp.build_filter(machine)
    own = MACHINES[machine].audit_arch
    others = {m.audit_arch for m in MACHINES.values()} | {0x4000_0003, 0x4000_0028, 0xB7, 0, 0xFFFF_FFFF}
    for arch in others - {own}:
        for number in (0, 1, 59, 0xFFFF_FFFF):
            assert run_filter(program, arch, number) == KILL_PROCESS


def test_x32_calls_kill_but_the_probe_for_no_call_does_not() -> None:
    program, arch = seccomp.build_filter("x86_64"), MACHINES["x86_64"].audit_arch
    for number in (0x4000_0000, 0x4000_0000 | 41, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE):
        assert run_filter(program, arch, number) == KILL_PROCESS
    for number in (0x3FFF_FFFF, 0xFFFF_FFFF):
        assert run_filter(program, arch, number) == ALLOW


def test_unknown_machine_is_refused_with_the_known_ones_named() -> None:
    with pytest.raises(
        SandboxError, match="no seccomp filter for machine 'riscv64', only for aarch64 and x86_64"
    ):
        seccomp.build_filter("riscv64")


def test_program_fits_into_the_kernels_limit(machine: str) -> None:
    assert len(seccomp.build_filter(machine)) <= 4096 * 8


@pytest.mark.parametrize(
    "lines",
    [
        [Label("here"), Load(0), Goto("here")],
        [Load(0), Goto("nowhere")],
        [Jump("==", 1, then="far"), *[Load(0)] * 256, Label("far"), Return(0)],
        [Jump("==", 1, otherwise="far"), *[Load(0)] * 256, Label("far"), Return(0)],
    ],
)
def test_jump_that_cannot_be_encoded_raises(lines: list[seccomp.Line]) -> None:
    with pytest.raises(ValueError, match="cannot be encoded"):
        seccomp.assemble(lines)


def test_longest_jumps_reach_their_label() -> None:
    branch: list[seccomp.Line] = [
        Load(0),
        Jump("==", 7, then="far"),
        *[Return(1)] * 255,
        Label("far"),
        Return(2),
    ]
    assert run_filter(seccomp.assemble(branch), 0, 7) == 2
    assert run_filter(seccomp.assemble(branch), 0, 8) == 1
    goto: list[seccomp.Line] = [Goto("far"), *[Return(1)] * 1000, Label("far"), Return(2)]
    assert run_filter(seccomp.assemble(goto), 0, 0) == 2


# the numbers, by libseccomp

LIBSECCOMP_ARCH = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}


@pytest.fixture(scope="module")
def libseccomp() -> ctypes.CDLL:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.skip("no libseccomp on this machine to compare with")
    return ctypes.CDLL(name)


def test_numbers_agree_with_libseccomp(machine: str, libseccomp: ctypes.CDLL) -> None:
    facts = MACHINES[machine]
    names = ("clone", "clone3", "ioctl", "openat2", "socket", "socketpair")
    special = {name: getattr(facts, name) for name in names}
    tables: dict[str, int | None] = {name: row[facts.column] for name, row in REFUSED.items()}
    ours = tables | {name: row[:2][facts.column] for name, row in MODES.items()} | special
    ours |= {name: row[facts.column] for name, row in OF_A_PROCESS.items()}
    resolve = libseccomp.seccomp_syscall_resolve_name_arch
    theirs = {name: resolve(LIBSECCOMP_ARCH[machine], name.encode()) for name in ours}
    unknown = {name for name, number in theirs.items() if number == -1}
    assert unknown <= {
        "open_tree_attr",
        "fchmodat2",
        "quotactl_fd",
        "process_mrelease",
        "mount_setattr",
    }  # newer than it
    for name in set(ours) - unknown:
        assert ours[name] == (theirs[name] if theirs[name] >= 0 else None), name


# in real processes

NATIVE = os.uname().machine
CHILD = """
import ctypes, json, sys
sys.path.append(sys.argv[1])
from trio_egress.kernel import syscalls
program, calls = bytes.fromhex(sys.argv[2]), json.loads(sys.argv[3])
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.syscall.argtypes = [ctypes.c_long] * 7
syscalls.set_no_new_privs()
if program:
    syscalls.install_seccomp(program)
for call in calls:
    ctypes.set_errno(0)
    result = libc.syscall(*call, *[-1] * (7 - len(call)))
    print(json.dumps(ctypes.get_errno() if result == -1 else 0), flush=True)
"""


def call_in_child(program: bytes, calls: list[list[int]], code: str = CHILD) -> tuple[list[int], int]:
    """The errno of each call (0: it worked) and how the child ended."""
    source = str(Path(trio_egress.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, source, program.hex(), json.dumps(calls)],
        capture_output=True,
        start_new_session=True,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


@pytest.fixture
def native() -> bytes:
    if NATIVE not in MACHINES:
        pytest.skip(f"no filter for {NATIVE}")
    return seccomp.build_filter(NATIVE)


def test_kernel_takes_the_filter_and_refuses_each_call(native: bytes) -> None:
    numbers = sorted(refused_numbers(NATIVE))
    assert call_in_child(native, [[number] for number in numbers]) == ([1] * len(numbers), 0)


def test_kernel_judges_arguments_as_the_interpreter_does(native: bytes) -> None:
    facts = MACHINES[NATIVE]
    calls = [
        [facts.socket, 17, 3, 0],  # AF_PACKET
        [facts.socket, 40, 1, 0],  # AF_VSOCK
        [facts.socket, 38, 5, 0],  # AF_ALG
        [facts.socket, 44, 3, 0],  # AF_XDP
        [facts.socket, 16, 3, 12],  # NETLINK_NETFILTER
        [facts.socket, 2, 3, 1],
        [facts.socket, 10, 3 | 0o2000000, 58],
        [facts.socket, 2, 1, 132],
        [facts.socketpair, 2, 1, 0],
        [facts.ioctl, 0, 0x5412],
        [facts.ioctl, 0, 0x5412 | 1 << 40],
        [facts.clone, 0x1000_0000 | signal.SIGCHLD, 0, 0, 0, 0],
        [facts.clone3, 0, 0],
    ]
    expected = [97, 97, 97, 97, 97, 1, 1, 93, 97, 1, 1, 1, 38]
    assert call_in_child(native, calls) == (expected, 0)


def test_control_without_the_filter_the_kernel_answers_otherwise(native: bytes) -> None:
    facts = MACHINES[NATIVE]
    calls = [
        [facts.socket, 16, 3, 12],
        [facts.ioctl, 0, 0x5412],
        [facts.clone3, 0, 0],
        [REFUSED["bpf"][0] or 0],
    ]
    errors, _ = call_in_child(b"", calls)
    for error, filtered in zip(errors, [97, 1, 38, 1], strict=True):
        assert error != filtered


def test_ordinary_sockets_still_work_under_the_filter(native: bytes) -> None:
    facts = MACHINES[NATIVE]
    calls = [[facts.socket, family, kind, 0] for family in (1, 2, 10) for kind in (1, 2)]
    calls += [[facts.socket, 16, 3, 0], [facts.socket, 2, 2, 17], [-1]]
    assert call_in_child(native, calls) == ([0] * 8 + [38], 0)


MODES_IN_FILES = """
import ctypes, json, os, sys, tempfile
sys.path.append(sys.argv[1])
from trio_egress.kernel import syscalls
folder = tempfile.mkdtemp()
os.chdir(folder)
open("there", "x").close()
tries = {
    "chmod": lambda: os.chmod("there", 0o4755),
    "fchmod": lambda: os.fchmod(os.open("there", os.O_RDONLY), 0o4755),
    "open": lambda: os.close(os.open("open", os.O_CREAT | os.O_WRONLY, 0o4755)),
    "unnamed": lambda: os.close(os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o4755)),
    "mknod": lambda: os.mknod("mknod", 0o104755),
    "opening": lambda: os.close(os.open("there", os.O_RDONLY, 0o4755)),
    "directory": lambda: os.chmod(".", 0o2755),
    "plain": lambda: os.chmod("there", 0o755),
}
syscalls.set_no_new_privs()
if sys.argv[2]:
    syscalls.install_seccomp(bytes.fromhex(sys.argv[2]))
for name, attempt in tries.items():
    try:
        attempt()
        number = 0
    except OSError as error:
        number = error.errno
    print(json.dumps(number))
os.chdir("/")
for name in sorted(os.listdir(folder)):
    print(json.dumps(os.lstat(f"{folder}/{name}").st_mode & 0o4000))
    os.unlink(f"{folder}/{name}")
os.rmdir(folder)
"""


def test_file_that_runs_as_its_owner_cannot_be_made(native: bytes) -> None:
    assert call_in_child(native, [], MODES_IN_FILES) == ([1] * 5 + [0] * 3 + [0], 0)
    assert call_in_child(b"", [], MODES_IN_FILES) == ([0] * 8 + [0o4000, 0o4000, 0], 0)


INTERRUPT_80 = """
import ctypes, mmap, sys
sys.path.append(sys.argv[1])
from trio_egress.kernel import syscalls
syscalls.set_no_new_privs()
if sys.argv[2]:
    syscalls.install_seccomp(bytes.fromhex(sys.argv[2]))
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b814000000" "cd80" "c3"))  # mov eax, getpid; int 0x80; ret
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
ctypes.CFUNCTYPE(ctypes.c_int)(address)()
"""


@pytest.mark.skipif(NATIVE != "x86_64", reason="only x86-64 has other calls")
def test_32_bit_and_x32_calls_kill_the_process(native: bytes) -> None:
    assert call_in_child(native, [], INTERRUPT_80)[1] == -signal.SIGSYS
    assert call_in_child(b"", [], INTERRUPT_80)[1] != -signal.SIGSYS
    assert call_in_child(native, [[0x4000_0000 | 39]])[1] == -signal.SIGSYS


def test_threads_and_subprocesses_start_under_the_filter(native: bytes) -> None:
    """glibc falls back from clone3 to clone, or not even `ls` would run."""
    code = """
import subprocess, sys, threading
sys.path.append(sys.argv[1])
from trio_egress.kernel import syscalls
syscalls.set_no_new_privs()
syscalls.install_seccomp(bytes.fromhex(sys.argv[2]))
thread = threading.Thread(target=print, args=["1"], kwargs={"flush": True})
thread.start()
thread.join()
subprocess.run(["/bin/sh", "-c", "echo 2 | cat"], check=True)
"""
    assert call_in_child(native, [], code) == ([1, 2], 0)
