"""Events to whoever listens on a Unix socket, as a stream of lines.

Rule 1: where nobody listens, or whoever did is gone, it is tried again every RETRY_SECONDS, and told once.
Rule 2: an event that was cut off is sent again, whole, on the next connection: whoever listens may see it twice.
Rule 3: nothing that comes from there is read.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from trio_egress.telemetry.feed import Patience, Say

RETRY_SECONDS = 0.5
WAIT_SECONDS = 0.2
"""One wait for room in the listener's buffer, between two looks at the clock."""


class UnixSink:
    def __init__(self, path: str, say: Say) -> None:
        self._path = path
        self._say = say
        self._socket: socket.socket | None = None
        self._told = False

    def connect(self) -> bool:
        """Whether somebody listens."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(WAIT_SECONDS)
        try:
            sock.connect(self._path)
        except OSError as error:
            sock.close()
            self._tell(error)
            return False
        self._socket = sock
        return True

    def send(self, events: Sequence[bytes], patience: Patience) -> int:
        for number, event in enumerate(events):
            if not self._send(event, patience):
                return number
        return len(events)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _send(self, event: bytes, patience: Patience) -> bool:
        while not patience.over:
            if self._socket is None and not self.connect():
                if patience.ending:
                    return False  # it was looked for once more
                patience.pause(RETRY_SECONDS)
            elif self._socket is not None and self._pass_on(self._socket, event, patience):
                return True
        return False

    def _pass_on(self, sock: socket.socket, event: bytes, patience: Patience) -> bool:
        rest = memoryview(event)
        while rest and not patience.over:
            try:
                rest = rest[sock.send(rest) :]
            except TimeoutError:
                continue  # a slow one: the queue bounds what waits for it
            except OSError as error:
                self._tell(error)
                self.close()
                return False
        return not rest

    def _tell(self, error: OSError) -> None:
        if not self._told:
            self._say(f"{error.strerror or error}: events wait, and are dropped when they are too many")
        self._told = True
