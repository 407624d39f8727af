"""Whether what is printed is coloured: at a terminal that can, unless somebody asked for none, or for it anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from trio_egress.views.lines import Paint, leave_plain, paint_ansi


def choose_paint(stream: TextIO, environment: Mapping[str, str]) -> Paint:
    return paint_ansi if is_coloured(stream, environment) else leave_plain


def is_coloured(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """NO_COLOR, if it is set to anything, means none (no-color.org), whatever else; then FORCE_COLOR, if it is set to
    anything but 0, means colour; then TERM=dumb means none."""
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and environment.get("TERM", "dumb") != "dumb"
