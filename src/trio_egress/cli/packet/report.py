"""`trio-egress packet report`: a packet's page, or its summary, with the verdict of the verifier and not the run's own.

Rule 1: the page is never written into the packet, nor over anything: a packet stays as it was sealed.
Rule 2: what the verifier says is the exit code, whatever could be rendered.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from trio_egress.checkers import count_jobs, open_checkers
from trio_egress.errors import EvidenceError, PolicyError, UsageError
from trio_egress.evidence.container import FilePath, Packet, find_packet, open_bare, read_file
from trio_egress.evidence.facts import escape_text, is_portable
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.report import Report, Verdict
from trio_egress.pages.dossier import NAMES
from trio_egress.pages.write import REPORT_NAME, SUMMARY_NAME, render_pages
from trio_egress.policy.rule import Policy
from trio_egress.review import read_policies
from trio_egress.verification import verify

UNWRITTEN = 2


def main(options: argparse.Namespace) -> int:
    """As `verify`; 2 also where the page could not be written."""
    try:
        with open_checkers(count_jobs()) as checker:
            report = verify(
                options.packet,
                options.public_key,
                policy_hash=options.policy_hash,
                expect_run=options.expect_run,
                expect_head=options.expect_head,
                checker=checker,
            )
        if report.verdict is Verdict.UNREADABLE:
            raise EvidenceError(report.error)
        _write(
            options, render_packet(options.packet, report)[SUMMARY_NAME if options.markdown else REPORT_NAME]
        )
    except UsageError as error:
        print(f"trio-egress packet report: {error}", file=sys.stderr)
        return 64
    except EvidenceError as error:
        said = str(error)  # the verifier's is made for people already
        print(
            f"trio-egress packet report: {said if is_portable(said) else escape_text(said)}", file=sys.stderr
        )
        return UNWRITTEN
    return report.exit_code


def render_packet(path: FilePath, report: Report) -> Mapping[str, bytes]:
    """Both pages, by name. Raises EvidenceError."""
    packet = find_packet(path)
    files = {} if packet is None else _read_files(packet)
    policies = {} if packet is None else _read_policies(packet)
    try:
        with open_bare(path) if packet is None else packet.open(EVIDENCE_NAME) as stream:
            return render_pages(policies, stream, report, files, claimed=False)
    except OSError as error:
        raise EvidenceError(f"cannot read the evidence of {path}: {error.strerror}") from None


def _read_files(packet: Packet) -> dict[str, bytes]:
    """Those that a page looks at, as far as they can be read: what is wrong with them, the verifier tells."""
    files = {}
    for name in NAMES:
        try:
            files[name] = read_file(packet, name)
        except EvidenceError:
            continue
    return files


def _read_policies(packet: Packet) -> dict[str, Policy]:
    """None where this release can't read them: then nothing is said of what would allow a denial."""
    try:
        return dict(read_policies(packet))
    except (EvidenceError, PolicyError):
        return {}


def _write(options: argparse.Namespace, page: bytes) -> None:
    if options.output is None:
        sys.stdout.buffer.write(page)
        return
    output = Path(options.output)
    if os.path.realpath(output.parent) == os.path.realpath(options.packet):
        raise EvidenceError(f"{output} would be in the packet itself: name a place outside it with --output")
    try:
        with output.open("xb") as file:
            file.write(page)
    except FileExistsError:
        raise EvidenceError(f"{output} is already there; nothing is written over") from None
    except OSError as error:
        raise EvidenceError(f"cannot write {output}: {error.strerror}") from None
