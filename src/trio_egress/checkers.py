"""Processes that check signatures beside the one that reads the evidence, so that two cores do twice as much.

They are told claims (a key, what was signed, the signature) and say which are true; they open no file and judge
nothing, so what a verification finds, and in what order, is the same with and without them.

Rule 1: a process that dies with work, or answers other than it was asked, ends the verification: EvidenceError.
Rule 2: one that cannot be started, or is not ready yet, gets no work; what nobody takes is checked here.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue

from trio_egress.errors import EvidenceError
from trio_egress.evidence.sign import is_signed
from trio_egress.evidence.stream import Answers, Checker, CheckHere, Claim

JOBS_MAX = 16
JOBS_USUAL = 4
"""Reading takes a fifth of all the time, so more cores than this have little to do."""

FIRST_BATCHES = 8
"""Checked here before a process is started: most packets end before one would be ready."""

QUEUE = 4
"""Batches that a process has at most: one that it works on, and what it needs while this process is busy with one."""

_READY = b"\x01"
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from trio_egress.checkers import serve; serve()"
_CLAIM_BYTES = 32 + 32 + 64


def count_jobs() -> int:
    """How many processes, this one counted, a verification uses where nobody says."""
    with contextlib.suppress(AttributeError):  # not on every OS
        return min(len(os.sched_getaffinity(0)), JOBS_USUAL)
    return min(os.cpu_count() or 1, JOBS_USUAL)


@contextlib.contextmanager
def open_checkers(jobs: int) -> Iterator[Checker]:
    """A Checker that uses so many processes, this one counted."""
    if jobs < 2 or not sys.executable or getattr(sys, "frozen", False):
        yield CheckHere()
        return
    checkers = Checkers(min(jobs, JOBS_MAX) - 1)
    try:
        yield checkers
    finally:
        checkers.close()


class Checkers:
    """`helpers` processes, started when `after` batches have come: there is work for them. The caller closes it."""

    def __init__(self, helpers: int, program: Sequence[str] = (), after: int = FIRST_BATCHES) -> None:
        self.depth = (QUEUE + 1) * helpers + 2
        self._program = program or _find_program()
        self._after = after
        self._wanted = helpers
        self._helpers: list[_Helper] = []
        self._batches = 0

    def start(self, claims: Sequence[Claim]) -> Answers:
        self._batches += 1
        if self._batches > self._after:
            self._start_helpers()
        free = [helper for helper in self._helpers if helper.ready and helper.waiting < QUEUE]
        if free:
            return min(free, key=lambda helper: helper.waiting).start(claims)
        answers = [is_signed(*claim) for claim in claims]
        return lambda: answers

    def close(self) -> None:
        for helper in self._helpers:
            helper.close()

    def _start_helpers(self) -> None:
        wanted, self._wanted = self._wanted, 0
        for _ in range(wanted):
            with contextlib.suppress(OSError):
                self._helpers.append(_Helper(self._program))


def _find_program() -> list[str]:
    root = str(Path(__file__).parents[1])
    # Isolated: neither the user's environment nor the directory says what is imported, but what is imported here does.
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, root, *filter(None, sys.path)]


class _Helper:
    """One process, and the thread that waits for what it says."""

    def __init__(self, program: Sequence[str]) -> None:
        self.ready = False
        self._sent = 0  # by the thread that asks
        self._received = 0  # by the one that listens
        self._asked: SimpleQueue[tuple[int, SimpleQueue[bytes]] | None] = SimpleQueue()
        self._process = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def waiting(self) -> int:
        """Batches that it has and did not answer."""
        return self._sent - self._received

    def start(self, claims: Sequence[Claim]) -> Answers:
        said: SimpleQueue[bytes] = SimpleQueue()
        size = len(claims)
        self._sent += 1
        self._asked.put((size, said))
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(size.to_bytes(4, "big") + b"".join(map(b"".join, claims)))
            self._process.stdin.flush()
        except OSError:
            raise EvidenceError(_render_death()) from None

        def collect() -> Sequence[bool]:
            raw = said.get()
            if len(raw) != size or raw.strip(b"\0\1"):
                raise EvidenceError(_render_death())
            return [each == 1 for each in raw]

        return collect

    def close(self) -> None:
        self._asked.put(None)
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what is unsent is for nobody
                pipe.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        self.ready = self._process.stdout.read(1) == _READY
        while self.ready and (asked := self._asked.get()) is not None:
            size, said = asked
            said.put(self._process.stdout.read(size))
            self._received += 1


def _render_death() -> str:
    return "a process that checked signatures has died; nothing is said without it (try: verify --jobs 1)"


def serve() -> None:
    """The program of a helper: claims on standard input, one byte for each on standard output."""
    claims, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(_READY)
    answers.flush()
    while head := claims.read(4):
        raw = claims.read(int.from_bytes(head, "big") * _CLAIM_BYTES)
        starts = range(0, len(raw), _CLAIM_BYTES)
        each = (raw[at : at + _CLAIM_BYTES] for at in starts)
        answers.write(bytes(is_signed(claim[:32], claim[32:64], claim[64:]) for claim in each))
        answers.flush()
