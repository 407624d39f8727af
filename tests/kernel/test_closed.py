"""What a process that works on its descriptors alone can do, and can't."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys

import pytest

from trio_egress.errors import SandboxError
from trio_egress.kernel.closed import CLOSED, build_closed_filter

PROGRAM = """
import json, os, socket, subprocess, sys, threading
from trio_egress.kernel.closed import build_closed_filter
from trio_egress.kernel.syscalls import install_seccomp, set_no_new_privs
there, here = socket.socketpair()
tries = {
    "open": lambda: open("/etc/passwd").close(),
    "create": lambda: os.close(os.open(f"/tmp/closed.{os.getpid()}", os.O_CREAT | os.O_WRONLY)),
    "unlink": lambda: os.unlink(f"/tmp/closed.{os.getpid()}"),
    "tcp": lambda: socket.socket(),
    "udp": lambda: socket.socket(type=socket.SOCK_DGRAM),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "connect": lambda: there.connect("/run/x"),
    "run": lambda: os.execv("/bin/true", ["true"]),
    "kill": lambda: os.kill(os.getppid(), 0),
    "pair": lambda: [one.close() for one in socket.socketpair()],
    "say": lambda: (there.send(b"x"), here.recv(1)),
    "fork": lambda: os.waitpid(os.fork() or os._exit(0), 0),
    "random": lambda: os.urandom(8),
}
def find(call):
    try:
        call()
    except OSError as error:
        return error.errno
    return 0
def go():
    return {name: find(call) for name, call in tries.items() if name != "run" or closed}
closed = False
before = go()
set_no_new_privs()
install_seccomp(build_closed_filter(os.uname().machine))
closed = True
print(json.dumps([before, go()]))
"""


def test_nothing_can_be_opened_run_or_touched_any_more() -> None:
    """The control is the same process, before."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    before, after = json.loads(ran.stdout)
    refused = {"open", "create", "unlink", "tcp", "udp", "unix", "connect", "run", "kill"}
    assert {name for name, number in after.items() if number} == refused
    assert {after[name] for name in refused} == {1}
    assert {name for name, number in before.items() if number} == {"connect"}


def test_each_call_has_the_number_that_the_kernel_knows() -> None:
    """By libseccomp, where it is installed; else by the header of this machine's C library."""
    header = "#include <sys/syscall.h>\n" + "".join(f"{name} SYS_{name}\n" for name in CLOSED)
    column = ["x86_64", "aarch64"].index(os.uname().machine)
    shown = subprocess.run(["gcc", "-E", "-P", "-"], input=header, check=True, capture_output=True, text=True)
    numbers = dict(line.split() for line in shown.stdout.splitlines() if line.split()[0] in CLOSED)
    known = {name: row[column] for name, row in CLOSED.items() if row[column] is not None}
    assert {name: int(number) for name, number in numbers.items() if number.isdigit()} == known
    assert ctypes.sizeof(ctypes.c_long) == 8


def test_an_unknown_machine_has_none() -> None:
    with pytest.raises(SandboxError, match="no seccomp filter for machine 'pdp11'"):
        build_closed_filter("pdp11")
