"""An outcome as annotations of a GitHub workflow: commands on standard output that put it beside the lines of a change.

Rule 1: GitHub shows ANNOTATIONS_SHOWN of a kind and a step; what is beyond is one line more, with their number.
Rule 2: whatever stands in a name or a text, it ends no command and begins none.
"""

from __future__ import annotations

from collections.abc import Iterator

from trio_egress.static.excerpt import escape_name
from trio_egress.static.outcome import Outcome, Told
from trio_egress.static.position import Place
from trio_egress.static.text import describe, render_sum
from trio_egress.texts.workflow import ANNOTATIONS_SHOWN, render_command


def render_annotations(outcome: Outcome) -> Iterator[str]:
    """Lines without their ends."""
    for kind, chosen in (("error", True), ("warning", False)):
        all_told = [told for told in outcome.new if told.blocks is chosen]
        yield from (_render(kind, told) for told in all_told[:ANNOTATIONS_SHOWN])
    if max(outcome.count()[word] for word in ("block", "warn")) > ANNOTATIONS_SHOWN:
        text = f"{render_sum(outcome)}; GitHub shows {ANNOTATIONS_SHOWN} of a kind: the log has them all"
        yield render_command("notice", text, {"title": "trio-egress scan"})


def _render(kind: str, told: Told) -> str:
    hit = told.hit
    where: dict[str, object] = {
        "file": (hit.archive or hit.path).encode("utf-8", "replace").decode(),
        **({} if hit.archive else _locate(hit.place)),
        "title": f"trio-egress scan: {hit.detector.name}",
    }
    within = f" in {escape_name(hit.path)}, line {hit.place.line}" if hit.archive else ""
    return render_command(kind, f"{describe(told)}: {hit.excerpt.value}{within}", where)


def _locate(place: Place) -> dict[str, int]:
    """Of columns GitHub takes none where a finding spans lines."""
    columns = {"col": place.column, "endColumn": place.end_column} if place.line == place.end_line else {}
    return {"line": place.line, "endLine": place.end_line, **columns}
