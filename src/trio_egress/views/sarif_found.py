"""What a scan found, as results of SARIF: the detector is the rule, the place the policy's line that let it be tried.

Rule 1: equal findings are one result with a count; its fingerprint has nothing of a run in it, so no commitment.
Rule 2: what the policy suppresses is a suppressed result (SARIF 3.27.23), and no alert.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from trio_egress.evidence.attempts import Attempt
from trio_egress.evidence.scan_form import SUPPRESSED, WARN
from trio_egress.evidence.scan_read import ReadFinding
from trio_egress.values import define
from trio_egress.views.census import cut
from trio_egress.views.picture import Picture
from trio_egress.views.sarif_result import Json, make_plain, render_result
from trio_egress.views.source import Place

DETECTED = "found/"
TARGET_CHARS = 160
_SUPPRESSION = {"kind": "external", "status": "accepted", "justification": "The policy names it as none."}
_HELP = (
    "A detector found this in what was sent or answered. Receipts have a commitment in its place: `trio-egress packet "
    "reveal` shows whether it was a value that you have. A credential that was let through is to be replaced now, one "
    "that was stopped if others may have seen it. If it is none, suppress it in the policy, with a reason and an end."
)


@define
class _Detection:
    """Equal findings: the first of them, and of its attempt where it stands."""

    finding: ReadFinding
    what: str
    place: Place
    seq: int
    action_id: str
    count: int = 0


class Detections:
    """Of one packet, by what makes them equal."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._kept: dict[str, _Detection] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, attempt: Attempt, most: int) -> int:
        """What was found in an attempt. How often it was something for which there was no room."""
        first, omitted = attempt.first, 0
        for finding in attempt.findings:
            identity = (*map(str, finding.identity), first.method, first.target)
            key = hashlib.sha256("\0".join(identity).encode()).hexdigest()
            if key not in self._kept and len(self._kept) >= most:
                omitted += finding.count
                continue
            if key not in self._kept:
                what = cut(f"{first.method} {first.target}".strip(), TARGET_CHARS)
                place = self._picture.locate_reason(first)
                self._kept[key] = _Detection(finding, what, place, first.seq, first.action_id[:64])
            self._kept[key].count += finding.count
        return omitted

    def render(self) -> Iterator[Json]:
        for key, detection in self._kept.items():
            yield _render(key, detection)


def _render(key: str, detection: _Detection) -> Json:
    finding = detection.finding
    times = f" ({detection.count} times)" if detection.count > 1 else ""
    text = f"{finding.describe()}, {finding.done}{times}: {detection.what}."
    result = render_result(
        f"{DETECTED}{finding.detector}", _find_level(finding), make_plain(text), detection.place, key
    )
    result["occurrenceCount"] = detection.count
    result["properties"] = {
        "receipt": detection.seq,
        "actionId": detection.action_id,
        "kind": finding.kind,
        "severity": finding.severity,
        "commitment": finding.commitment,
    }
    if finding.action == SUPPRESSED:
        result["suppressions"] = [_SUPPRESSION]
    return result


def _find_level(finding: ReadFinding) -> str:
    """A credential that left weighs most; what is only warned of otherwise, less."""
    if finding.action == SUPPRESSED or finding.severity == "low":
        return "note"
    grave = finding.severity in ("critical", "high")
    return (
        "error"
        if grave and (finding.action != WARN or finding.kind in ("secret", "exact", "canary"))
        else "warning"
    )


def explain_detector(name: str) -> tuple[str, str, str]:
    """A phrase, a help and the usual level of the rule."""
    return f"{name.removeprefix(DETECTED)} was found in what passed", _HELP, "error"
