"""Refused system calls of real agents: each is in a receipt, whatever the agent does while it waits for its answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.runs.launch import Ended, Place, find_processes, wait_until, write_policy
from tests.runs.remains import find_children, find_launcher

from trio_egress.kernel import syscalls

pytestmark = pytest.mark.sandbox

NOTHING = write_policy()

HEAD = """
import ctypes, errno, fcntl, os, signal, socket, struct, subprocess, sys, termios, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.argtypes = [ctypes.c_long] * 7
NEWUSER, NEWNET = 0x10000000, 0x40000000
def unshare(flags=NEWUSER):
    return ctypes.get_errno() if libc.unshare(flags) else 0
def make(*arguments):
    try:
        socket.socket(*arguments).close()
        return 0
    except OSError as error:
        return error.errno
"""


def run(place: Place, code: str, policy: str = NOTHING) -> Ended:
    """A run of an agent of this code, whose books balance for both verifiers."""
    ended = place.run(policy, sys.executable, "-c", HEAD + code)
    assert ended.verify() == 0
    return ended


def told(ended: Ended) -> dict[tuple[str, str, str], int]:
    """Counts by target, detail and errno; they add up to what the close receipt says."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for block in ended.blocks:
        if block.transport == "syscall":
            assert (block.verdict, block.layer) == ("block", "kernel")
            counts[block.target, block.facts["detail"], block.facts["errno"]] += block.facts["count"]
    assert sum(counts.values()) == ended.counters["syscall"]
    return dict(counts)


def test_each_refused_call_is_a_receipt_that_other_verifiers_accept(place: Place) -> None:
    ended = run(
        place,
        """
libc.syscall(257, *[0] * 6)
print(unshare(NEWUSER | NEWNET), unshare(), make(17, 3, 768), make(2, 3, 1), make(40, 1, 0), make(2, 1, 132))
print(make(16, 3, 12), libc.ptrace(16, 1, 0, 0), libc.mount(b"x", b"/tmp", b"tmpfs", 0, None), libc.umount(b"/tmp"))
print(libc.setns(0, NEWNET), libc.chroot(b"/tmp"))
""",
    )
    assert ended.text.split() == ["1", "1", "97", "1", "97", "93", "97", "-1", "-1", "-1", "-1", "-1"]
    assert told(ended) == {
        ("syscall:unshare", "CLONE_NEWUSER|CLONE_NEWNET", "EPERM"): 1,
        ("syscall:unshare", "CLONE_NEWUSER", "EPERM"): 1,
        ("syscall:socket", "AF_PACKET, SOCK_RAW, 768", "EAFNOSUPPORT"): 1,
        ("syscall:socket", "AF_INET, SOCK_RAW, 1", "EPERM"): 1,
        ("syscall:socket", "AF_VSOCK, SOCK_STREAM, 0", "EAFNOSUPPORT"): 1,
        ("syscall:socket", "AF_INET, SOCK_STREAM, 132", "EPROTONOSUPPORT"): 1,
        ("syscall:socket", "AF_NETLINK, SOCK_RAW, 12", "EAFNOSUPPORT"): 1,
        ("syscall:ptrace", "PTRACE_ATTACH", "EPERM"): 1,
        ("syscall:mount", "", "EPERM"): 1,
        ("syscall:umount2", "", "EPERM"): 1,
        ("syscall:setns", "CLONE_NEWNET", "EPERM"): 1,
        ("syscall:chroot", "", "EPERM"): 1,
    }
    assert ended.verify_foreign() == 0
    assert "denied syscall:unshare: unshare(CLONE_NEWUSER|CLONE_NEWNET) is refused" in ended.err
    assert "12 denied" in ended.err
    summary = (ended.evidence / "summary.md").read_text()
    assert "`mount() is refused inside the sandbox: EPERM`" in summary
    assert "The agent reached nothing; 12 attempts were denied." in summary


PROGRAMS = {
    "unshare": (["unshare", "-r", "true"], "syscall:unshare"),
    "mount": (["mount", "-t", "tmpfs", "none", "/tmp"], "syscall:mount"),
    "strace": (["strace", "true"], "syscall:ptrace"),
    "gdb": (["gdb", "-batch", "-ex", "run", "true"], "syscall:ptrace"),
    "dmesg": (["dmesg"], "syscall:syslog"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_that_reach_for_the_boundary_are_told(place: Place, name: str) -> None:
    command, target = PROGRAMS[name]
    ended = place.run(NOTHING, *command)
    assert ended.verify() == 0
    assert target in {called for called, _, _ in told(ended)}


def test_the_posture_says_that_the_probes_own_calls_were_notified_and_no_receipt_does(place: Place) -> None:
    ended = run(place, "")
    posture = json.loads((ended.evidence / "posture.json").read_text())
    assert posture["probes"]["refused_calls"] == "notified"
    assert (ended.counters["syscall"], ended.receipts) == (0, [])


def test_ordinary_programs_are_refused_nothing(place: Place) -> None:
    """Of a shell, Python with threads and children, git, a compiler: not one call."""
    script = """
set -e
ls -l / | sort >/dev/null
python3 -c 'import ssl, asyncio, subprocess; asyncio.run(asyncio.to_thread(subprocess.run, ["true"]))'
git init -q . && git -c user.name=a -c user.email=b commit -q --allow-empty -m c && git log | cat >/dev/null
for program in gcc node sqlite3 make java; do command -v $program >/dev/null && $program --version >/dev/null || :; done
"""
    ended = place.run(NOTHING, "bash", "-c", script)
    assert (ended.code, ended.verify()) == (0, 0)
    assert told(ended) == {}


# floods


def test_a_flood_from_several_threads_is_counted_exactly_and_costs_few_receipts(place: Place) -> None:
    ended = run(
        place,
        """
def flood():
    for _ in range(10_000):
        unshare()
threads = [threading.Thread(target=flood) for _ in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
""",
    )
    assert told(ended) == {("syscall:unshare", "CLONE_NEWUSER", "EPERM"): 40_000}
    assert len(ended.receipts) < 40
    assert ended.peak_kib < place.run(NOTHING, "true").peak_kib + 8 * 1024


def test_a_flood_of_different_calls_has_bounded_receipts_and_an_exact_sum(place: Place) -> None:
    ended = run(place, "for number in range(5000): make(number + 100, 1, 0)")
    counts = told(ended)
    assert sum(counts.values()) == 5000
    assert counts["syscall:socket", "many", "EAFNOSUPPORT"] == 5000 - 128
    assert len(ended.receipts) < 300


def test_the_proxy_answers_while_calls_are_refused(place: Place) -> None:
    ended = run(
        place,
        """
stop = False
def flood():
    while not stop:
        unshare()
thread = threading.Thread(target=flood)
thread.start()
for number in range(20):
    try:
        socket.getaddrinfo(f"name{number}.example", 80)
    except OSError:
        pass
stop = True
thread.join()
""",
    )
    assert {query.facts["host"] for query in ended.queries} >= {f"name{n}.example" for n in range(20)}
    assert told(ended)[("syscall:unshare", "CLONE_NEWUSER", "EPERM")] > 0


# ends


def test_an_agent_that_ends_with_calls_under_way_ends(place: Place) -> None:
    code = """
def flood():
    while True:
        unshare()
for _ in range(8):
    threading.Thread(target=flood, daemon=True).start()
for _ in range(8):
    if os.fork() == 0:
        flood()
time.sleep(0.3)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = run(place, code)
    assert told(ended)[("syscall:unshare", "CLONE_NEWUSER", "EPERM")] > 0


def test_a_flooding_agent_can_be_timed_out(place: Place) -> None:
    ended = place.run(
        NOTHING,
        sys.executable,
        "-c",
        HEAD + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: unshare()",
        options=["--timeout", "3"],
    )
    assert (ended.code, ended.verify()) == (124, 0)
    assert told(ended)[("syscall:unshare", "CLONE_NEWUSER", "EPERM")] > 0


@pytest.mark.parametrize("depth", [1, 2], ids=["launcher", "PID 1"])
def test_whoever_kills_the_sandbox_leaves_books_that_balance(place: Place, depth: int) -> None:
    """What was refused in the last second may be told by nobody; what was told adds up."""
    started = place.start(NOTHING, sys.executable, "-c", HEAD + "while True: unshare()")
    wait_until(lambda: "syscall:unshare" in started.err.read_text(), "it was refused")
    pid = find_launcher(started.pid)
    for _ in range(1, depth):
        (pid,) = find_children(pid)
    os.kill(pid, signal.SIGKILL)
    ended = started.wait()
    assert (ended.status["end"], ended.verify()) == ("sandbox_killed", 0)
    assert told(ended)["syscall:unshare", "CLONE_NEWUSER", "EPERM"] > 0


def test_the_end_of_the_supervisor_ends_whoever_waits_for_an_answer(place: Place) -> None:
    started = place.start(NOTHING, sys.executable, "-c", HEAD + "while True: unshare()  # flood-to-the-end")
    word = HEAD + "while True: unshare()  # flood-to-the-end"
    wait_until(lambda: len(find_processes(word)) > 1, "the agent runs")
    wait_until(lambda: "syscall:unshare" in started.err.read_text(), "it was refused")
    started.send(signal.SIGKILL)
    started.process.wait()
    wait_until(lambda: not find_processes(word), "nothing is left")


def test_a_child_that_shares_memory_with_its_parent_is_answered(place: Place) -> None:
    """vfork: the parent stands still until the child has had its answer and is gone."""
    source = place.work / "v.c"
    source.write_text(
        "#define _GNU_SOURCE\n#include <sched.h>\n#include <unistd.h>\n#include <errno.h>\n"
        "int main(void) { for (int i = 0; i < 200; i++) { volatile int wrong = 0;"
        " if (vfork() == 0) { if (unshare(CLONE_NEWUSER) != -1 || errno != EPERM) wrong = 1; _exit(0); }"
        " if (wrong) return 1; } return 0; }\n"
    )
    subprocess.run(["gcc", "-o", place.work / "v", source], check=True)
    (place.work / "v").chmod(0o755)
    ended = place.run(NOTHING, "./v")
    assert (ended.code, ended.verify()) == (0, 0)
    assert told(ended) == {("syscall:unshare", "CLONE_NEWUSER", "EPERM"): 200}


# a machine where there can be no listener

OUTER = """
import os, struct, sys
sys.path.append(sys.argv[1])
from trio_egress.kernel import syscalls
syscalls.set_no_new_privs()
allow = struct.pack("<HBBI", 6, 0, 0, 0x7FFF_0000)
os.set_inheritable(syscalls.install_seccomp(allow, syscalls.SECCOMP_FILTER_FLAG_NEW_LISTENER), True)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def test_under_another_listener_calls_are_refused_without_receipts_and_it_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = str(Path(syscalls.__file__).parents[2])
    python, *arguments = place.program("run", 0)
    monkeypatch.setattr(place, "program", lambda *_: [python, "-c", OUTER, source, *arguments])
    ended = run(place, "print(unshare(), make(17, 3, 768), make(2, 3, 1))")
    assert ended.text.split() == ["1", "97", "1"]
    assert told(ended) == {}
    posture = json.loads((ended.evidence / "posture.json").read_text())
    assert posture["probes"]["refused_calls"] == "unsupported:EBUSY"
    unsupported = json.loads((ended.evidence / "packet.json").read_text())["posture"]["unsupported_paths"]
    assert any("which leave no receipt on this machine" in path for path in unsupported)
    assert "not recorded: system calls that are refused" in ended.err


LIMITS = """
import resource
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
for pid in (child.pid, 1):
    print(unshare())  # not told yet when PID 1 would be killed
    try:
        resource.prlimit(pid, resource.RLIMIT_CPU, (0, 0))
        print("limited")
    except PermissionError:
        print("refused")
print(child.wait(30))
"""


def test_no_process_time_is_taken_from_who_tells_of_refused_calls(place: Place) -> None:
    """As an ordinary user PID 1 has the agent's ids, like the child that shows what the call does."""
    ended = run(place, LIMITS)
    assert ended.text.split() == ["1", "limited", "1", "refused", str(-signal.SIGKILL)]
    assert told(ended) == {
        ("syscall:unshare", "CLONE_NEWUSER", "EPERM"): 2,
        ("syscall:prlimit64", "PID 1", "EPERM"): 1,
    }
