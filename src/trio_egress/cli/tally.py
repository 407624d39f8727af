"""What a run has allowed and denied so far: figures and the last denial, and these as one short line."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from trio_egress.cli.denials import is_missed, printable
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.session import INTERCEPTED, OWN_TRANSPORTS
from trio_egress.runtime.live_line import LiveLine
from trio_egress.views.lines import Colour, Paint

NARROWEST = 24
"""Columns; in fewer there is room for no line."""

ROOMY = 60
"""In fewer the line says no more who speaks."""

WIDEST = 100
HEAD = "trio-egress: "


class Tally:
    """Fed each receipt before it is signed."""

    def __init__(self) -> None:
        self.line: LiveLine | None = None
        """What is to know of each change."""

        self.allowed = 0
        self.missed = 0
        """Of what was allowed, that no connection came of."""

        self.denied = 0
        self.last_denied = ""

    def note(self, draft: Draft) -> None:
        if draft.transport in OWN_TRANSPORTS or draft.parent_id:
            return
        if draft.verdict == "block":
            count = draft.facts.get("count", 1)
            self.denied += count if isinstance(count, int) else 1
            self.last_denied = _name(draft)
        elif draft.phase == "intent":
            self.allowed += draft.facts.get("tls") != INTERCEPTED  # its requests are what is let out
        elif is_missed(draft):
            self.missed += 1
        else:
            return
        if self.line is not None:
            self.line.note()

    def render(self, columns: int, paint: Paint) -> str:
        """Of printable ASCII and no more than `columns` wide; empty where there is nothing to say yet, or no room."""
        columns = min(columns, WIDEST)
        if columns < NARROWEST or not (self.allowed or self.denied):
            return ""
        allowed, denied = f"{self.allowed:,} allowed", f"{self.denied:,} denied"
        head = HEAD if columns >= ROOMY else ""
        room = columns - len(f"{head}{allowed}, {denied}, last ")
        last = (
            f", last {_cut(self.last_denied, room)}" if self.last_denied and room >= len("a.example") else ""
        )
        shown = paint(allowed, Colour.ALLOWED if self.allowed else Colour.ASIDE)
        return f"{head}{shown}, {paint(denied, Colour.DENIED if self.denied else Colour.ASIDE)}{last}"


def _name(draft: Draft) -> str:
    """Whom it was to reach."""
    host, port = draft.facts.get("host"), draft.facts.get("port")
    name = draft.target if not host else f"{host}:{port}" if isinstance(port, int) and port else str(host)
    return printable(name).encode("ascii", "backslashreplace").decode()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 2]}.."


def make_line(environment: Mapping[str, str], *, quiet: bool) -> LiveLine | None:
    """Where a person looks on: at a terminal that can, and not in a CI, whose log may be one's."""
    asked = not quiet and environment.get("CI", "").lower() in ("", "0", "false")
    return LiveLine() if asked and environment.get("TERM", "dumb") != "dumb" and sys.stderr.isatty() else None


def follow(line: LiveLine | None, tally: Tally, paint: Paint) -> None:
    """Have the line say what the tally counts."""
    if line is not None:
        tally.line, line.render = line, lambda columns: tally.render(columns, paint)
