"""An MCP client by hand: lines in and out of `trio-egress mcp`, and servers that need nothing but Python."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from tests.runs.launch import PATIENCE_SECONDS, POLICY_HEAD, Place, Started

PYTHON: Final = "/usr/bin/python3"
HEAD: Final = """
import json, os, socket, sys, time

def say(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

"""
ECHO: Final = """
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message and "method" in message:
        say(id=message["id"], result={"method": message["method"], "params": message.get("params")})
"""
"""A server that answers with what it was asked."""


class Talk:
    """What a client says and hears."""

    def __init__(self, started: Started) -> None:
        assert started.process.stdin is not None
        assert started.process.stdout is not None
        self.started = started
        self._in, self._out = started.process.stdin.fileno(), started.process.stdout.fileno()
        self._held = b""
        self._number = 0

    def write(self, raw: bytes) -> None:
        while raw:
            raw = raw[os.write(self._in, raw) :]

    def say(self, **message: object) -> None:
        self.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """A request, and the next thing heard, which is its answer."""
        self._number += 1
        self.say(id=self._number, method=method, params=params)
        answer = self.hear()
        assert answer is not None, "an end instead of an answer"
        assert answer["id"] == self._number
        return answer

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        return self.ask("tools/call", name=tool, arguments=arguments)

    def read_line(self) -> bytes:
        """The next line; nothing at the end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while b"\n" not in self._held:
            if not select.select([self._out], [], [], deadline - time.monotonic())[0]:
                raise TimeoutError("nothing was said")
            raw = os.read(self._out, 65536)
            if not raw:
                held, self._held = self._held, b""
                return held
            self._held += raw
        line, _, self._held = self._held.partition(b"\n")
        return line + b"\n"

    def hear(self) -> dict[str, Any] | None:
        """The next message; None at the end."""
        line = self.read_line()
        message: dict[str, Any] | None = json.loads(line) if line else None
        return message

    def leave(self) -> None:
        """Say nothing more."""
        stdin = self.started.process.stdin
        assert stdin is not None
        stdin.close()

    def vanish(self) -> None:
        """Neither speak nor listen any more."""
        self.leave()
        assert self.started.process.stdout is not None
        self.started.process.stdout.close()


@contextmanager
def talk(
    place: Place, server: str, policy: str = POLICY_HEAD, more: Mapping[str, Any] | None = None
) -> Iterator[Talk]:
    """With a server that is written in Python; what it is written in comes after HEAD."""
    program = place.write("server.py", HEAD + server)
    with start(place, PYTHON, str(program), policy=policy, **(more or {})) as talking:
        yield talking


@contextmanager
def start(place: Place, *command: str, policy: str = POLICY_HEAD, **more: Any) -> Iterator[Talk]:
    started = place.start(
        policy,
        *command,
        how="mcp",
        **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0, **more},
    )
    try:
        yield Talk(started)
    finally:
        stdin = started.process.stdin
        if stdin is not None and not stdin.closed:
            stdin.close()
