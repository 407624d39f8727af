"""Commands of an agent's, each in a sandbox of its own with one policy and one directory, and what the agent is told.

Rule 1: what was denied is told in words behind a command's output, so that an agent can do without, or ask a person.
Rule 2: what stays from one command to the next is what lies in the directory, and nothing else.
Rule 3: files are written and read by commands inside: nothing is reached but what the agent could reach.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

import trio_egress
from trio_egress.library.result import Denied, Run
from trio_egress.library.running import FilePath, run
from trio_egress.values import frozen

TOLD = 20
"""Different denials of a run that an agent is told; the packet has them all."""

FILE_BYTES = 64 << 20
NOT_THERE, A_DIRECTORY, NOT_PERMITTED = 66, 67, 68
"""How the programs below end where a file can't be had."""

READ = """[ -e "$1" ] || exit 66; [ ! -d "$1" ] || exit 67; [ -f "$1" ] && [ -r "$1" ] || exit 68; exec cat -- "$1" """
WRITE = """[ ! -d "$2" ] || exit 67
place=$(dirname -- "$2") && mkdir -p -- "$place" && place=$(cd -P -- "$place" && pwd) || exit 68
case $place/ in "$(pwd -P)"/*) ;; *) exit 68 ;; esac  # elsewhere it would be gone with this command
cat -- "$1" >"$2" || exit 68"""


@frozen(kw_only=True)
class Commands:
    """How they run: as `trio_egress.run` takes it. `timeout`: of each, in seconds, where a call names none."""

    policy: FilePath
    directory: FilePath
    allow: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    timeout: float = 120
    max_output: int = 1 << 20
    evidence_in: FilePath | None = None
    key: FilePath | None = None
    user: str | None = None

    def run(
        self, command: Sequence[str], *, timeout: float | None = None, max_output: int | None = None
    ) -> Run:
        """Blocks. Raises what `trio_egress.run` raises."""
        return run(
            command,
            policy=self.policy,
            allow=self.allow,
            directory=self.directory,
            environment=self.environment,
            timeout=timeout or self.timeout,
            max_output=self.max_output if max_output is None else max_output,
            evidence_in=self.evidence_in,
            key=self.key,
            user=self.user,
        )

    def read(self, path: str) -> Run:
        """`stdout` is the file, where `returncode` is 0; else that is one of the three above."""
        return self.run(["sh", "-c", READ, "sh", path], max_output=FILE_BYTES)

    def write(self, path: str, raw: bytes) -> Run:
        """With the directories above it; over what is there. `returncode` as of `read`."""
        descriptor, staged = tempfile.mkstemp(prefix=".trio-egress-", dir=self.directory)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(stream.fileno(), 0o644)
                stream.write(raw)
            return self.run(["sh", "-c", WRITE, "sh", Path(staged).name, path])
        finally:
            os.unlink(staged)


def find_program() -> list[str]:
    """`trio-egress`, of the package that this program has; nothing is imported from a working directory."""
    places = dict.fromkeys(
        str(Path(file).resolve().parents[1]) for file in (trio_egress.__file__, attrs.__file__)
    )
    program = (
        f"import sys; sys.path += {list(places)!r}; from trio_egress.cli.main import main; sys.exit(main())"
    )
    return [sys.executable, "-I", "-c", program]


def find_code(done: Run) -> int:
    """As a shell tells it: 128+N for a signal, 124 for a time-out, 125 where the command never ran."""
    if done.timed_out:
        return 124
    code = 125 if done.returncode is None else done.returncode
    return 128 - code if code < 0 else code


def tell_end(done: Run) -> str:
    """Output, then errors, then how it ended, where that is not in the code, then what was denied."""
    parts = [stream.decode(errors="replace") for stream in (done.stdout, done.stderr)]
    if done.truncated:
        parts.append("[the output was longer: the rest of it is not here]")
    if done.timed_out or done.returncode is None:
        parts.append(f"[{done.message or 'timed out'}]")
    parts.append(tell_denied(done.denied))
    return "\n".join(part.rstrip("\n") for part in parts if part)


def tell_denied(denied: Sequence[Denied]) -> str:
    """Empty where nothing was."""
    if not denied:
        return ""
    lines = list(count_alike(denied))
    more = [f"- and {len(lines) - TOLD} others"] if len(lines) > TOLD else []
    return "\n".join(
        [
            "[trio-egress: the sandbox's policy denied this; the network is in order, and another try changes nothing]",
            *(f"- {line}" for line in lines[:TOLD]),
            *more,
            "Do without it, or say which host you need: a person can allow it.",
        ]
    )


def count_alike(denied: Sequence[Denied]) -> Iterator[str]:
    """Each in words, once."""
    counts: dict[str, int] = {}
    for one in denied:
        counts[str(one)] = counts.get(str(one), 0) + one.count
    for words, count in counts.items():
        yield words if count == 1 else f"{words} ({count} times)"
