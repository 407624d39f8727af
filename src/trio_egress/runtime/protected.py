"""What became of the protected files, as the launcher found it when the agent was gone: for the receipt and for people.

Ends nothing: an agent that creates a git hook has not failed, but whoever goes on in that directory must know.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from trio_egress.runtime.agent import AgentEnd

REPORT_BYTES = 1 << 18
UNKNOWN: Mapping[str, Any] = {"searched": "not at the end"}
NAMES_SHOWN = 5


def read_report(sock: socket.socket) -> Mapping[str, Any]:
    """What the launcher left behind. Call it when the launcher has ended; never blocks, never raises OSError."""
    raw = b""
    try:
        sock.setblocking(False)
        while len(raw) < REPORT_BYTES and (more := sock.recv(REPORT_BYTES)):
            raw += more
    except OSError:
        return UNKNOWN
    try:
        report: Mapping[str, Any] = json.loads(raw)
    except ValueError:
        return UNKNOWN
    return report


def add_message(ended: AgentEnd, report: Mapping[str, Any] | None, directory: Path) -> AgentEnd:
    """The end of a run with what a human must know of protected files, where there is something.

    An agent that never ran has not touched any, whatever became of who should have looked.
    """
    said = _describe(report, directory) if report is not None and ended.code is not None else ""
    if not said:
        return ended
    message = f"{ended.message}; {said}" if ended.message else said
    return attrs.evolve(ended, message=message, touched=True)


def _describe(report: Mapping[str, Any], directory: Path) -> str:
    found = [
        f"{kind} {_list(report[kind], report[f'{kind}_count'], directory)}"
        for kind in ("changed", "created", "removed")
        if report.get(f"{kind}_count")
    ]
    if report["searched"] in ("less than before", UNKNOWN["searched"]):
        found.append("could not be searched for all that was there before")
    if not found:
        return ""
    return f"protected files: {'; '.join(found)} (look at them before you go on in this directory)"


def _list(paths: list[str], count: int, directory: Path) -> str:
    shown = [_shorten(path, directory) for path in paths[:NAMES_SHOWN]]
    rest = [f"{count - len(shown)} more"] if count > len(shown) else []
    return ", ".join([*shown, *rest])


def _shorten(path: str, directory: Path) -> str:
    short = path.removeprefix(f"{str(directory).rstrip(os.sep)}{os.sep}")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in short)
