"""Findings as values."""

from __future__ import annotations

import re
from pathlib import Path

from trio_egress.evidence.facts import FACT_CHARS
from trio_egress.evidence.findings import CODES, KEPT, Finding, Findings
from trio_egress.evidence.members import Misfit


def test_a_message_says_where_what_found_and_expected() -> None:
    finding = Finding("time.order", "evidence.jsonl", 7, "action_record.timestamp", "A", "B or later")
    assert finding.message == (
        "evidence.jsonl:7: time runs backwards (action_record.timestamp): found A; expected B or later"
    )
    assert Finding("packet.file", "a.txt", 0, "", "A", "B").message.startswith("a.txt: a file of the packet")


def test_findings_are_bounded_and_counted() -> None:
    findings = Findings()
    findings.add_misfits((Misfit("member.type", f"m{n}", "x", "y") for n in range(KEPT + 5)), "e", 3)
    assert (len(findings.kept), findings.count) == (KEPT, KEPT + 5)
    assert (findings.kept[0].place, findings.kept[0].line) == ("m0", 3)


def test_no_text_of_a_finding_steers_a_terminal_or_is_longer_than_a_fact() -> None:
    findings = Findings()
    findings.add("packet.file", "a\x1b", 1, "\x1b[2J\nVALID", "\u202e" * FACT_CHARS, "x" * 2 * FACT_CHARS)
    findings.add("packet.file", "a", 1, r"'\x1b' of a person's words", "B")
    first, second = findings.kept
    assert (first.file, first.found) == (r"a\x1b", r"\x1b[2J\nVALID")
    assert first.message.isascii()
    assert first.message.isprintable()
    assert len(first.place) < FACT_CHARS + 20
    assert second.found == r"'\x1b' of a person's words"


def test_codes_have_one_form_and_a_meaning() -> None:
    assert all(re.fullmatch(r"[a-z]+\.[a-z_0-9]+", code) and meaning for code, meaning in CODES.items())


def test_the_documentation_names_every_code_with_its_meaning() -> None:
    text = (Path(__file__).parents[2] / "docs" / "receipts.md").read_text("utf-8")
    section = text.partition("\n## What the verifier finds\n")[2]
    rows = re.findall(r"^\| `([a-z]+\.[a-z_0-9]+)` \| (.+) \|$", section, re.MULTILINE)
    assert dict(rows) == dict(CODES)
