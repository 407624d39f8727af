"""The Claude Agent SDK's `cli_path`: a small program that runs the CLI in a sandbox. Needs nothing but this package.

Rule 1: its standard streams are the CLI's own, and nothing else is written to them but errors.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from trio_egress.errors import UsageError
from trio_egress.integrations.commands import find_program
from trio_egress.library.judging import Policy
from trio_egress.library.running import FilePath


def write_cli(
    path: FilePath,
    *,
    policy: FilePath,
    cli: str = "claude",
    allow: Sequence[str] = (),
    evidence_in: FilePath | None = None,
    key: FilePath | None = None,
) -> Path:
    """Write the program to `path`, and give it back: `ClaudeAgentOptions(cli_path=write_cli("bin/claude-inside", …))`.

    It runs `cli` in the directory that the SDK's `cwd` names, each session in a sandbox and with a packet of its own.
    Put it where the agent can't write: what it can write to in there, it could change for the next session. Raises
    UsageError where there is no such CLI, and PolicyError for a policy that is wrong.
    """
    Policy.load(policy, allow=allow)
    found = shutil.which(cli)
    if found is None:
        raise UsageError(f"there is no program {cli!r}; give the path of the CLI")
    named = {"policy": policy, "evidence-in": evidence_in, "key": key}
    options = [f"--{name}={os.path.abspath(value)}" for name, value in named.items() if value is not None]
    options += [f"--allow={destination}" for destination in allow]
    command = [*find_program(), "run", *options, "--quiet", "--", os.path.abspath(found)]
    place = Path(path).absolute()
    place.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', "utf-8")
    place.chmod(0o755)
    return place
