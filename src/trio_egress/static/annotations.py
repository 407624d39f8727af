"""An outcome as annotations of a GitHub workflow: commands on standard output that put it beside the lines of a change.

Rule 1: GitHub shows AT_MOST of a kind and a step; what is beyond is one line more, with their number.
Rule 2: whatever stands in a name or a text, it ends no command and begins none.
"""

from __future__ import annotations

from collections.abc import Iterator

from trio_egress.static.excerpt import escape_name
from trio_egress.static.outcome import Outcome, Told
from trio_egress.static.position import Place
from trio_egress.static.text import describe, render_sum

AT_MOST = 10


def render_annotations(outcome: Outcome) -> Iterator[str]:
    """Lines without their ends."""
    for kind, chosen in (("error", True), ("warning", False)):
        all_told = [told for told in outcome.new if told.blocks is chosen]
        yield from (_render(kind, told) for told in all_told[:AT_MOST])
    if max(outcome.count()[word] for word in ("block", "warn")) > AT_MOST:
        text = f"{render_sum(outcome)}; GitHub shows {AT_MOST} of a kind: the log has them all"
        yield f"::notice title=trio-egress scan::{_escape(text)}"


def _render(kind: str, told: Told) -> str:
    hit = told.hit
    where = {
        "file": (hit.archive or hit.path).encode("utf-8", "replace").decode(),
        **({} if hit.archive else _locate(hit.place)),
        "title": f"trio-egress scan: {hit.detector.name}",
    }
    properties = ",".join(f"{key}={_escape_property(str(value))}" for key, value in where.items())
    within = f" in {escape_name(hit.path)}, line {hit.place.line}" if hit.archive else ""
    return f"::{kind} {properties}::{_escape(f'{describe(told)}: {hit.excerpt.value}{within}')}"


def _locate(place: Place) -> dict[str, int]:
    """Of columns GitHub takes none where a finding spans lines."""
    columns = {"col": place.column, "endColumn": place.end_column} if place.line == place.end_line else {}
    return {"line": place.line, "endLine": place.end_line, **columns}


def _escape(text: str) -> str:
    """As @actions/core does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
