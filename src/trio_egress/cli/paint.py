"""Whether what is printed is coloured: only at a terminal that can, and where nobody asked for none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from trio_egress.views.lines import Paint, leave_plain, paint_ansi


def choose_paint(stream: TextIO, environment: Mapping[str, str]) -> Paint:
    """NO_COLOR, if it is set to anything, and TERM=dumb mean none (no-color.org)."""
    if not stream.isatty() or environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb":
        return leave_plain
    return paint_ansi
