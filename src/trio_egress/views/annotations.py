"""A packet as annotations of a GitHub workflow: denials at the policy's lines, what scans found, what does not verify.

Rule 1: at most ANNOTATIONS_SHOWN of a kind, as GitHub shows no more; the last of them counts what is left out.
Rule 2: texts that an agent or a peer chose are printable ASCII, and neither end a command nor begin one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from trio_egress.evidence.attempts import Attempt
from trio_egress.evidence.report import Verdict
from trio_egress.model import Layer
from trio_egress.texts.workflow import ANNOTATIONS_SHOWN, render_command
from trio_egress.values import frozen
from trio_egress.views.census import cut, list_unsuppressed
from trio_egress.views.layers import explain_layer
from trio_egress.views.picture import Picture
from trio_egress.views.source import Place

TITLE = "trio-egress"
TEXT_CHARS = 500
KEPT = 1000
"""Different denials and finds that are told apart; a run may have a million."""


@frozen
class _Note:
    """`place` is None where no file of the repository has the line."""

    kind: str
    title: str
    text: str
    place: Place | None = None

    def render(self, times: int) -> str:
        where: Mapping[str, object] = {"file": self.place.path, "line": self.place.line} if self.place else {}
        often = f" ({times} times)" if times > 1 else ""
        return render_command(self.kind, f"{self.text}{often}", {**where, "title": self.title})


def render_annotations(picture: Picture) -> Iterator[str]:
    """Lines, each with its end."""
    notes: dict[_Note, int] = {}
    for note, count in _list_notes(picture):
        if note in notes or len(notes) < KEPT:
            notes[note] = notes.get(note, 0) + count
    for kind in ("error", "warning", "notice"):
        yield from _render_kind(kind, {note: times for note, times in notes.items() if note.kind == kind})


def _render_kind(kind: str, notes: Mapping[_Note, int]) -> Iterator[str]:
    shown = len(notes) if len(notes) <= ANNOTATIONS_SHOWN else ANNOTATIONS_SHOWN - 1
    for note, times in list(notes.items())[:shown]:
        yield f"{note.render(times)}\n"
    if shown < len(notes):
        text = f"and {len(notes) - shown} more of this kind: the summary and the packet have them"
        yield f"{render_command(kind, text, {'title': TITLE})}\n"


def _list_notes(picture: Picture) -> Iterator[tuple[_Note, int]]:
    report = picture.report
    if report.verdict in (Verdict.INVALID, Verdict.UNREADABLE):
        yield _Note("error", TITLE, cut(f"{picture.warning}. {report.error}".strip(), TEXT_CHARS)), 1
    elif picture.warning:
        yield _Note("notice", TITLE, f"{picture.warning}."), 1
    for finding in report.findings:
        yield _Note("error", f"{TITLE}: evidence", cut(f"[{finding.code}] {finding.message}", TEXT_CHARS)), 1
    yield from _list_attempts(picture, picture.attempts())


def _list_attempts(picture: Picture, attempts: Iterable[Attempt]) -> Iterator[tuple[_Note, int]]:
    for attempt in attempts:
        last = attempt.last
        what = f"{last.method} {last.target}".strip()
        for finding in list_unsuppressed(attempt):
            text = f"found {finding.describe()}, {finding.done}: {what}"
            yield _Note("error", f"{TITLE}: found", cut(text, TEXT_CHARS)), finding.count
        by_scan = last.layer == Layer.SCAN.value and attempt.findings
        if by_scan or not (attempt.denied or last.observed):
            continue
        text = f"{what}: {last.reason or explain_layer(last.layer).short}"
        kind, word = ("notice", "observed") if last.observed else ("warning", "denied")
        yield _Note(kind, f"{TITLE}: {word}", cut(text, TEXT_CHARS), _locate(picture, attempt)), last.count


def _locate(picture: Picture, attempt: Attempt) -> Place | None:
    """The line of the policy that denied it, where the policy is a file of the repository."""
    place, packaged = picture.sources.locate(attempt.last)
    return None if packaged else place
