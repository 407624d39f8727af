"""The command that checks what a page says, to be copied into a shell.

Rule 1: nothing of a packet stands in it but letters, digits and `-._`: it can't become another command.
Rule 2: never the packet's own key: a key that comes with what it vouches for proves nothing.
"""

from __future__ import annotations

import re

from trio_egress.evidence.report import Report

KEY = "KEY.pub"
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")


def render_command(report: Report) -> str:
    """`verify`, with run and head pinned to those of the page."""
    parts = [f"trio-egress verify . --public-key {KEY}"]
    if _PLAIN.fullmatch(report.run_id):
        parts.append(f"--expect-run {report.run_id}")
    if _PLAIN.fullmatch(report.head):
        parts.append(f"--expect-head {report.head}")
    return " \\\n  ".join(parts)
