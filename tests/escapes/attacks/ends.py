"""Outliving the run: each leaves a process behind, which the world looks for when the run is over."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import NoReturn

from tests.escapes.frame import NO_TRAFFIC, Ways, attack

OUTLIVE = """
import signal, time
for number in range(1, 32):
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_IGN)
time.sleep(99)
"""
FORK = """
import os, time
while True:
    time.sleep(0.02)
    if os.fork():
        os._exit(0)
    os.setsid()
"""


def stay(w: Ways, program: str = OUTLIVE) -> NoReturn:
    """Become a process that can be told by its arguments."""
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", program, w.token])


@attack("processes", proof="outlived", silent=NO_TRAFFIC)
def child(w: Ways) -> None:
    if os.fork() == 0:
        stay(w)


@attack("processes", proof="outlived", silent=NO_TRAFFIC)
def daemon(w: Ways) -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            stay(w)
        os._exit(0)


@attack("processes", proof="outlived", silent=NO_TRAFFIC)
def reaper_of_its_own(w: Ways) -> None:
    """PR_SET_CHILD_SUBREAPER: its orphans are not PID 1's."""
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
        if os.fork() == 0:
            os.setsid()
            stay(w)
        stay(w)


@attack("processes", proof="outlived", silent=NO_TRAFFIC)
def stopped_child(w: Ways) -> None:
    child = os.fork()
    if child == 0:
        stay(w)
    for _ in range(2000):  # until it is the program that it can be told by
        with open(f"/proc/{child}/cmdline", "rb") as file:
            if w.raw in file.read().split(b"\0"):
                break
        time.sleep(0.005)
    os.kill(child, signal.SIGSTOP)


@attack("processes", proof="outlived", silent=NO_TRAFFIC)
def child_in_a_group_of_its_own(w: Ways) -> None:
    if os.fork() == 0:
        os.setpgid(0, 0)
        stay(w)


@attack("processes", proof="outlived", silent=NO_TRAFFIC)
def child_that_goes_on_forking(w: Ways) -> None:
    """A new number each time somebody looks."""
    if os.fork() == 0:
        stay(w, FORK)


@attack("processes", proof="outlived", silent=NO_TRAFFIC)
def child_whose_parent_waits(w: Ways) -> None:
    if os.fork() == 0:
        stay(w, "import subprocess; subprocess.run(['/bin/sleep', '98'])")
