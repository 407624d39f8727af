"""One packet as every export sees it: what the verifier said, where its policies are, and its attempts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trio_egress.evidence.attempts import Attempt, Told, join_attempts, read_receipts
from trio_egress.evidence.container import Folder, find_packet
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.report import Report, Verdict
from trio_egress.values import frozen
from trio_egress.views.source import Place, Sources

NOT_VERIFIED = {
    Verdict.INVALID: "THE PACKET DOES NOT VERIFY: nothing that is told of it here can be relied on",
    Verdict.UNREADABLE: "THE PACKET COULD NOT BE READ: what is told of it here is not the whole",
    Verdict.LINKED: "SIGNATURES WERE NOT CHECKED: only hashes and links were followed",
    Verdict.PREFIX: "THE RECORD HAS NO END: what came after its last receipt is not known",
    Verdict.OBSERVED: "NOTHING WAS ENFORCED: the run only observed, and let through what its policy denies",
    Verdict.SELF_CONSISTENT: "WHO SIGNED IS NOT PROVEN: the record holds together, but no public key was pinned",
}
"""What goes before everything else, for every verdict but one."""


@frozen
class Picture:
    """`attempts` reads the evidence anew each time; it raises EvidenceError where it can't be read."""

    report: Report
    sources: Sources
    evidence: Path
    place: str
    """The packet's own path in the repository, or its name where it is elsewhere."""

    @property
    def warning(self) -> str:
        """Empty only where the verdict is `valid`."""
        return NOT_VERIFIED.get(self.report.verdict, "")

    def locate(self, file: str = EVIDENCE_NAME, line: int = 1) -> Place:
        """A file of the packet."""
        return Place(f"{self.place}/{file}", max(line, 1))

    def locate_reason(self, told: Told) -> Place:
        """Where in which policy stands why this was decided as it was."""
        place, packaged = self.sources.locate(told)
        return self.locate(place.path, place.line) if packaged else place

    def receipts(self) -> Iterator[Told]:
        return read_receipts(self.evidence)

    def attempts(self) -> Iterator[Attempt]:
        """None where the verifier couldn't read them either."""
        if self.report.verdict is Verdict.UNREADABLE:
            return iter(())
        return join_attempts(self.receipts())


def take_picture(path: Path, report: Report, root: Path | None) -> Picture:
    """`root` is the repository that the policy may be in."""
    packet = find_packet(path)
    place = (path.parent if packet is None else path).resolve()
    if root is not None and place.is_relative_to(root.resolve()):
        shown = str(place.relative_to(root.resolve()))
    else:
        shown = place.name
    shown = shown if shown.isprintable() else escape_text(shown)
    return Picture(report, Sources(packet or Folder(path.parent), root), path, shown)
