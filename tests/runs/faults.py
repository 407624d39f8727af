"""Faults of a disk, made in the kernel's answer to one process: strace tampers with its calls about one file."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.runs.launch import PATIENCE_SECONDS

LONG_MICROSECONDS = 10 * int(PATIENCE_SECONDS) * 1_000_000
"""A delay that outlasts every test."""


@contextlib.contextmanager
def inject(pid: int, file: Path, *faults: str) -> Iterator[None]:
    """Attached to all threads of a process while the body runs. `faults` as `strace --inject` takes them."""
    calls = ",".join(sorted({fault.partition(":")[0] for fault in faults}))
    injected = [word for fault in faults for word in ("-e", f"inject={fault}")]
    said = file.parent.with_name(f"strace-{time.monotonic_ns()}")
    command = [
        "strace",
        "-f",
        "-p",
        str(pid),
        "-P",
        str(file),
        "-e",
        f"trace={calls}",
        *injected,
        "-o",
        "/dev/null",
    ]
    with said.open("wb") as stream:
        tracer = subprocess.Popen(command, stderr=stream)
    try:
        _await_attached(tracer, said)
        yield
    finally:
        tracer.kill()  # it hears nothing else while it delays a call
        tracer.wait()


def _await_attached(tracer: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while b"attached" not in said.read_bytes():
        if tracer.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"strace did not attach: {said.read_text()}")
        time.sleep(0.005)
