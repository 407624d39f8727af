"""What a run says on standard error, said by a thread of its own.

Standard error is the agent's too: it can fill the pipe, stop the terminal or make it non-blocking. Who waited for that
would see neither a time-out nor a signal any more.

Rule 1: saying something never waits and never raises.
Rule 2: while the agent has the terminal's other screen, it waits: in the middle of that nobody could read it.
Rule 3: at the end CLOSE_SECONDS are waited; what could not be said by then is lost, and the receipts have it.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from queue import SimpleQueue

from trio_egress.runtime.live_line import LiveLine

STDERR = 2
CLOSE_SECONDS = 1.0

Say = Callable[[str], None]


@contextmanager
def open_voice(line: LiveLine | None = None) -> Iterator[Say]:
    """A function that says one message, above the `line` of status where there is one."""
    messages: SimpleQueue[str | None] = SimpleQueue()
    speaker = threading.Thread(target=_speak, args=(messages, line), daemon=True)
    speaker.start()
    try:
        yield messages.put
    finally:
        messages.put(None)
        speaker.join(CLOSE_SECONDS)


def _speak(messages: SimpleQueue[str | None], line: LiveLine | None) -> None:
    held: list[str] = []
    while True:
        text = messages.get()
        held += [] if text is None else [text]
        if text is None or line is None or not line.covered:
            _say(held, line)
            held.clear()
        if text is None:
            return


def _say(texts: Iterable[str], line: LiveLine | None) -> None:
    for text in texts:
        raw = _end_lines(f"trio-egress: {text}\n".encode(errors="backslashreplace"))
        with suppress(OSError), nullcontext(b"") if line is None else line.aside() as first:
            _write(first + raw)  # OSError: nobody reads it any more


def _end_lines(raw: bytes) -> bytes:
    """A terminal that shows an agent's is raw, and goes down a line without going back to its beginning.

    It can become so at any moment, and one that isn't minds no second carriage return.
    """
    return raw.replace(b"\n", b"\r\n") if os.isatty(STDERR) else raw


def _write(raw: bytes) -> None:
    """By the descriptor: a thread that stays behind must hold no lock that the interpreter's end needs."""
    while raw:
        try:
            raw = raw[os.write(STDERR, raw) :]
        except BlockingIOError:
            select.select([], [STDERR], [])
