"""A session with a supervisor, for any thread of the program: requests go out, a thread of its own takes the answers.

What Trio, asyncio and plain programs use is made of this (open_sandbox, Sandbox). Blocks, and loads neither.

Rule 1: every request has its answer, or fails when the session has ended; nobody waits for ever.
Rule 2: the thread ends when the supervisor has, and how that ended is known then.
Rule 3: a forked child has the session's socket, and no use of it.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from pathlib import Path

from trio_egress.errors import PeerError, SandboxError, TrioEgressError, UsageError
from trio_egress.evidence.report import Verdict
from trio_egress.library.answering import Answering
from trio_egress.library.command import Command, Ended
from trio_egress.library.event import Event
from trio_egress.library.process import Supervisor, make_command
from trio_egress.library.result import Packet
from trio_egress.wire.session_told import (
    Attempted,
    Exited,
    FileDone,
    NotStarted,
    Ready,
    Started,
    Told,
    read_told,
)

MESSAGE_BYTES = 65_536
CALLED = "session"
FILES_AT_ONCE = 32
"""Fewer than the supervisor has on their way at once; others wait here."""

INCOMPLETE = "evidence_incomplete"

HUNG_UP = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)

Members = Mapping[str, object]


class Session:
    """One, from `start_session` to `close`."""

    def __init__(
        self,
        process: Supervisor,
        sock: socket.socket,
        folder: str,
        answering: Answering | None = None,
    ) -> None:
        self.ready: Future[None] = Future()
        self.packet: Packet | None = None
        self.verdict: Verdict | None = None
        self.end = ""
        self.backend = ""
        self._process = process
        self._sock = sock
        self._folder = folder
        self._answering = answering
        self._owner = os.getpid()
        self.few = threading.BoundedSemaphore(FILES_AT_ONCE)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._commands: dict[int, Command] = {}
        self._files: dict[int, Future[int]] = {}
        self._listeners: list[Callable[[Event | None], None]] = []
        self._error: BaseException | None = None
        self._gone = self._closing = False
        self._thread = threading.Thread(target=self._follow, name="trio-egress session", daemon=True)

    def begin(self, on_event: Callable[[Event], object] | None) -> None:
        """Raises SandboxError, where no sandbox could be built as it must be."""
        if on_event is not None:
            self.listen(lambda event: None if event is None else on_event(event))
        if self._answering is not None:
            self._answering.begin(self._fail)
        self._thread.start()
        try:
            self.ready.result()
        except BaseException:
            self._leave()
            raise

    def abort(self) -> None:
        """End it before it has begun."""
        self._process.terminate()

    def listen(self, listener: Callable[[Event | None], object]) -> Callable[[], None]:
        """Have each event told, in the session's own thread, and None at the end. What is given back ends that."""
        self.check_owner()
        told: Callable[[Event | None], None] = lambda event: (listener(event), None)[1]  # noqa: E731
        with self._lock:
            gone = self._gone
            self._listeners.append(told)
        if gone:
            told(None)
        return lambda: self._listeners.remove(told)

    def spawn(
        self,
        argv: Sequence[str],
        streams: Sequence[int],
        directory: str,
        environment: Mapping[str, str],
        timeout: float | None,
    ) -> Command:
        self.check_owner()
        command = Command(next(self._numbers))
        with self._lock:
            self._check()
            self._commands[command.number] = command
        try:
            self._say(
                streams,
                step="spawn",
                number=command.number,
                argv=list(argv),
                directory=directory,
                environment=dict(environment),
                timeout=timeout,
            )
        except BaseException:
            with self._lock:
                self._commands.pop(command.number, None)
            raise
        return command

    def signal(self, command: Command, number: int) -> None:
        self.check_owner()
        if not command.ended.done():
            self._say(step="signal", number=command.number, signal=int(number))

    def kill(self, command: Command) -> None:
        """With all that it has started, however detached; `ended` follows."""
        if not command.ended.done():
            self._end("kill", number=command.number)

    def open_file(self, step: str, path: str, streams: Sequence[int] = ()) -> Future[int]:
        """`read` gives a descriptor; `write`, with the content's, gives -1 when it is done."""
        self.check_owner()
        done: Future[int] = Future()
        with self._lock:
            self._check()
            number = next(self._numbers)
            self._files[number] = done
        self._say(streams, step=step, number=number, path=path)
        return done

    @property
    def closed(self) -> bool:
        """Whether it has come to its end, or is about to."""
        return self._gone or self._closing

    def close(self) -> None:
        """End what lives, and wait until the chain is closed and the packet written. Raises what the end was, where it
        was none in good order."""
        if os.getpid() != self._owner:
            return
        self._closing = True
        self._end("close")
        try:
            self._thread.join()
        except BaseException:
            self._process.kill()
            self._thread.join()
            raise
        finally:
            self._leave()
        if self._error is not None:
            raise self._error

    def _leave(self) -> None:
        if self._thread.is_alive():
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            self._process.terminate()
            self._thread.join()
        self._sock.close()

    def check_owner(self) -> None:
        """Before a lock is taken: a forked child may have got one that nobody gives back."""
        if os.getpid() != self._owner:
            raise SandboxError(
                "the sandbox belongs to the process that has opened it, not to one that it has forked"
            )

    def _check(self) -> None:
        if self._gone:
            raise self._error or SandboxError("the sandbox is closed")

    def _say(self, streams: Sequence[int] = (), **members: object) -> None:
        raw = json.dumps(members).encode("ascii")
        if len(raw) > MESSAGE_BYTES:
            raise UsageError(
                f"a command's words and variables must be below {MESSAGE_BYTES} bytes, not {len(raw)}"
            )
        try:
            socket.send_fds(self._sock, [raw], list(streams))
        except OSError as error:
            if error.errno not in HUNG_UP and self._sock.fileno() >= 0:
                raise  # a descriptor of the program's that is none: the session goes on
            self._thread.join()  # how it ended is known then
            raise self._error or SandboxError("the sandbox is closed") from None

    def _end(self, step: str, **members: object) -> None:
        """What has ended by itself needs no word, and says how when it is waited for."""
        if os.getpid() != self._owner:
            return
        with suppress(OSError):
            self._sock.send(json.dumps({"step": step, **members}).encode("ascii"))

    # the thread

    def _follow(self) -> None:
        try:
            while (received := self._receive()) is not None:
                self._take(*received)
        except PeerError as error:
            self._fail(SandboxError(f"the supervisor said what can't be understood: {error}"))
        except Exception as error:  # of a listener
            self._fail(error)
        self._process.wait()
        self._conclude()

    def _fail(self, error: BaseException) -> None:
        """Of a function of the program's: it ends the session, and is raised as itself."""
        self._error = self._error or error
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _receive(self) -> tuple[Told, list[int]] | None:
        """Raises PeerError."""
        try:
            raw, descriptors, _, _ = socket.recv_fds(self._sock, MESSAGE_BYTES, 1)
        except OSError:
            return None
        if not raw:
            return None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        try:
            return read_told(raw, len(descriptors)), descriptors
        except PeerError:
            close_all(descriptors)
            raise

    def _take(self, told: Told, descriptors: list[int]) -> None:
        match told:
            case Ready():
                if not self.ready.done():
                    self.ready.set_result(None)
            case Attempted():
                self._take_event(told)
            case FileDone():
                self._take_file(self._files.pop(told.number, None), told, descriptors)
            case Started(number):
                if (command := self._commands.get(number)) is not None:
                    command.start()
            case Exited(number, code, limit, timed_out):
                self._end_command(number, Ended(returncode=code, timed_out=timed_out, limit=limit))
            case NotStarted(number, errno, message):
                self._end_command(number, Ended(returncode=None, message=message, errno=errno))

    def _end_command(self, number: int, ended: Ended) -> None:
        command = self._commands.pop(number, None)
        if command is not None:
            command.ended.set_result(ended)
            command.start()

    def _take_event(self, told: Attempted) -> None:
        words = dict(told.words)
        event = Event(
            protocol=words.pop("proto"), port=told.port, count=told.count, dropped=told.dropped, **words
        )
        for command in list(self._commands.values()):
            command.watched.count += told.dropped_denied
            if event.denied:
                command.watched.take(event)
        for listener in list(self._listeners):
            listener(event)

    def _take_file(self, done: Future[int] | None, told: FileDone, descriptors: list[int]) -> None:
        if done is None:
            close_all(descriptors)
        elif told.error:
            done.set_exception(OSError(told.errno, told.error))
        else:
            done.set_result(next(iter(descriptors), -1))

    def _conclude(self) -> None:
        """The supervisor has ended: what it has left as its status, and nobody waits any more."""
        try:
            failure = self._read_status()
        except (OSError, ValueError, KeyError):
            failure = SandboxError(
                "the supervisor ended without a word of how: it was killed, or could not be started"
            )
        with self._lock:
            self._gone = True
            self._error = self._error or failure
        error = self._error or SandboxError("the sandbox is closed")
        if not self.ready.done():
            self.ready.set_exception(error)
        for command in list(self._commands.values()):
            if not command.started.done():
                command.started.set_exception(error)
            command.ended.set_exception(error)
        for done in list(self._files.values()):
            done.set_exception(error)
        if self._answering is not None:
            self._answering.close()
        for listener in list(self._listeners):
            with suppress(Exception):
                listener(None)

    def _load_status(self) -> Members:
        path = Path(self._folder, "status.json")
        try:
            status: Members = json.loads(path.read_bytes())
        finally:
            with suppress(OSError):
                path.unlink()
                os.rmdir(self._folder)
        return status

    def _read_status(self) -> Exception | None:
        status = self._load_status()
        self.end, message = str(status["end"]), str(status["message"])
        if self.end == "refused":
            return SandboxError(message)
        if status["evidence"] is None or self.end in ("error", INCOMPLETE):
            return TrioEgressError(message or f"the session ended as {self.end}")
        self.packet = Packet(
            path=Path(str(status["evidence"])),
            run_id=str(status["run_id"]),
            head=str(status["head"] or ""),
            manifest_sha256=str(status["manifest_sha256"] or ""),
        )
        self.verdict = Verdict(status["verdict"] or Verdict.UNREADABLE)
        return (
            None
            if self.end == "agent_exited"
            else SandboxError(message or f"the session ended as {self.end}")
        )


def start_session(
    options: Sequence[str],
    directory: Path | None,
    environment: Mapping[str, str] | None,
    answering: Answering | None = None,
) -> Session:
    """Start a supervisor; `begin` waits until its sandbox stands. `answering`: whom it asks. Raises SandboxError."""
    folder = tempfile.mkdtemp(prefix="trio-egress-")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line = None if answering is None else answering.other
    asks = [] if line is None else [f"--ask-fd={line.fileno()}"]
    told = [f"--status-file={folder}/status.json", "--quiet", "--verify"]
    words = ["run", *asks, *options, *told, "--", CALLED]
    command = make_command("trio_egress.library.session_child", str(theirs.fileno()), *words)
    try:
        with theirs, line or nullcontext():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=tuple(each.fileno() for each in (theirs, line) if each is not None),
                cwd=directory,
                env=environment,
            )
    except OSError as error:
        ours.close()
        if answering is not None:
            answering.close()
        os.rmdir(folder)
        raise SandboxError(f"cannot start a supervisor in {directory or '.'}: {error}") from None
    return Session(process, ours, folder, answering)


def close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
