"""Servers of MCP on standard streams, in a sandbox: for clients that start them by the MCP SDK for Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mcp import StdioServerParameters

from trio_egress.integrations.commands import find_program
from trio_egress.library.running import FilePath


def start_inside(
    command: str,
    args: Sequence[str] = (),
    *,
    policy: FilePath,
    allow: Sequence[str] = (),
    directory: FilePath | None = None,
    environment: Mapping[str, str] | None = None,
    evidence_in: FilePath | None = None,
    key: FilePath | None = None,
) -> StdioServerParameters:
    """What `stdio_client(…)` and whatever else takes StdioServerParameters starts the server by: `trio-egress mcp`.

    The policy's `[mcp]` says what the client may call and what the server may ask; what is denied is answered by an
    error in words, which the client hands to its model. `environment` is added to the few variables that the SDK
    passes on.
    """
    named = {"policy": policy, "evidence-in": evidence_in, "key": key}
    options = [f"--{name}={os.path.abspath(value)}" for name, value in named.items() if value is not None]
    options += [f"--allow={destination}" for destination in allow]
    program, *its = find_program()
    return StdioServerParameters(
        command=program,
        args=[*its, "mcp", *options, "--quiet", "--", command, *args],
        env=dict(environment) if environment is not None else None,
        cwd=None if directory is None else Path(directory),
    )
