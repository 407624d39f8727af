"""Copies of receipts on their way to whoever follows a run: a queue with a bound, and a thread that empties it.

Rule 1: `take` never waits and never raises; what has no room in the queue is dropped, and counted.
Rule 2: it is given only what is on disk, hands it on in the order of the log, and adds nothing to it.
Rule 3: at the end END_SECONDS are waited; what could not be handed over by then is dropped as well.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

QUEUE_LINES = 10_000
QUEUE_BYTES = 16 << 20
BATCH_LINES = 256
END_SECONDS = 2.0

Say = Callable[[str], None]


class Patience:
    """How long a sink may go on trying: for as long as the run, and a little more."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._deadline = math.inf

    def end(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._ending.set()

    @property
    def ending(self) -> bool:
        return self._ending.is_set()

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._deadline

    def pause(self, seconds: float) -> None:
        """Shorter where the end comes."""
        self._ending.wait(seconds)


class Sink(Protocol):
    """Where events go. Used by one thread."""

    def send(self, events: Sequence[bytes], patience: Patience) -> int:
        """How many were handed over; it has given up on the others. Never raises OSError."""

    def close(self) -> None: ...


class Form(Protocol):
    """What is made of receipts: each event is one line with its LF."""

    def feed(self, line: bytes) -> Sequence[bytes]: ...

    def finish(self) -> Sequence[bytes]: ...


class Lines:
    """The very lines of evidence.jsonl."""

    def feed(self, line: bytes) -> Sequence[bytes]:
        return (line,)

    def finish(self) -> Sequence[bytes]:
        return ()


class Feed:
    """`name` is what a person called it. The thread begins with the first receipt, with the rights of that moment."""

    def __init__(self, name: str, sink: Sink, form: Form, say: Say) -> None:
        self.name = name
        self._sink = sink
        self._form = form
        self._say = say
        self._patience = Patience()
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._under_way = 0
        self._closed = False
        self._sent = 0
        self._dropped = 0
        self._thread: threading.Thread | None = None

    @property
    def queued(self) -> int:
        """Receipts that wait."""
        return len(self._queue) + self._under_way

    @property
    def sent(self) -> int:
        """Events that were handed over."""
        return self._sent

    @property
    def dropped(self) -> int:
        return self._dropped

    def take(self, lines: Sequence[bytes]) -> None:
        """Whole lines of the log, when they are on disk."""
        with self._changed:
            begun = self._thread is not None or self._begin()
            for line in lines:
                full = len(self._queue) >= QUEUE_LINES or self._bytes + len(line) > QUEUE_BYTES
                if full or self._closed or not begun:
                    self._dropped += 1
                else:
                    self._queue.append(line)
                    self._bytes += len(line)
            self._changed.notify()

    def close(self) -> None:
        """Wait for what is under way, but not for long."""
        with self._changed:
            self._patience.end(END_SECONDS)
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(END_SECONDS)
        with self._changed:
            self._dropped += self.queued
            self._queue.clear()
            self._under_way = 0
            self._closed = True
        if self._thread is None or not self._thread.is_alive():
            self._sink.close()
        if self._dropped:
            self._say(f"{self._dropped:,} of {self._dropped + self._sent:,} events were dropped")

    def _begin(self) -> bool:
        # Held up by a disk or a peer, it must not hold up the end of the process.
        thread = threading.Thread(target=self._keep, name=self.name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads for this user
            return False
        self._thread = thread
        return True

    def _keep(self) -> None:
        while lines := self._next():
            events = [event for line in lines for event in self._form.feed(line)]
            self._account(events, self._sink.send(events, self._patience))
        rest = self._form.finish()
        self._account(rest, self._sink.send(rest, self._patience))

    def _next(self) -> Sequence[bytes]:
        """Nothing when the end has come and nothing waits, or no more time is left."""
        with self._changed:
            while not self._queue and not self._patience.ending:
                self._changed.wait()
            if self._patience.over:
                return ()
            lines = [self._queue.popleft() for _ in range(min(BATCH_LINES, len(self._queue)))]
            self._bytes -= sum(map(len, lines))
            self._under_way = len(lines)
            return lines

    def _account(self, events: Sequence[bytes], sent: int) -> None:
        with self._changed:
            if self._closed:  # and all that was under way is counted as dropped
                return
            self._sent += sent
            self._dropped += len(events) - sent
            self._under_way = 0
