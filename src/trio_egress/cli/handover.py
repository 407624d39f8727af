"""What a run hands over besides its packet, once it has verified it: a summary, SARIF, JUnit, annotations, a verdict.

Rule 1: every file is opened before anything runs, with the caller's rights, and follows no link: an agent of an
earlier run may have left one there.
Rule 2: everything that is needed is imported before the agent runs, and the packet is entered by a descriptor: by its
end a run that root started may not go there any more, and an agent that can write to this package must not be read.
Rule 3: what can't be written is told, and takes nothing back of what the run was.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from trio_egress.cli.learn import learn_from
from trio_egress.cli.packet.export import find_root
from trio_egress.cli.packet.report import render_packet
from trio_egress.cli.plain_file import open_plain
from trio_egress.cli.run_parser import HANDED_FILES
from trio_egress.cli.status import Handed
from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.container import find_packet, hash_file
from trio_egress.evidence.manifest import MANIFEST_NAME
from trio_egress.evidence.report import Report, Verdict
from trio_egress.evidence.trust import read_trust
from trio_egress.pages.write import SUMMARY_NAME
from trio_egress.review import review
from trio_egress.values import frozen
from trio_egress.views.annotations import render_annotations
from trio_egress.views.census import list_unsuppressed
from trio_egress.views.junit import render_junit
from trio_egress.views.picture import Picture, take_picture
from trio_egress.views.sarif import render_sarif

HERE = Path(".")

LEARNT_CHARS = 100_000

_RENDER: Mapping[str, Callable[[Picture], Iterator[str]]] = {
    "sarif": render_sarif,
    "junit": render_junit,
    "annotations": render_annotations,
}


@frozen
class Handover:
    """`keys`: as `review` takes them, from wherever it is called. `root`: the repository that paths are given from.
    `here`: the working directory, which a run that root started may not be able to open by its end."""

    keys: tuple[str, ...]
    files: Mapping[str, int]
    packet: int
    here: int
    root: Path

    def conclude(self, evidence: Path) -> Handed:
        """Verify the packet and write what was asked for. Raises UsageError for what could not be."""
        try:
            os.fchdir(self.packet)
            return self._conclude(evidence)
        except EvidenceError as error:
            raise UsageError(f"the packet could not be looked at: {error}") from None
        finally:
            with suppress(OSError):  # where a run that root started may not go any more
                os.fchdir(self.here)

    def _conclude(self, evidence: Path) -> Handed:
        report = review(HERE, self.keys)
        report = attrs.evolve(report, path=str(evidence))
        if report.verdict is Verdict.UNREADABLE:
            raise UsageError(f"the packet could not be verified: {report.error}")
        picture = attrs.evolve(take_picture(HERE, report, self.root), place=self._place(evidence))
        for name, descriptor in self.files.items():
            _write(name, descriptor, _render(name, picture))
            if name == "summary" and report.verdict is Verdict.OBSERVED:
                _write(name, descriptor, _render_learnt(evidence.name))
        return _sum_up(report, picture)

    def _place(self, evidence: Path) -> str:
        """The packet's path in the repository."""
        place = os.path.relpath(evidence, self.root)
        return evidence.name if place.startswith("..") or not place.isprintable() else place


@contextmanager
def open_handover(options: argparse.Namespace, evidence: Path, pinned: str | None) -> Iterator[Handover]:
    """`pinned`: the public half of the operator's key, which counts where no other is named. Raises UsageError."""
    descriptors: dict[str, int] = {}
    made = not evidence.exists()
    packet = here = -1
    try:
        keys = _hold_keys(options.public_key or ([pinned] if pinned else []))
        for name in HANDED_FILES:
            if place := getattr(options, name):
                descriptors[name] = _open(name, place)
        packet = _open_directory(evidence)
        here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        root = find_root(None, os.environ).resolve()
        yield Handover(keys, descriptors, packet, here, root)
    finally:
        for descriptor in filter(lambda number: number >= 0, (*descriptors.values(), packet, here)):
            os.close(descriptor)
        if made:
            with suppress(OSError):  # nothing is in it: the run never was
                evidence.rmdir()


def _open_directory(evidence: Path) -> int:
    try:
        evidence.mkdir(parents=True, exist_ok=True)
        return os.open(evidence, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"cannot use {evidence} for evidence: {error.strerror}") from None


def _hold_keys(given: Sequence[str]) -> tuple[str, ...]:
    """Keys by their digits, so that no file has to be read later; rosters by their path."""
    held: list[str] = []
    for text in given:
        try:
            trusted = read_trust([text])
        except EvidenceError as error:
            raise UsageError(f"--public-key: {error}") from None
        held += [os.path.abspath(text)] if any(trusted.values()) else list(trusted)
    return tuple(held)


def _open(name: str, place: str) -> int:
    if name == "summary":
        return open_plain(f"--{name}", place, os.O_WRONLY | os.O_APPEND)
    descriptor = open_plain(f"--{name}", place, os.O_WRONLY)
    os.ftruncate(descriptor, 0)
    return descriptor


def _render(name: str, picture: Picture) -> bytes:
    if name == "summary":
        return render_packet(HERE, picture.report)[SUMMARY_NAME]
    return "".join(_RENDER[name](picture)).encode()


def _render_learnt(run: str) -> bytes:
    """What would have allowed all that a run which only observed has seen, as inert code."""
    text = learn_from([HERE], run).text
    if len(text) > LEARNT_CHARS:
        return b"\nWhat would have allowed it is too long to stand here: `trio-egress learn --from PACKET` prints it.\n"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"\n## The policy that would have allowed it\n\n{fence}toml\n{text}{fence}\n".encode()


def _write(name: str, descriptor: int, raw: bytes) -> None:
    try:
        while raw:
            raw = raw[os.write(descriptor, raw) :]
    except OSError as error:
        raise UsageError(f"--{name}: {error.strerror}: it is not whole") from None


def _sum_up(report: Report, picture: Picture) -> Handed:
    found = sum(finding.count for attempt in picture.attempts() for finding in list_unsuppressed(attempt))
    packet = find_packet(HERE)
    sha256 = hash_file(packet, MANIFEST_NAME) if packet and MANIFEST_NAME in packet else ""
    return Handed(report.verdict.value, report.receipt_count, found, sha256)
