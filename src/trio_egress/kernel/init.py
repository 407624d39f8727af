"""PID 1 inside the sandbox: starts the agent, reaps what it leaves, passes signals on, and ends everything with itself.

Standard library only, like the launcher whose last part it is. It can be neither traced nor signalled by the agent.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
from typing import TYPE_CHECKING, Any, NoReturn

from trio_egress.kernel import syscalls

if TYPE_CHECKING:
    from trio_egress.kernel.launcher import Control

PASSED_ON = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGTTOU,
    signal.SIGTTIN,
    signal.SIGTSTP,
)


def main(plan: dict[str, Any], control: Control, seccomp: bytes, terminal: int | None) -> NoReturn:
    try:
        syscalls.set_parent_death_signal(signal.SIGKILL)
        syscalls.set_dumpable(False)
        for number in PASSED_ON:
            signal.signal(number, signal.SIG_IGN)
        syscalls.mount(
            "proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC, None
        )
        control.tell("ready")
        control.expect("go")
        wake = watch_children()
        agent = start_agent(plan, control, seccomp, terminal)
    except Exception as error:
        control.tell("failed", message=f"PID 1: {error}")
        os._exit(1)
    keep_agent(agent, control, wake, terminal)


def find_terminal() -> int | None:
    """The controlling terminal, if one of 0, 1, 2 is it and the supervisor's job has the foreground.

    Asked by the launcher: in the PID namespace every process group of outside is 0, so there they would all be equal.
    """
    for descriptor in (0, 1, 2):
        try:
            if os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp():
                return os.dup(descriptor)
        except OSError:
            continue
    return None


def watch_children() -> int:
    """A descriptor that becomes readable whenever a child changes its state."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def start_agent(plan: dict[str, Any], control: Control, seccomp: bytes, terminal: int | None) -> int:
    """Fork the agent; returns once it runs. A failure before that ends this process, and is told with its errno."""
    reader, writer = os.pipe()
    agent = os.fork()
    if agent == 0:
        become_agent(plan, seccomp, terminal, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        trouble = file.read()
    if trouble:
        control.tell("not_started", **json.loads(trouble))
        os._exit(1)
    control.tell("started")
    return agent


def become_agent(plan: dict[str, Any], seccomp: bytes, terminal: int | None, trouble: int) -> NoReturn:
    stage, number = "setup", 0
    try:
        own_session(terminal)
        ids = plan["identities"]["agent"]
        if plan["identities"]["root"]:
            os.setgroups([])
            os.setresgid(ids["gid"], ids["gid"], ids["gid"])
            os.setresuid(ids["uid"], ids["uid"], ids["uid"])
        stage = f"entering {plan['directory']} as {ids['name']}"
        os.chdir(plan["directory"])
        stage = "giving up all rights"
        syscalls.drop_capabilities()
        syscalls.set_no_new_privs()
        for ignored in (*PASSED_ON, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(ignored, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.set_inheritable(trouble, False)
        close_all_but(trouble)
        syscalls.install_seccomp(seccomp)
        stage = "exec"
        program = find_program(plan["command"][0], plan["environment"].get("PATH", os.defpath))
        os.execve(program, plan["command"], plan["environment"])
    except OSError as error:
        number = error.errno or errno.EINVAL
        message = f"{plan['command'][0] if stage == 'exec' else stage}: {error.strerror or error}"
    except Exception as error:
        message = f"{stage}: {error}"
    os.write(trouble, json.dumps({"stage": stage, "errno": number, "message": message}).encode("ascii"))
    os._exit(1)


def find_program(command: str, path: str) -> str:
    """Where a shell would find it: a directory that can't be searched holds nothing. Raises FileNotFoundError."""
    if "/" in command:
        return command
    found = [p for d in path.split(os.pathsep) if os.path.isfile(p := os.path.join(d or ".", command))]
    for candidate in found:
        if os.access(candidate, os.X_OK):
            return candidate
    if not found:
        raise FileNotFoundError(errno.ENOENT, "not found in PATH")
    return found[0]


def own_session(terminal: int | None) -> None:
    """A session of its own; at a terminal only a foreground job of its own, so that job control works."""
    if terminal is None:
        os.setsid()
        return
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpgrp())


def close_all_but(kept: int) -> None:
    os.closerange(3, kept)
    os.closerange(kept + 1, 2**31 - 1)


def keep_agent(agent: int, control: Control, wake: int, terminal: int | None) -> NoReturn:
    """Until the agent ends: reap orphans, pass signals on, tell when it stops. Then end, and all else with it."""
    poll = select.poll()
    poll.register(control.sock, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if wake in ready:
            drain(wake)
            reap(agent, control)
        if control.sock.fileno() in ready:
            obey(agent, control, terminal)


def drain(wake: int) -> None:
    try:
        while os.read(wake, 4096):
            pass
    except BlockingIOError:
        pass


def reap(agent: int, control: Control) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid != agent:
            continue
        if os.WIFSTOPPED(status):
            control.tell("stopped", signal=os.WSTOPSIG(status))
        else:
            control.tell("exited", code=os.waitstatus_to_exitcode(status))
            os._exit(0)


def obey(agent: int, control: Control, terminal: int | None) -> None:
    """One word of the supervisor: a signal for the agent's process group, and whether it has the foreground again."""
    raw = control.sock.recv(4096)
    if not raw:
        os._exit(1)
    message = json.loads(raw)
    number = message["signal"]
    if message.get("foreground") and terminal is not None:
        os.tcsetpgrp(terminal, os.getpgid(agent))
    try:
        os.killpg(os.getpgid(agent), number)
    except ProcessLookupError:
        return
