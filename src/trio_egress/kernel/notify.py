"""Refused system calls as PID 1 learns of them: each is answered at once and counted by kind.

The process that is confined hands the listener of its filter over and keeps none; whoever calls waits in the kernel
for the answer (`man 2 seccomp_unotify`). Standard library only, like the launcher.

Rule 1: the answer is the errno that the kernel would give by itself, never SECCOMP_USER_NOTIF_FLAG_CONTINUE.
Rule 2: answered first, told afterwards: nobody outside is waited for while a call waits.
Rule 3: at most KINDS kinds are held; calls of further ones are counted by their name alone. The sum is always exact.
Rule 4: a call whose caller died before it was heard of was neither done nor answered, and is not counted.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import socket
import struct
import time
from collections import Counter
from contextlib import suppress
from typing import Any, NamedTuple

from trio_egress.kernel import calls, syscalls
from trio_egress.kernel.calls import MANY, Refusal

KINDS = 128
WINDOW_SECONDS = 1.0
"""How often repeats are told; the first of a kind is told at once."""

BATCH = 512
"""Calls answered before PID 1 looks at anything else: some 5 ms (10 us each, 6.18)."""

MESSAGE_BYTES = 65536

# linux/seccomp.h: struct seccomp_notif with its seccomp_data, struct seccomp_notif_resp, _IOWR('!', 0 and 1, …)
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_RECV, _SEND = 0xC050_2100, 0xC018_2101

_FLAGS = (
    # A signal can't interrupt a call that PID 1 has heard of, so that it is made and counted once.
    syscalls.SECCOMP_FILTER_FLAG_NEW_LISTENER | syscalls.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    syscalls.SECCOMP_FILTER_FLAG_NEW_LISTENER,
)
_MISSING = (errno.EINVAL, errno.EBUSY)
"""Linux before 5.0; another filter with a listener around the whole sandbox, of which there can be only one."""


class Filters(NamedTuple):
    """Programs for `install`; without `refusing` there must be a listener."""

    notifying: bytes
    refusing: bytes | None


def install(filters: Filters, channel: int) -> None:
    """Put the filter on this process and hand its listener over by `channel`; say so where there is none."""
    missing = 0
    for flags in _FLAGS:
        try:
            listener = syscalls.install_seccomp(filters.notifying, flags)
        except OSError as error:
            missing = error.errno or 0
            if missing not in _MISSING or (flags == _FLAGS[-1] and filters.refusing is None):
                raise
            continue
        with socket.socket(fileno=os.dup(channel)) as sock:
            socket.send_fds(sock, [_render(refused_calls="notified")], [listener])
        os.close(listener)
        return
    assert filters.refusing is not None
    syscalls.install_seccomp(filters.refusing)
    say(channel, refused_calls=f"unsupported:{errno.errorcode[missing]}")


def say(channel: int, **values: object) -> None:
    """A word of a confined process to PID 1."""
    os.write(channel, _render(**values))


def _render(**values: object) -> bytes:
    return json.dumps(values).encode("ascii") + b"\n"


class Tally:
    """How often each kind of call was refused."""

    def __init__(self) -> None:
        self.total = 0
        self._kinds: set[Refusal] = set()
        self._waiting: Counter[Refusal] = Counter()
        self._due = 0.0

    def add(self, refusal: Refusal) -> None:
        if refusal not in self._kinds:
            if len(self._kinds) >= KINDS:
                refusal = refusal._replace(detail=MANY)
            if refusal not in self._kinds:
                self._kinds.add(refusal)
                self._due = 0.0
        self.total += 1
        self._waiting[refusal] += 1

    @property
    def wait_seconds(self) -> float | None:
        """Until something should be told; None when there is nothing."""
        return max(0.0, self._due - time.monotonic()) if self._waiting else None

    def take(self) -> tuple[list[tuple[str, str, int, int]], int]:
        """What was not told yet (name, detail, errno, count), and the sum of all."""
        waiting, self._waiting = self._waiting, Counter()
        self._due = time.monotonic() + WINDOW_SECONDS
        return [(*refusal, count) for refusal, count in waiting.items()], self.total


class Listener:
    """What one confined process and all that it starts are refused. `descriptor` is closed by `close`."""

    def __init__(self, descriptor: int, tally: Tally | None = None) -> None:
        self.descriptor = descriptor
        self.tally = Tally() if tally is None else tally
        self._machine = calls.MACHINES[os.uname().machine]
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def serve(self) -> bool:
        """Answer what waits, at most BATCH; False when nobody is left who could call."""
        for _ in range(BATCH):
            ready = self._poll.poll(0)
            if not ready:
                return True
            if ready[0][1] & select.POLLHUP:
                return False
            if (
                ready[0][1] & select.POLLIN
            ):  # else POLLERR: a signal came while the kernel waited for its own lock
                self._answer()
        return True

    def close(self) -> None:
        os.close(self.descriptor)

    def _answer(self) -> None:
        raw = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self.descriptor, _RECV, raw)
        except (FileNotFoundError, InterruptedError):
            return  # the caller was killed (rule 4); or a child of ours has changed its state
        identity, _, _, number, _, _, *words = _NOTIFICATION.unpack(raw)
        refusal = calls.explain(self._machine, number, words)
        with suppress(FileNotFoundError):  # killed while it waited
            self._send(_RESPONSE.pack(identity, 0, -refusal.errno, 0))
        self.tally.add(refusal)

    def _send(self, response: bytes) -> None:
        """Whatever signals come: a call without an answer waits for ever."""
        while True:
            try:
                fcntl.ioctl(self.descriptor, _SEND, response)
            except InterruptedError:
                continue
            return


class Following:
    """What a confined process says, and the descriptors that it hands over, until it closes its end of `channel`."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.descriptors: list[int] = []
        self._raw = b""

    def take(self) -> bool:
        """What has come; False at the end."""
        more, descriptors, _, _ = socket.recv_fds(self.channel, MESSAGE_BYTES, 1)
        self.descriptors += descriptors
        self._raw += more
        return bool(more)

    def read(self) -> dict[str, Any]:
        """All that it has said."""
        said: dict[str, Any] = {}
        for line in self._raw.splitlines():
            said |= json.loads(line)
        return said


def follow(channel: socket.socket) -> tuple[Listener | None, dict[str, Any]]:
    """All that a confined process says until it closes its end, answering its refused calls meanwhile."""
    listener = None
    following = Following(channel)
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if listener is not None and listener.descriptor in ready and not listener.serve():
            poll.unregister(listener.descriptor)
        if channel.fileno() not in ready:
            continue
        going_on = following.take()
        if following.descriptors:
            listener = Listener(following.descriptors.pop())
            poll.register(listener.descriptor, select.POLLIN)
        if not going_on:
            return listener, following.read()
