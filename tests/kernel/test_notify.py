"""A confined process and the one that answers for the kernel: what is refused, by whom, and how often."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trio_egress
from trio_egress.kernel import calls, notify, seccomp
from trio_egress.kernel.calls import Refusal
from trio_egress.kernel.notify import KINDS, Listener, Tally, follow

NATIVE = os.uname().machine
USER = Refusal("unshare", "CLONE_NEWUSER", 1)

HEAD = """
import ctypes, errno, json, os, signal, socket, struct, sys, threading, time
sys.path.append(sys.argv[1])
from trio_egress.kernel import calls, notify, syscalls
channel, notifying, refusing = int(sys.argv[2]), bytes.fromhex(sys.argv[3]), bytes.fromhex(sys.argv[4])
libc = ctypes.CDLL(None, use_errno=True)
NEWUSER = 0x10000000
ALLOW = struct.pack("<HBBI", 6, 0, 0, 0x7FFF_0000)
def unshare():
    return ctypes.get_errno() if libc.unshare(NEWUSER) else 0
def install(filters=notify.Filters(notifying, refusing)):
    syscalls.set_no_new_privs()
    notify.install(filters, channel)
"""


class Confined:
    """A process of its own that runs `code` after HEAD; the channel that it was given."""

    def __init__(self, code: str) -> None:
        self.channel, theirs = socket.socketpair()
        filters = seccomp.build_filters(NATIVE)
        source = str(Path(trio_egress.__file__).parent.parent)
        number = theirs.fileno()
        arguments = [source, str(number), filters.notifying.hex(), filters.refusing.hex()]
        command = [sys.executable, "-I", "-S", "-c", HEAD + code, *arguments]
        self.process = subprocess.Popen(command, pass_fds=(number,))
        theirs.close()

    def follow(self) -> tuple[Listener | None, dict[str, Any]]:
        listener, said = follow(self.channel)
        self.process.wait()
        return listener, said

    def take_listener(self) -> Listener:
        """The listener alone, with nobody answering yet."""
        _, descriptors, _, _ = socket.recv_fds(self.channel, 4096, 1)
        return Listener(descriptors[0])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.channel.close()


@pytest.fixture
def confined() -> Iterator[Any]:
    started: list[Confined] = []

    def start(code: str) -> Confined:
        started.append(Confined(code))
        return started[-1]

    yield start
    for one in started:
        one.close()


def told(tally: Tally) -> dict[Refusal, int]:
    refused, total = tally.take()
    counts = {Refusal(name, detail, number): count for name, detail, number, count in refused}
    assert sum(counts.values()) == total == tally.total
    return counts


def wait_call(listener: Listener) -> None:
    """Until somebody waits for an answer."""
    poll = select.poll()
    poll.register(listener.descriptor, select.POLLIN)
    assert poll.poll(10_000)


# the counts


def test_the_first_of_a_kind_is_told_at_once_and_repeats_once_a_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notify, "WINDOW_SECONDS", 60.0)
    tally = Tally()

    def wait() -> float:
        return -1 if tally.wait_seconds is None else tally.wait_seconds

    assert wait() == -1
    tally.add(USER)
    assert wait() == 0
    assert tally.take() == ([(*USER, 1)], 1)
    assert wait() == -1
    for _ in range(5):
        tally.add(USER)
    assert 0 < wait() <= 60
    tally.add(Refusal("mount", "", 1))
    assert wait() == 0
    assert tally.take() == ([(*USER, 5), ("mount", "", 1, 1)], 7)


def test_kinds_are_bounded_and_their_sum_is_exact() -> None:
    tally = Tally()
    for number in range(10_000):
        tally.add(Refusal("socket", str(number), 97))
        tally.add(Refusal("socket", str(number), 1))
    refused, total = tally.take()
    assert (total, sum(count for *_, count in refused)) == (20_000, 20_000)
    assert len(refused) == KINDS + 2
    assert refused[-2:] == [
        ("socket", "many", 97, 10_000 - KINDS // 2),
        ("socket", "many", 1, 10_000 - KINDS // 2),
    ]
    tally.add(Refusal("socket", "10001", 97))
    assert tally.wait_seconds != 0, "a kind that is counted by its name alone is no new one"


# who answers


def test_each_call_gets_the_answer_of_the_kernel_and_is_counted(confined: Any) -> None:
    column = calls.MACHINES[NATIVE].column
    names = {n: name for n, name in calls.NAMES[column].items() if name not in calls.OF_A_PROCESS}
    numbers = sorted(names)  # those of a process are refused for PID 1 alone
    code = f"""
install()
libc.syscall.argtypes = [ctypes.c_long] * 7
errors = [ctypes.get_errno() if libc.syscall(n, *[-1] * 6) == -1 else 0 for n in {numbers}]
def make(*arguments):
    try:
        socket.socket(*arguments)
    except OSError as error:
        errors.append(error.errno)
for arguments in ((17, 3, 768), (2, 3, 1), (2, 1, 132), (16, 3, 12), (16, 3, 15)):
    make(*arguments)
notify.say(channel, errors=errors)
"""
    listener, said = confined(code).follow()
    assert said == {"refused_calls": "notified", "errors": [1] * len(numbers) + [97, 1, 93, 97, 97]}
    assert listener is not None
    counts = told(listener.tally)
    assert {kind.name for kind in counts} == {*names.values(), "socket"}
    assert listener.tally.total == len(numbers) + 4, "nobody is notified of the last one"
    assert counts[Refusal("socket", "AF_PACKET, SOCK_RAW, 768", 97)] == 1


def test_what_ordinary_programs_do_is_notified_to_nobody(confined: Any) -> None:
    code = """
install()
import subprocess
for command in (["/bin/sh", "-c", "ls / | cat >/dev/null"], [sys.executable, "-c", "import ssl, asyncio"]):
    assert subprocess.run(command).returncode == 0
threads = [threading.Thread(target=time.time) for _ in range(10)]
for t in threads:
    t.start()
for t in threads:
    t.join()
socket.getaddrinfo("localhost", 80)
"""
    one = confined(code)
    listener, _ = one.follow()
    assert (listener.tally.total, one.process.returncode) == (0, 0)


def test_threads_that_call_at_the_same_time_are_counted_exactly(confined: Any) -> None:
    code = """
install()
wrong = []
def call():
    wrong.extend(n for n in [unshare() for _ in range(2500)] if n != errno.EPERM)
threads = [threading.Thread(target=call) for _ in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
notify.say(channel, wrong=wrong)
"""
    listener, said = confined(code).follow()
    assert said["wrong"] == []
    assert told(listener.tally) == {USER: 10_000}


def test_a_signal_neither_loses_nor_doubles_a_call(confined: Any) -> None:
    """What was interrupted before anybody had heard of it is not counted, and its caller is told EINTR."""
    code = """
signal.signal(signal.SIGALRM, lambda *_: None)
install()
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
errors = [unshare() for _ in range(5000)]
signal.setitimer(signal.ITIMER_REAL, 0)
notify.say(channel, refused=errors.count(errno.EPERM), interrupted=errors.count(errno.EINTR))
"""
    listener, said = confined(code).follow()
    assert said["refused"] + said["interrupted"] == 5000
    assert told(listener.tally) == {USER: said["refused"]}


def test_signals_to_whoever_answers_leave_nobody_waiting(confined: Any) -> None:
    """PID 1 gets one for each process that ends; they interrupt its receiving, its answering and its looking."""
    code = """
install()
threads = [threading.Thread(target=lambda: [unshare() for _ in range(3000)]) for _ in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
"""
    previous = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        listener, _ = confined(code).follow()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert told(listener.tally) == {USER: 12_000}


def test_the_confined_process_keeps_nothing_of_the_listener(confined: Any) -> None:
    code = """
install()
links = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")]
notify.say(channel, links=[link for link in links if "seccomp" in link])
"""
    _, said = confined(code).follow()
    assert said["links"] == []


# callers that go away


def test_a_caller_that_is_killed_before_it_was_heard_is_not_counted(confined: Any) -> None:
    one = confined("install(); unshare()")
    listener = one.take_listener()
    wait_call(listener)
    one.process.kill()
    one.process.wait()
    assert not listener.serve()
    assert listener.tally.total == 0


def test_a_caller_that_is_killed_before_its_answer_is_counted(
    confined: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = confined("install(); unshare()")
    listener = one.take_listener()
    wait_call(listener)
    explain = calls.explain

    def kill_first(*arguments: Any) -> Refusal:
        one.process.kill()
        one.process.wait()
        return explain(*arguments)

    monkeypatch.setattr(calls, "explain", kill_first)
    assert not listener.serve()
    assert told(listener.tally) == {USER: 1}


def test_threads_that_are_killed_while_they_wait_leave_nobody_waiting(confined: Any) -> None:
    code = """
install()
for _ in range(40):
    child = os.fork()
    if child == 0:
        for _ in range(4):
            threading.Thread(target=lambda: [unshare() for _ in range(10**6)], daemon=True).start()
        time.sleep(60)
    time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
notify.say(channel, done=True)
"""
    listener, said = confined(code).follow()
    assert said["done"]
    assert told(listener.tally) == {USER: listener.tally.total}


def test_a_flood_does_not_keep_the_answerer_from_other_work(confined: Any) -> None:
    one = confined("install()\nwhile True: unshare()")
    listener = one.take_listener()
    wait_call(listener)
    assert listener.serve()
    assert 0 < listener.tally.total <= notify.BATCH


# filters around ours, and on top of it


def test_where_another_listener_is_the_kernel_refuses_alone_and_it_is_said(confined: Any) -> None:
    code = """
syscalls.set_no_new_privs()
other = syscalls.install_seccomp(ALLOW, syscalls.SECCOMP_FILTER_FLAG_NEW_LISTENER)
install()
notify.say(channel, error=unshare())
"""
    listener, said = confined(code).follow()
    assert listener is None
    assert said == {"refused_calls": "unsupported:EBUSY", "error": 1}


def test_a_listener_that_was_measured_must_be_there_again(confined: Any) -> None:
    code = """
syscalls.set_no_new_privs()
other = syscalls.install_seccomp(ALLOW, syscalls.SECCOMP_FILTER_FLAG_NEW_LISTENER)
try:
    install(notify.Filters(notifying, None))
except OSError as error:
    notify.say(channel, failure=error.errno)
"""
    _, said = confined(code).follow()
    assert said == {"failure": 16}


def test_an_older_kernel_gets_a_listener_without_the_newer_flag(confined: Any) -> None:
    code = """
notify._FLAGS = (syscalls.SECCOMP_FILTER_FLAG_NEW_LISTENER | 1 << 20, syscalls.SECCOMP_FILTER_FLAG_NEW_LISTENER)
install()
notify.say(channel, error=unshare())
"""
    listener, said = confined(code).follow()
    assert said == {"refused_calls": "notified", "error": 1}
    assert told(listener.tally) == {USER: 1}


def test_a_kernel_without_listeners_refuses_alone_and_it_is_said(confined: Any) -> None:
    code = """
notify._FLAGS = (1 << 20, 1 << 21)
install()
notify.say(channel, error=unshare())
"""
    listener, said = confined(code).follow()
    assert listener is None
    assert said == {"refused_calls": "unsupported:EINVAL", "error": 1}


OWN = {
    "errno": (0x0005_0000 | 22, 22),
    "notification without a listener": (0x7FC0_0000, 38),
    "tracer without one": (0x7FF0_0000, 1),
    "allow": (0x7FFF_0000, 1),
}


@pytest.mark.parametrize("kind", OWN)
def test_a_filter_of_its_own_lets_the_agent_do_nothing_more(confined: Any, kind: str) -> None:
    """The stricter answer counts (`man 2 seccomp`); what the agent refuses itself never reaches us."""
    answer, error = OWN[kind]
    number = calls.REFUSED["unshare"][calls.MACHINES[NATIVE].column]
    code = f"""
install()
own = struct.pack("<HBBI", 0x20, 0, 0, 0) + struct.pack("<HBBI", 0x15, 0, 1, {number})
own += struct.pack("<HBBI", 6, 0, 0, {answer}) + ALLOW
syscalls.install_seccomp(own)
errors = [unshare()]
try:
    syscalls.install_seccomp(own, syscalls.SECCOMP_FILTER_FLAG_NEW_LISTENER)
except OSError as error:
    errors.append(error.errno)
notify.say(channel, errors=errors)
"""
    listener, said = confined(code).follow()
    assert said["errors"] == [error, 16]
    assert told(listener.tally) == ({USER: 1} if error == 1 else {})


# what is said


def test_whatever_a_confined_process_says_is_heard_to_its_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        notify.say(theirs.fileno(), stage="exec", errno=2)
        notify.say(theirs.fileno(), message="x" * 20_000)
        theirs.shutdown(socket.SHUT_WR)
        listener, said = follow(ours)
    assert (listener, said) == (None, {"stage": "exec", "errno": 2, "message": "x" * 20_000})


def test_a_process_that_dies_in_silence_has_said_nothing(confined: Any) -> None:
    one = confined("os.kill(os.getpid(), signal.SIGKILL)")
    assert one.follow() == (None, {})
    assert one.process.returncode == -signal.SIGKILL
