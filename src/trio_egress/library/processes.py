"""Commands that were started in a sandbox, in plain programs and in those of asyncio."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING

from trio_egress.library.commands import Done, Job, Started
from trio_egress.library.waiting import in_thread

if TYPE_CHECKING:
    import asyncio


class Process:
    """A command that was started. Those of its streams that are pipes are files, without a buffer."""

    def __init__(self, started: Started) -> None:
        self._started = started
        self._files = [
            None if end < 0 else os.fdopen(end, "rb" if number else "wb", buffering=0)
            for number, end in enumerate(started.ends)
        ]

    @property
    def stdin(self) -> IO[bytes] | None:
        return self._files[0]

    @property
    def stdout(self) -> IO[bytes] | None:
        return self._files[1]

    @property
    def stderr(self) -> IO[bytes] | None:
        return self._files[2]

    def send_signal(self, number: int) -> None:
        """To its process group. Nothing where it has ended."""
        self._started.session.signal(self._started.command, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """With all that it has started, however detached."""
        self._started.session.kill(self._started.command)

    def wait(self) -> Done:
        """Its end, without what it has written."""
        return self._started.wait()

    def close(self) -> None:
        for file in self._files:
            if file is not None:
                with suppress(OSError):
                    file.close()


class AsyncProcess:
    """A command that was started, in asyncio. Those of its streams that are pipes are asyncio's own."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._transports: list[asyncio.BaseTransport] = []

    async def open(self) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        readers: list[asyncio.StreamReader | None] = []
        for file in (self._process.stdout, self._process.stderr):
            reader = None
            if file is not None:
                reader = asyncio.StreamReader()
                protocol = asyncio.StreamReaderProtocol(reader)
                self._transports.append((await loop.connect_read_pipe(partial(_same, protocol), file))[0])
            readers.append(reader)
        self.stdout, self.stderr = readers
        if self._process.stdin is not None:
            flow = asyncio.StreamReaderProtocol(asyncio.StreamReader())
            transport, _ = await loop.connect_write_pipe(partial(_same, flow), self._process.stdin)
            self._transports.append(transport)
            self.stdin = asyncio.StreamWriter(transport, flow, None, loop)

    def send_signal(self, number: int) -> None:
        """To its process group. Nothing where it has ended."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        """With all that it has started, however detached."""
        self._process.kill()

    async def wait(self) -> Done:
        """Its end, without what it has written. To give up waiting for it ends nothing."""
        return await in_thread(lambda _: self._process.wait(), Job.of_nothing())

    def close(self) -> None:
        for transport in self._transports:
            transport.close()
        self._process.close()


def _same(protocol: asyncio.StreamReaderProtocol) -> asyncio.StreamReaderProtocol:
    return protocol
