"""What adapters share: commands of a sandbox that is open, and what the agent is told of them.

Rule 1: what was denied is told in words behind a command's output, so that an agent can do without, or ask a person.
"""

from __future__ import annotations

import errno
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

import trio_egress
from trio_egress.library.commands import Done
from trio_egress.library.result import Denied

TOLD = 20
"""Different denials of a run that an agent is told; the packet has them all."""

TIMEOUT_SECONDS = 120.0
OUTPUT_BYTES = 1 << 20
LONG_BYTES = 16 << 10


def fit(command: Sequence[str], given: bytes = b"") -> tuple[list[str], bytes]:
    """A command with more words than one of a sandbox may have, by a shell that reads it before its standard input."""
    script = f"exec {shlex.join(command)}".encode()
    if len(script) < LONG_BYTES:
        return list(command), given
    return ["sh", "-c", f'script=$(head -c {len(script)}) && eval "$script"'], script + given


def find_program() -> list[str]:
    """`trio-egress`, of the package that this program has; nothing is imported from a working directory."""
    places = dict.fromkeys(
        str(Path(file).resolve().parents[1]) for file in (trio_egress.__file__, attrs.__file__)
    )
    program = (
        f"import sys; sys.path += {list(places)!r}; from trio_egress.cli.main import main; sys.exit(main())"
    )
    return [sys.executable, "-I", "-c", program]


def find_code(done: Done) -> int:
    """As a shell tells it: 128+N for a signal, 124 for a time-out, 127 and 126 where it isn't there or can't be run."""
    if done.timed_out:
        return 124
    if (code := done.returncode) is None:
        return 127 if done.errno == errno.ENOENT else 126
    return 128 - code if code < 0 else code


def tell_errors(done: Done) -> str:
    """What it has written of errors, or why it could not be started, then what was denied."""
    err = done.stderr.decode(errors="replace") or done.message
    denied = tell_denied(done.denied)
    return f"{err.rstrip()}\n{denied}\n".lstrip() if denied else err


def tell_end(done: Done) -> str:
    """Output, then errors, then how it ended, where that is not in the code, then what was denied."""
    parts = [stream.decode(errors="replace") for stream in (done.stdout, done.stderr)]
    if done.truncated:
        parts.append("[the output was longer: the rest of it is not here]")
    if done.timed_out or done.returncode is None:
        parts.append(f"[{'timed out' if done.timed_out else done.message}]")
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
