"""What the verifier holds together of findings: an honest run, and each way in which its key's holder could lie."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.evidence.found import CANARY, PHRASE, TOKEN, write_found
from tests.evidence.specimens import (
    KEY,
    Change,
    Receipt,
    codes,
    record_of,
    replay,
    rewrite,
    setting,
    setting_fact,
)
from tests.evidence.test_packet import make_packet

from trio_egress.evidence.report import Verdict
from trio_egress.evidence.scan_pairs import ScanPairs
from trio_egress.evidence.verify import verify

DENIED, INTENT, FINDING, MORE, OUTCOME = 1, 2, 3, 4, 5
WARNED, CUT, CUT_OUTCOME = 6, 9, 10


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return write_found()


def test_a_run_with_findings_holds_together_and_tells_none_of_them(lines: list[bytes]) -> None:
    assert codes(replay(lines)) == []
    text = b"".join(lines).lower()
    assert [value for value in (TOKEN, CANARY, PHRASE) if value.lower() in text] == []
    assert TOKEN.lower().replace(b"_", b"-") not in text


def _facts(receipt: Receipt) -> Receipt:
    ext = receipt["ext"]
    assert isinstance(ext, dict)
    facts = ext["trio_egress"]
    assert isinstance(facts, dict)
    return facts


def _both(*changes: Change) -> Change:
    def change(receipt: Receipt) -> None:
        for each in changes:
            each(receipt)

    return change


def _dropping_fact(name: str) -> Change:
    return lambda receipt: _facts(receipt).__delitem__(name)


def _dropping(name: str) -> Change:
    return lambda receipt: record_of(receipt).__delitem__(name)


def _in_first(name: str, value: object) -> Change:
    """Another member of the first finding."""

    def change(receipt: Receipt) -> None:
        findings = _facts(receipt)["findings"]
        assert isinstance(findings, list)
        findings[0][name] = value

    return change


def _widen(receipt: Receipt) -> None:
    findings = _facts(receipt)["findings"]
    assert isinstance(findings, list)
    findings *= 17


LIES: dict[str, tuple[int, Change, str]] = {
    "a denial without the finding that it names": (DENIED, _dropping_fact("findings"), "found.verdict"),
    "a denial for what was let through": (DENIED, _in_first("action", "warn"), "found.verdict"),
    "a denial by another detector": (DENIED, setting("pattern", "other"), "found.verdict"),
    "a denial of another severity": (DENIED, setting("severity", "low"), "found.verdict"),
    "a finding of an attempt that never was": (
        FINDING,
        setting("parent_action_id", "01a3185c-5000-7000-8000-000000000001"),
        "found.parent",
    ),
    "a finding of another target": (FINDING, setting("target", "https://x.example:443/"), "found.parent"),
    "a finding of another flow": (FINDING, setting_fact("flow", 99), "found.parent"),
    "a finding that says more was done": (FINDING, setting("verdict", "block"), "found.verdict"),
    "a finding that says less was done": (FINDING, setting("verdict", "warn"), "found.verdict"),
    "a finding by another layer": (FINDING, setting("layer", "rule"), "found.verdict"),
    "a receipt of no finding": (FINDING, _dropping_fact("findings"), "found.verdict"),
    "a finding that counts more": (FINDING, _in_first("count", 3), "found.sum"),
    "a finding of which more was left": (OUTCOME, setting_fact("findings_left_out", 0), "found.sum"),
    "an outcome without its sums": (OUTCOME, _dropping_fact("found"), "found.sum"),
    "sums of something else": (OUTCOME, setting_fact("found", {"block": 5}), "found.sum"),
    "an intent for what was blocked": (WARNED, _in_first("action", "block"), "found.verdict"),
    "an attempt that went on after it was cut": (
        CUT_OUTCOME,
        _both(
            setting("verdict", "allow"), setting("layer", "rule"), _dropping("pattern"), _dropping("severity")
        ),
        "found.cut",
    ),
    "an attempt that was cut for nothing": (
        OUTCOME,
        _both(setting("verdict", "block"), setting("layer", "scan")),
        "found.cut",
    ),
    "a place that is none": (FINDING, _in_first("place", "the hall"), "ext.fact"),
    "a finding with its text": (FINDING, _in_first("text", "words"), "ext.fact"),
    "a text for a commitment": (FINDING, _in_first("commitment", "words"), "ext.fact"),
    "an action of another name": (FINDING, _in_first("action", "off"), "ext.fact"),
    "a finding as a single word": (FINDING, setting_fact("findings", "words"), "ext.fact"),
    "seventeen findings": (FINDING, _widen, "ext.fact"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_findings_is_found(lines: list[bytes], lie: str) -> None:
    at, change, code = LIES[lie]
    assert code in codes(replay(rewrite(lines, {at: change})))


@pytest.mark.parametrize(
    ("without", "code"), [({FINDING}, "found.sum"), ({MORE}, "found.sum"), ({CUT}, "found.cut")]
)
def test_a_finding_that_is_left_out_is_missed(lines: list[bytes], without: set[int], code: str) -> None:
    shorter = [line for index, line in enumerate(lines) if index not in without]

    def renumber(seq: int) -> Callable[[Receipt], None]:
        def change(receipt: Receipt) -> None:
            record = record_of(receipt)
            record["chain_seq"] = seq
            control = record.get("session_control")
            if isinstance(control, dict) and "close" in control:
                control["close"].update(final_seq=seq, receipt_count=seq + 1)

        return change

    changed = rewrite(shorter, {seq: renumber(seq) for seq in range(len(shorter))})
    assert code in codes(replay(changed))


def test_a_finding_after_its_attempt_has_ended_is_about_none(lines: list[bytes]) -> None:
    swapped = [*lines[:MORE], lines[OUTCOME], lines[MORE], *lines[OUTCOME + 1 :]]
    assert "found.parent" in codes(replay(rewrite(swapped, {})))


def test_a_packet_of_it_is_valid_and_its_statement_counts_it(lines: list[bytes], tmp_path: Path) -> None:
    make_packet(tmp_path, lines)
    report = verify(tmp_path, [KEY.public_hex])
    assert (report.verdict, report.findings) == (Verdict.VALID, ())
    summary = json.loads((tmp_path / "packet.json").read_text())["summary"]
    assert (summary["totals"]["warn"], summary["totals"]["strip"]) == (1, 1)
    assert summary["layers"] == {"scan": 4}
    envelope = json.loads((tmp_path / "statement.dsse.json").read_text())
    told = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["trioEgress"]
    assert told["denied"] == 3
    assert told["found"] == {"block": 3, "strip": 3, "suppressed": 1, "warn": 2}


def test_the_largest_counts_are_not_mistaken_for_one_another() -> None:
    most = 2**64 - 1
    finding = {
        "detector": "d",
        "kind": "secret",
        "place": "body",
        "severity": "high",
        "commitment": f"[d:{'0' * 32}]",
        "count": most,
    }
    told = [{**finding, "action": action} for action in ("strip", "warn", "suppressed")]
    pairs, record = ScanPairs(), {"parent_action_id": "a", "verdict": "strip", "layer": "scan"}
    record |= {"pattern": "d", "severity": "high"}
    for _ in range(1000):
        assert list(pairs.add(record, {"findings": told})) == []
    found = dict.fromkeys(("strip", "warn", "suppressed"), 1000 * most)
    assert list(pairs.end({"action_id": "a", "verdict": "allow"}, {"found": found})) == []
    assert list(pairs.end({"action_id": "a", "verdict": "allow"}, {"found": found})) != []
