"""A value that a command tells: run once, with the caller's rights and environment, before there is a sandbox.

Its standard error and terminal are the caller's, so that a password manager can ask; its standard output is read.

Rule 1: no shell reads it, and no more is waited for or read than the bounds say: then it is killed.
Rule 2: anything but success is an error, in which nothing of its output stands.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

COMMAND_SECONDS = 60.0
"""A person may have to unlock something first."""

READ_BYTES = 65_536


def run_command(
    command: Sequence[str], environ: Mapping[str, str], directory: Path, most_bytes: int
) -> bytes:
    """What it wrote, without one line end at its end; of one that writes on, about `most_bytes`. Raises ValueError."""
    shown = f"the command {command[0]}"
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=directory, env=dict(environ)
        )
    except OSError as error:
        raise ValueError(f"{shown} can't be run: {error.strerror}") from None
    deadline = time.monotonic() + COMMAND_SECONDS
    with process:
        try:
            raw = _read(process, deadline, most_bytes)
            code = process.wait(max(0.0, deadline - time.monotonic()))
        except (subprocess.TimeoutExpired, TimeoutError):
            process.kill()
            raise ValueError(f"{shown} was not done after {COMMAND_SECONDS:g} s") from None
        except BaseException:
            process.kill()
            process.wait()  # which `with` does not after a KeyboardInterrupt
            raise
    if code and len(raw) < most_bytes:
        ended = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        raise ValueError(f"{shown} ended {ended}; try it by itself")
    return raw.removesuffix(b"\n").removesuffix(b"\r")


def _read(process: subprocess.Popen[bytes], deadline: float, most_bytes: int) -> bytes:
    """Raises TimeoutError. One that writes too much is ended."""
    raw = b""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector, process.stdout as pipe:
        selector.register(pipe, selectors.EVENT_READ)
        while len(raw) < most_bytes:
            if not selector.select(deadline - time.monotonic()):
                raise TimeoutError
            piece = os.read(pipe.fileno(), READ_BYTES)
            if not piece:
                break
            raw += piece
    if len(raw) >= most_bytes:
        process.kill()
    return raw
