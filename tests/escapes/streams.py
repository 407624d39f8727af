"""What a run is given besides its command: standard input, and descriptors that somebody forgot to close."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import subprocess
import termios
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.escapes.attacks import descriptors
from tests.escapes.canaries import Canaries
from tests.escapes.frame import GUARDED, ROOM
from tests.runs.launch import AGENT


class Streams:
    """Standard input and inherited descriptors of a run."""

    def __init__(self) -> None:
        self.stdin: int = subprocess.DEVNULL
        self.inherited: tuple[int, ...] = ()
        self.become_terminal: Any = None
        self._slave = -1

    def read_typed(self) -> str:
        if self._slave < 0:
            return ""
        os.set_blocking(self._slave, False)
        try:
            return os.read(self._slave, 4096).decode("latin-1")
        except OSError:
            return ""


def open_streams(setting: str, canaries: Canaries, stack: ExitStack) -> Streams:
    streams = Streams()
    match setting:
        case "inherited":
            inherit(streams, canaries, stack)
        case "stdin tcp" | "stdin listener":
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            if setting == "stdin listener":
                canaries.add(client.dup(), canaries.hear)
                streams.stdin = listener.fileno()
            else:
                streams.stdin = client.fileno()
        case "stdin udp":
            streams.stdin = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).fileno()
        case "stdin unix":
            streams.stdin = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).fileno()
        case "stdin directory" | "stdin file":
            path = ROOM if setting == "stdin directory" else f"{GUARDED}/input"
            if setting == "stdin file":
                path = f"{ROOM}/repository/input"
                Path(path).write_text("to be read")
                os.chown(path, AGENT.pw_uid, AGENT.pw_gid)
            streams.stdin = os.open(path, os.O_RDONLY)
            stack.callback(os.close, streams.stdin)
        case "stdin terminal":
            open_terminal(streams, stack)
    return streams


def inherit(streams: Streams, canaries: Canaries, stack: ExitStack) -> None:
    numbers = descriptors.INHERITED
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    made: dict[str, int] = {}
    client = stack.enter_context(socket.create_connection(listener.getsockname()))
    canaries.add(listener.accept()[0], canaries.hear)
    made["stream"] = client.fileno()
    made["datagram"] = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).fileno()
    made["unix"] = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).fileno()
    made["directory"] = os.open(ROOM, os.O_RDONLY)
    made["secret"] = os.open(f"{ROOM}/secret", os.O_RDONLY)
    for name, number in made.items():
        os.dup2(number, numbers[name])
        stack.callback(os.close, numbers[name])
    for name in ("directory", "secret"):
        os.close(made[name])
    streams.inherited = tuple(numbers[name] for name in made)


def open_terminal(streams: Streams, stack: ExitStack) -> None:
    master, slave = pty.openpty()
    stack.callback(os.close, master)
    stack.callback(os.close, slave)
    mode = termios.tcgetattr(slave)
    mode[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(slave, termios.TCSANOW, mode)
    os.fchown(slave, AGENT.pw_uid, -1)

    def become_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    streams.stdin, streams._slave = slave, slave
    streams.become_terminal = become_terminal
