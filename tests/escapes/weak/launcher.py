"""The launcher of the controls: the real one with the named steps taken off. Standard library only.

Which, says the variable ESCAPES_OFF of the agent's environment, which is in the plan.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any


def take_off(steps: list[str]) -> None:
    from trio_egress.kernel import init, launcher, proc, syscalls

    def nothing(*_: object, **__: object) -> None:
        pass

    namespaces = {
        "network": syscalls.CLONE_NEWNET,
        "processes": syscalls.CLONE_NEWPID,
        "shared memory": syscalls.CLONE_NEWIPC,
    }
    for step, flag in namespaces.items():
        if step in steps:
            launcher.BOUNDARY &= ~flag
    changes: dict[str, list[tuple[Any, str, Callable[..., object]]]] = {
        "network": [(launcher, "bring_up_loopback", nothing)],
        "processes": [
            (syscalls, "mount", skip_proc(syscalls.mount)),
            (init, "limit_numbers", nothing),
            (proc, "cover_proc", nothing),
        ],
        "proc": [(proc, "cover_proc", nothing)],
        "dumpable": [(syscalls, "set_dumpable", lambda _: dumpable(True))],
        "capabilities": [
            (syscalls, "drop_capabilities", raise_everything),
            (init, "own_session", keep_capabilities(init.own_session, syscalls.keep_capabilities)),
        ],
        "descriptors": [(init, "close_all_but", nothing)],
        "terminal": [(init, "own_session", nothing)],  # the caller's session, as the launcher's is
        "keyring": [(syscalls, "new_session_keyring", nothing)],
    }
    dumpable = syscalls.set_dumpable
    if "processes" in steps:
        os.kill = spare_all(os.kill)
    for step in steps:
        for module, name, replacement in changes.get(step, ()):
            setattr(module, name, replacement)


def spare_all(kill: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """PID 1 ends everything in its namespace; without one that would be everything of this user."""

    def kill_one(pid: int, number: int) -> None:
        if pid > 0:
            kill(pid, number)

    return kill_one


def skip_proc(mount: Callable[..., None]) -> Callable[..., None]:
    """Without a PID namespace of its own nobody may mount /proc, and the host's is the right one."""

    def mount_all_else(*arguments: Any) -> None:
        if arguments[2:3] != ("proc",):
            mount(*arguments)

    return mount_all_else


def keep_capabilities(own_session: Callable[..., None], keep: Callable[[], None]) -> Callable[..., None]:
    """The last call before the agent's process becomes the agent's user, by which it would lose them."""

    def first_keep(*arguments: Any) -> None:
        keep()
        own_session(*arguments)

    return first_keep


def raise_everything() -> None:
    """Effective, inheritable and ambient: they stay through exec."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x2008_0522, 0)
    sets = (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    sets[0], sets[3] = sets[1], sets[4]
    sets[2], sets[5] = sets[1], sets[4]
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")
    for capability in range(64):
        libc.prctl(47, 2, ctypes.c_ulong(capability), ctypes.c_ulong(0), ctypes.c_ulong(0))


def main() -> None:
    sys.path.append(sys.argv[2])
    from trio_egress.kernel import launcher

    receive = launcher.receive_plan

    def receive_plan(control: launcher.Control) -> dict[str, Any]:
        plan = receive(control)
        take_off(plan["environment"]["ESCAPES_OFF"].split(","))
        return plan

    launcher.receive_plan = receive_plan
    launcher.main(int(sys.argv[1]))


main()
