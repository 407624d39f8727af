"""PID 1 of a session: many commands in one sandbox, side by side and one after another, and files for the supervisor.

Standard library only, part of the launcher. The supervisor names each command by a number and gives it its streams.

Rule 1: a command is the second process of a PID namespace of its own, whose first is ours: killing that one kills all
that the command has started, however it was detached, and nothing else. So commands don't see each other's processes,
and what a command leaves behind ends with it.
Rule 2: `exited` is told when nothing of a command is left.
Rule 3: PID 1 waits for nobody: a command that starts is a matter of the poll as one that runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from trio_egress.kernel import files, init, notify, proc, syscalls
from trio_egress.kernel.notify import Filters, Following, Listener, Tally
from trio_egress.kernel.watch import Reached, Watch

if TYPE_CHECKING:
    from trio_egress.kernel.launcher import Control

STREAMS = 3
PASSED_ON = (*init.PASSED_ON, signal.SIGCONT)
"""To a command's process group. To end it for certain there is `kill`."""


class Command:
    """One, from its fork to the end of all that it has started. `first`: PID 1 of its namespace, as seen from here."""

    def __init__(self, number: int, first: int, channel: socket.socket, result: int) -> None:
        self.number = number
        self.first = first
        self.beginning: Following | None = Following(channel)
        self.result = result
        self.listener: Listener | None = None
        self.started = False
        self.reached: Reached | None = None

    def close(self) -> None:
        os.close(self.result)
        if self.listener is not None:
            self.listener.close()

    def read_code(self) -> int:
        """As its first process has told it; it tells nothing where it was killed."""
        raw = os.read(self.result, 16)
        return int(raw) if raw else -signal.SIGKILL


class Errand:
    """A child that has to do with one file: see kernel/files.py."""

    def __init__(self, number: int, pid: int, channel: socket.socket) -> None:
        self.number = number
        self.pid = pid
        self.following = Following(channel)


class Table:
    """All that lives in the sandbox but PID 1."""

    def __init__(self, plan: dict[str, Any], control: Control, filters: Filters) -> None:
        self._plan = plan
        self._control = control
        self._filters = filters
        self._own = os.pidfd_open(os.getpid())
        self._wake = init.watch_children()
        self._watch = Watch(plan["resources"], plan["group"])
        self._tally = Tally()
        self._commands: dict[int, Command] = {}
        self._errands: dict[int, Errand] = {}
        self._poll = select.poll()
        self._ready: dict[int, Callable[[], None]] = {}
        self._heed(control.sock.fileno(), self._hear)
        self._heed(self._wake, self._reap)

    def turn(self) -> None:
        """Wait for something, and see to it."""
        for descriptor, _ in self._poll.poll(self._find_wait()):
            if (see_to := self._ready.get(descriptor)) is not None:  # else gone meanwhile
                see_to()
        self._tell_refused()
        if self._commands and self._watch.wait_seconds == 0 and (reached := self._watch.look()):
            for command in self._commands.values():
                command.reached = reached
                self._kill(command)

    def _find_wait(self) -> float | None:
        """Milliseconds until there is something to do by itself; None is for ever."""
        waits = [self._watch.wait_seconds if self._commands else None, self._tally.wait_seconds]
        return min((seconds * 1000 for seconds in waits if seconds is not None), default=None)

    def _heed(self, descriptor: int, see_to: Callable[[], None]) -> None:
        self._ready[descriptor] = see_to
        self._poll.register(descriptor, select.POLLIN)

    def _leave(self, descriptor: int) -> None:
        if self._ready.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def _tell_refused(self, *, all_of_it: bool = False) -> None:
        """As of one agent: which command it was is nobody's claim."""
        if self._tally.wait_seconds is not None and (all_of_it or self._tally.wait_seconds == 0):
            calls, total = self._tally.take()
            self._control.tell("refused", calls=calls, total=total)

    # what the supervisor says

    def _hear(self) -> None:
        message, descriptors = hear(self._control)
        try:
            self._obey(message, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _obey(self, message: dict[str, Any], descriptors: list[int]) -> None:
        command = self._commands.get(message.get("command", 0))
        match message["step"]:
            case "spawn":
                self._spawn(message, descriptors)
            case "signal" if command is not None and command.started and message["signal"] in PASSED_ON:
                os.kill(command.first, message["signal"])
            case "kill" if command is not None:
                self._kill(command)
            case "file":
                self._send_out(message, descriptors)
            case "probe":
                init.probe(self._plan, self._control, self._filters, message["targets"])
            case "end":
                self._end()

    def _end(self) -> None:
        init.end_all()
        for command in list(self._commands.values()):
            self._conclude(command)
        for errand in list(self._errands.values()):
            self._report(errand)
        self._tell_refused(all_of_it=True)
        self._control.tell("ended")

    def _kill(self, command: Command) -> None:
        os.kill(command.first, signal.SIGKILL)

    # one command

    def _spawn(self, message: dict[str, Any], streams: list[int]) -> None:
        number = message["command"]
        plan = {
            **self._plan,
            "command": message["argv"],
            "environment": self._plan["environment"] | message["environment"],
            "directory": os.path.join(self._plan["directory"], message["directory"]),
        }
        try:
            ours, theirs = socket.socketpair()
            reads, writes = os.pipe()
        except OSError as error:  # too many are open
            self._tell_not_started(number, {"message": f"{error.strerror}", "errno": error.errno})
            return
        os.set_blocking(reads, False)
        try:
            if len(streams) != STREAMS:
                raise OSError(0, f"{len(streams)} descriptors for its {STREAMS} streams")
            first = self._fork_apart()
        except OSError as error:
            ours.close()
            os.close(reads)
            self._tell_not_started(number, {"message": f"{error.strerror}", "errno": error.errno})
            return
        else:
            if first == 0:
                become_first(plan, self._filters, streams, theirs.fileno(), writes)
        finally:
            theirs.close()
            os.close(writes)
        command = self._commands[number] = Command(number, first, ours, reads)
        self._heed(ours.fileno(), lambda: self._follow(command))

    def _fork_apart(self) -> int:
        """A child that is the first process of a PID namespace; later children are in this one again."""
        syscalls.unshare(syscalls.CLONE_NEWPID)
        try:
            return os.fork()
        finally:
            with contextlib.suppress(OSError):  # the child can't, and need not
                syscalls.setns(self._own, syscalls.CLONE_NEWPID)

    def _follow(self, command: Command) -> None:
        """What it says until it is the program that it is to be, or has failed to become it."""
        if (beginning := command.beginning) is None:
            return
        going_on = beginning.take()
        if beginning.descriptors:
            command.listener = Listener(beginning.descriptors.pop(), self._tally)
            self._heed(command.listener.descriptor, lambda: self._answer(command))
        if going_on:
            return
        command.beginning = None
        self._leave(beginning.channel.fileno())
        beginning.channel.close()
        said = beginning.read()
        if "stage" in said:
            self._tell_not_started(command.number, said)
        else:
            command.started = True
            self._control.tell("started", command=command.number)

    def _tell_not_started(self, number: int, said: dict[str, Any]) -> None:
        told = {name: said.get(name) for name in ("stage", "errno", "message")}
        self._control.tell("not_started", command=number, **told)

    def _answer(self, command: Command) -> None:
        listener = command.listener
        if listener is not None and not listener.serve():
            self._leave(listener.descriptor)

    def _conclude(self, command: Command) -> None:
        """Its first process is gone, and so is all else of it."""
        while command.beginning is not None:
            self._follow(command)
        if command.listener is not None:
            self._leave(command.listener.descriptor)
        del self._commands[command.number]
        if command.started:
            code = command.read_code()
            reached = command.reached or self._watch.explain(code)
            self._tell_refused(all_of_it=True)
            limit = reached._asdict() if reached else None
            self._control.tell("exited", command=command.number, code=code, limit=limit)
        command.close()

    # a file

    def _send_out(self, message: dict[str, Any], descriptors: list[int]) -> None:
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            self._control.tell("file", file=message["file"], error=f"{error.strerror}", errno=error.errno)
            return
        try:
            pid = os.fork()
        except OSError as error:
            ours.close()
            self._control.tell("file", file=message["file"], error=f"{error.strerror}", errno=error.errno)
            return
        else:
            if pid == 0:
                do_errand(self._plan, self._filters, message, descriptors, theirs.fileno())
        finally:
            theirs.close()
        errand = self._errands[message["file"]] = Errand(message["file"], pid, ours)
        self._heed(ours.fileno(), lambda: self._report(errand))

    def _report(self, errand: Errand) -> None:
        following = errand.following
        if following.take():
            return
        self._leave(following.channel.fileno())
        following.channel.close()
        del self._errands[errand.number]
        said = following.read() or {"error": "it was ended before it was done", "errno": 0}
        self._control.tell("file", following.descriptors, file=errand.number, **said)
        for descriptor in following.descriptors:
            os.close(descriptor)

    def _reap(self) -> None:
        init.drain(self._wake)
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for command in [each for each in self._commands.values() if each.first == pid]:
                self._conclude(command)


def serve(plan: dict[str, Any], control: Control, filters: Filters) -> NoReturn:
    """For as long as the session lasts."""
    table = Table(plan, control, filters)
    control.tell("serving")
    while True:
        table.turn()


def hear(control: Control) -> tuple[dict[str, Any], list[int]]:
    """The supervisor's next word with the descriptors beside it; ends this process at once when it is gone."""
    try:
        raw, descriptors, _, _ = socket.recv_fds(control.sock, notify.MESSAGE_BYTES, STREAMS)
    except ConnectionResetError:  # gone with a word of ours unread
        raw, descriptors = b"", []
    if not raw:
        os._exit(1)
    return json.loads(raw), descriptors


def become_first(
    plan: dict[str, Any], filters: Filters, streams: list[int], channel: int, result: int
) -> NoReturn:
    """The first process of a command's namespace: starts it, reaps, passes signals on, and ends with it."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        proc.mount_proc()
        proc.cover_proc()
        command = os.fork()
        if command == 0:
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            init.become_agent(plan, filters, None, channel)
        for number in PASSED_ON:
            signal.signal(number, lambda passed, _: pass_on(command, passed))
    except Exception as error:
        notify.say(channel, stage="setup", errno=0, message=f"the first process of a command: {error}")
        os._exit(1)
    init.close_all_but(result)  # `channel`, too: it ends with the command's own copy
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == command:
            os.write(result, b"%d" % os.waitstatus_to_exitcode(status))
            os._exit(0)


def pass_on(command: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command, number)


def do_errand(
    plan: dict[str, Any], filters: Filters, message: dict[str, Any], descriptors: list[int], channel: int
) -> NoReturn:
    """In a child that is confined as a command is, but for the filter of calls: it runs nothing but this.

    What is to be written it has as its standard input.
    """
    stage = "setup"
    try:
        signal.set_wakeup_fd(-1)
        for descriptor in descriptors[:1]:
            os.dup2(descriptor, 0)
        for stage in init.confine(plan, filters, None, channel):
            if stage == init.LAST_STEP:
                break
        files.do(message, channel)
    except OSError as error:
        notify.say(channel, errno=error.errno or 0, error=(error.strerror or str(error)).rpartition(": ")[2])
    except Exception as error:
        notify.say(channel, errno=0, error=f"{stage}: {error}")
    os._exit(0)
