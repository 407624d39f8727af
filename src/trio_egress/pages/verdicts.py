"""What came of a run, and what its record is worth, in one sentence each: the first words of every page.

Rule 1: a record that does not hold together is told before anything that it says.
Rule 2: a run that enforced nothing says so before it says what it did.
"""

from __future__ import annotations

import attrs

from trio_egress.evidence.report import Verdict
from trio_egress.pages.dossier import Dossier
from trio_egress.pages.words import count_of
from trio_egress.values import frozen


@frozen
class Standing:
    """`word`: a mark beside `shape`, which says the same without colour. `worth`: a sentence about the record."""

    word: str
    shape: str
    tone: str
    worth: str


_STANDINGS = {
    Verdict.VALID: Standing(
        "Valid",
        "check",
        "good",
        "The record is complete, in itself consistent, and signed by the pinned key.",
    ),
    Verdict.SELF_CONSISTENT: Standing(
        "Self-consistent",
        "ring",
        "fair",
        "The record is complete and in itself consistent; no key was pinned, so who signed it is not proven.",
    ),
    Verdict.OBSERVED: Standing(
        "Observed only",
        "eye",
        "warn",
        "The record is complete and in itself consistent, of a run that let through what its policy denies.",
    ),
    Verdict.PREFIX: Standing(
        "No proven end",
        "torn",
        "warn",
        "What is recorded holds together, but the record has no proven end: what came after is not known.",
    ),
    Verdict.LINKED: Standing(
        "Links only",
        "ring",
        "warn",
        "Hashes and links hold; the receipts' signatures were not checked.",
    ),
    Verdict.INVALID: Standing(
        "Invalid",
        "cross",
        "bad",
        "The record does not hold together, or is not what was expected. Nothing on this page is proven.",
    ),
    Verdict.UNREADABLE: Standing("Unreadable", "cross", "bad", "The record could not be read."),
}


def find_standing(dossier: Dossier) -> Standing:
    standing = _STANDINGS[dossier.report.verdict]
    if dossier.report.verdict is Verdict.PREFIX and dossier.report.recovered_by:
        return attrs.evolve(standing, word="No proven end, recovered")
    if dossier.report.verdict is Verdict.VALID and dossier.claimed:
        return attrs.evolve(
            standing,
            worth="The record is complete, in itself consistent, and signed by the key that the operator gave.",
        )
    return standing


def tell_run(dossier: Dossier) -> str:
    """One sentence, or two: what the agent reached, and what it was denied."""
    story, report = dossier.story, dossier.report
    if report.verdict is Verdict.INVALID:
        findings = count_of(report.finding_count, "finding")
        return f"This record can’t be relied on: {findings}."
    if dossier.observed:
        hosts, denies = count_of(len(story.reached), "host"), count_of(story.observed, "attempt")
        return f"Nothing was enforced: the agent reached {hosts}; the policy would have denied {denies}."
    said = sum(host.allowed for host in story.said)
    missed = f" {count_of(len(story.missed), 'host')} could not be reached." if story.missed else ""
    return _tell_attempts(dossier) + missed + (f" {count_of(said, 'message')} went by." if said else "")


def _tell_attempts(dossier: Dossier) -> str:
    story = dossier.story
    reached, denied = len(story.reached), story.denied
    if not reached and not denied and dossier.cut_off:
        return "The record ends before anything was reached or denied."
    if not reached and not denied:
        return (
            "The agent sent nothing out and was denied nothing." if dossier.stood else "The agent never ran."
        )
    hosts = f"{count_of(reached, 'host')}" if not story.others.allowed else f"more than {reached:,} hosts"
    if not denied:
        return f"The agent reached {hosts} and was denied nothing."
    attempts = f"{count_of(denied, 'attempt')} {'was' if denied == 1 else 'were'} denied"
    return f"The agent reached {hosts}; {attempts}." if reached else f"The agent reached nothing; {attempts}."


def tell_end(dossier: Dossier) -> str:
    """How the agent ended."""
    if "commands" in dossier.story.close_facts:
        return f"{count_of(dossier.story.commands, 'command')} in one sandbox"
    code = dossier.part("run").get("agent_exit_code")
    if type(code) is not int or abs(code) > 1 << 32:
        if dossier.cut_off:
            return "how it ended is not recorded"
        return "did not end by itself" if dossier.stood else "never started"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
