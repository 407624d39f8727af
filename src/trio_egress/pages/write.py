"""The files of a packet that are for people: their names, and one call for both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from trio_egress.evidence.report import Report
from trio_egress.pages.dossier import compile_dossier
from trio_egress.pages.report import render_report
from trio_egress.pages.summary import render_summary
from trio_egress.policy.rule import Policy

REPORT_NAME = "report.html"
SUMMARY_NAME = "summary.md"


def render_pages(
    policies: Mapping[str, Policy],
    evidence: BinaryIO,
    report: Report,
    files: Mapping[str, bytes],
    *,
    claimed: bool,
) -> dict[str, bytes]:
    """By name. `files`: the packet's others. Raises OSError where the evidence can't be read."""
    dossier = compile_dossier(evidence, report, files, policies, claimed=claimed)
    return {SUMMARY_NAME: render_summary(dossier), REPORT_NAME: render_report(dossier)}
