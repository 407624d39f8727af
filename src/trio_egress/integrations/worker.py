"""A Python in a sandbox that lives from one piece of code to the next, as the program outside has it.

Rule 1: what comes out of it is data: JSON, never a pickle, and no more than ANSWER_BYTES at once.
Rule 2: it never starts anew by itself: an agent whose variables are gone is told so.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from trio_egress.errors import SandboxError, UsageError
from trio_egress.integrations import python_worker
from trio_egress.integrations.commands import find_program
from trio_egress.library.judging import Policy
from trio_egress.library.result import Denied, read_denied
from trio_egress.library.running import FilePath

ANSWER_BYTES = 16 << 20
ERROR_BYTES = 4096
PROGRAM = Path(python_worker.__file__).read_text("utf-8")


class PythonWorker:
    """`options`: more of the command line's, as `{"key": "ci.key"}`. `timeout`: of each piece of code, in seconds.

    It works in `directory`, and has the packages of this Python. `packet` is closed and signed by `close`, which also
    the end of this program does. Raises PolicyError.
    """

    def __init__(
        self, policy: FilePath, directory: FilePath, timeout: float, options: Mapping[str, str] | None = None
    ) -> None:
        if timeout <= 0:
            raise UsageError(f"timeout must be a positive number of seconds, not {timeout!r}")
        Policy.load(policy)
        self.packet = Path(directory, "trio-egress-audit", str(uuid.uuid4())).absolute()
        self._timeout, self._told, self._buffer = timeout, 0, b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        named = {**(options or {}), "policy": os.path.abspath(policy), "evidence": str(self.packet)}
        given = [f"--{name}={value}" for name, value in named.items()]
        self._process = subprocess.Popen(
            [*find_program(), "run", *given, "--quiet", "--", sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=directory,
            start_new_session=True,  # Ctrl-C is this program's
        )

    def ask(self, code: str) -> dict[str, Any]:
        """What came of it: `logs`, and `output`, `final` or `error`. Raises SandboxError where there is no Python any
        more, or it doesn't answer in time: it is ended then."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(code).encode() + b"\n")
            self._process.stdin.flush()
            told = json.loads(self._read_line())
        except (OSError, ValueError) as error:
            said = self.close() or str(error)
            raise SandboxError(f"the Python inside is gone, and its variables: {said}") from None
        return told if isinstance(told, dict) else {}

    def _read_line(self) -> bytes:
        assert self._process.stdout is not None
        descriptor, deadline = self._process.stdout.fileno(), time.monotonic() + self._timeout
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([descriptor], [], [], max(0, deadline - time.monotonic()))
            raw = os.read(descriptor, 1 << 16) if ready else b""
            self._buffer += raw
            if not raw or len(self._buffer) > ANSWER_BYTES:
                raise ValueError(
                    "it ended, or said too much" if ready else f"no answer in {self._timeout:g} s"
                )
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def find_denied(self) -> list[Denied]:
        """Since the last call. Sums of repeats are told when they are written, up to a second later."""
        denied = read_denied(self.packet)
        fresh, self._told = denied[self._told :], len(denied)
        return list(fresh)

    def close(self) -> str:
        """Ends the run, and waits for its packet; what the run said of errors, the first time."""
        self._process.terminate()
        with suppress(BrokenPipeError), self._process:
            self._process.wait()
        if self._errors.closed:
            return ""
        with self._errors:
            self._errors.seek(0)
            return self._errors.read(ERROR_BYTES).decode(errors="replace").strip()
