"""PID 1 inside the sandbox: starts the agent, reaps what it leaves, passes signals on, and ends everything with itself.

Standard library only, like the launcher whose last part it is. It can be neither traced nor signalled by the agent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from trio_egress.kernel import landlock, limits, notify, proc, rights, selftest, syscalls
from trio_egress.kernel.notify import Filters, Listener
from trio_egress.kernel.terminal import Terminal, open_terminal
from trio_egress.kernel.watch import Reached, Watch

if TYPE_CHECKING:
    from trio_egress.kernel.launcher import Control

PASSED_ON = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTOU,
    signal.SIGTTIN,
    signal.SIGTSTP,
)

LAST_STEP = "installing the seccomp filter"
"""Of `confine`: what comes before it holds for files, too."""


def main(plan: dict[str, Any], control: Control, filters: Filters) -> NoReturn:
    try:
        syscalls.set_parent_death_signal(signal.SIGKILL)
        syscalls.set_dumpable(False)
        for number in PASSED_ON:
            signal.signal(number, signal.SIG_IGN)
        proc.mount_proc()
        limits.limit_numbers(plan["resources"])
        proc.cover_proc()
        control.tell("ready")
        while (message := control.hear())["step"] == "probe":
            if probe(plan, control, filters, message["targets"]):
                filters = filters._replace(
                    refusing=None
                )  # the agent gets what was measured, or does not start
        if message["step"] == "serve":
            from trio_egress.kernel import commands  # loaded by the launcher, which could see its file

            commands.serve(plan, control, filters)
        if message["step"] != "go":
            raise RuntimeError(f"expected 'go' from the supervisor, not {message['step']!r}")
        wake = watch_children()
        terminal = give_terminal(plan, control, message)
        agent, listener = start_agent(plan, control, filters, terminal)
    except Exception as error:
        control.tell("failed", message=f"PID 1: {error}")
        os._exit(1)
    keep_agent(agent, listener, plan, control, filters, wake, terminal)


def give_terminal(plan: dict[str, Any], control: Control, message: dict[str, Any]) -> Terminal | None:
    """A terminal for those of 0, 1, 2 that are one; its other end goes to the supervisor."""
    if not message["streams"]:
        return None
    master, terminal = open_terminal(message, plan["identities"]["agent"])
    control.tell("terminal", [master])
    os.close(master)
    return terminal


def watch_children() -> int:
    """A descriptor that becomes readable whenever a child changes its state."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def start_agent(
    plan: dict[str, Any], control: Control, filters: Filters, terminal: Terminal | None
) -> tuple[int | None, Listener | None]:
    """Fork the agent; returns once it runs. A failure before that is told with its errno, and gives None."""
    ours, theirs = socket.socketpair()
    agent = os.fork()
    if agent == 0:
        become_agent(plan, filters, terminal, theirs.fileno())
    theirs.close()
    with ours:
        listener, said = notify.follow(ours)
    if "stage" not in said:
        control.tell("started")
        return agent, listener
    control.tell("not_started", **{name: said[name] for name in ("stage", "errno", "message")})
    end_all()
    return None, listener


def become_agent(plan: dict[str, Any], filters: Filters, terminal: Terminal | None, channel: int) -> NoReturn:
    stage, number = "setup", 0
    try:
        for stage in confine(plan, filters, terminal, channel):  # noqa: B007  told when a step fails
            pass
        stage = "exec"
        program = find_program(plan["command"][0], plan["environment"].get("PATH", os.defpath))
        os.execve(program, plan["command"], plan["environment"])
    except OSError as error:
        number = error.errno or errno.EINVAL
        message = f"{plan['command'][0] if stage == 'exec' else stage}: {error.strerror or error}"
    except Exception as error:
        message = f"{stage}: {error}"
    notify.say(channel, stage=stage, errno=number, message=message)
    os._exit(1)


def confine(plan: dict[str, Any], filters: Filters, terminal: Terminal | None, channel: int) -> Iterator[str]:
    """Become what the agent is, step by step: gives the name of each step before it is taken.

    Of the descriptors only 0, 1, 2 and `channel` stay open, and that one only until exec.
    """
    yield "taking a session of its own"
    own_session(terminal)
    ids, supervisor = plan["identities"]["agent"], plan["identities"]["supervisor"]
    if ids["uid"] != supervisor["uid"]:
        yield f"becoming {ids['name']}"
        os.setgroups([])
        os.setresgid(ids["gid"], ids["gid"], ids["gid"])
        os.setresuid(ids["uid"], ids["uid"], ids["uid"])
    yield "limiting the agent"
    limits.enter_group(plan["group"])
    limits.limit_agent(plan["resources"])
    yield f"entering {plan['directory']} as {ids['name']}"
    os.chdir(plan["directory"])
    yield "giving up all rights"
    syscalls.drop_capabilities()
    syscalls.set_no_new_privs()
    limits.leave_keyring()
    for ignored in (*PASSED_ON, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
        signal.signal(ignored, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    close_all_but(channel)
    yield "looking whether it can write"
    rights.check_rights(plan["must_write"], supervisor["uid"])
    yield "holding the agent to its places (Landlock)"
    landlock.restrict_agent(plan["landlock"]["abi"], plan["landlock"]["places"])
    yield LAST_STEP
    notify.install(filters, channel)


def probe(plan: dict[str, Any], control: Control, filters: Filters, targets: dict[str, Any]) -> bool:
    """Try the boundary from inside, in a child confined exactly like the agent, and tell the answers.

    Whether PID 1 was notified of what the child was refused, which is counted by itself: the agent has no part in it.
    """
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        stage, channel = "setup", theirs.fileno()
        try:
            for step in confine(plan, filters, None, channel):
                stage = step
            stage = "probing"
            notify.say(channel, **selftest.run_probes(targets))
        except rights.Unwritable as error:
            notify.say(channel, refused=str(error))
        except Exception as error:
            notify.say(channel, failure=f"{stage}: {error}")
        os._exit(0)
    theirs.close()
    with ours:
        listener, answers = notify.follow(ours)
    os.waitpid(child, 0)
    if listener is not None:
        if not listener.tally.total:
            answers["refused_calls"] = "not notified"
        listener.close()
    control.tell("measured", answers=answers)
    return listener is not None


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


def own_session(terminal: Terminal | None) -> None:
    """A session of its own; at a terminal a job of its own in PID 1's session, so that job control works."""
    if terminal is None:
        os.setsid()
    else:
        terminal.give()


def close_all_but(kept: int) -> None:
    os.closerange(3, kept)
    os.closerange(kept + 1, 2**31 - 1)


def keep_agent(
    agent: int | None,
    listener: Listener | None,
    plan: dict[str, Any],
    control: Control,
    filters: Filters,
    wake: int,
    terminal: Terminal | None,
) -> NoReturn:
    """Until the agent ends: reap orphans, pass signals on, tell when it stops and what it is refused.

    Then nothing runs but probes. `agent` is None where it has not even started.
    """
    poll = select.poll()
    poll.register(control.sock, select.POLLIN)
    poll.register(wake, select.POLLIN)
    if listener is not None:
        poll.register(listener.descriptor, select.POLLIN)
    watch = Watch(plan["resources"], plan["group"])
    while True:
        ready = dict(poll.poll(find_wait(agent, watch, listener)))
        if listener is not None and listener.descriptor in ready and not listener.serve():
            poll.unregister(listener.descriptor)
        tell_refused(listener, control)
        if wake in ready:
            drain(wake)
            if agent is not None and reap(agent, control, watch, listener, terminal):
                agent = None
        if agent is not None and watch.wait_seconds == 0 and (reached := watch.look()):
            end_agent(control, -signal.SIGKILL, reached, listener)
            agent = None
        if control.sock.fileno() in ready:
            message = control.hear()
            if message["step"] == "probe":
                probe(plan, control, filters, message["targets"])
            elif message["step"] == "end":
                end_all()
                agent = None
                tell_refused(listener, control, all_of_it=True)
                control.tell("ended")
            elif agent is not None:
                obey(agent, message, terminal)


def find_wait(agent: int | None, watch: Watch, listener: Listener | None) -> float | None:
    """Milliseconds until PID 1 has something to do by itself; None is for ever."""
    waits = [
        watch.wait_seconds if agent is not None else None,
        listener.tally.wait_seconds if listener else None,
    ]
    return min((seconds * 1000 for seconds in waits if seconds is not None), default=None)


def tell_refused(listener: Listener | None, control: Control, *, all_of_it: bool = False) -> None:
    """Tell the supervisor which calls were refused, when it is time for that."""
    if listener is None or listener.tally.wait_seconds is None:
        return
    if all_of_it or listener.tally.wait_seconds == 0:
        calls, total = listener.tally.take()
        control.tell("refused", calls=calls, total=total)


def drain(wake: int) -> None:
    try:
        while os.read(wake, 4096):
            pass
    except BlockingIOError:
        pass


def reap(
    agent: int, control: Control, watch: Watch, listener: Listener | None, terminal: Terminal | None
) -> bool:
    """Take in every child that has changed its state; True when the agent has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return False
        if pid == 0:
            return False
        if pid != agent:
            continue
        if os.WIFSTOPPED(status):
            serial = terminal.serial if terminal is not None else 0
            control.tell("stopped", signal=os.WSTOPSIG(status), serial=serial)
        else:
            code = os.waitstatus_to_exitcode(status)
            return end_agent(control, code, watch.look() or watch.explain(code), listener)


def end_agent(control: Control, code: int, reached: Reached | None, listener: Listener | None) -> bool:
    """Nothing of the agent is left when its end is told, with the limit that it had come to."""
    end_all()
    tell_refused(listener, control, all_of_it=True)
    control.tell("exited", code=code, limit=reached._asdict() if reached else None)
    return True


def end_all() -> None:
    """Kill everything else in the namespace, whatever it forks meanwhile: all of it becomes a child of PID 1."""
    while True:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def obey(agent: int, message: dict[str, Any], terminal: Terminal | None) -> None:
    """A signal for the agent's process group; with `front`, whether it goes on in front or behind."""
    try:
        group = os.getpgid(agent)
        if "front" in message and terminal is not None:
            terminal.serial = message["serial"]
            terminal.put_in_front(group, front=message["front"])
        os.killpg(group, message["signal"])
    except ProcessLookupError:
        return
