"""What was found is on disk before it matters, is told without its text, and adds up: the recorder over a real file."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from trio_egress.evidence.chain import Chain
from trio_egress.evidence.journal import EVIDENCE_NAME, open_journal
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.redact import Redactor, commit
from trio_egress.evidence.scan_facts import Found, ToldFinding, in_body, in_header
from trio_egress.evidence.scan_form import FINDINGS_MAX, RECEIPTS_MAX, TARGET
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import generate
from trio_egress.evidence.verify import verify
from trio_egress.model import (
    Attempt,
    Decision,
    Layer,
    Name,
    Protocol,
    RuleRef,
    Transport,
    Upstream,
)
from trio_egress.recorder import Recorder, open_recorder

HOST = Name("api.example.com")
RULE = RuleRef(0, "api.example.com", 5)
ATTEMPT = Attempt(Transport.INTERCEPT, Protocol.HTTP, HOST, 443, "POST", "/v1", secure=True)
ALLOWED = Decision(True, Layer.RULE, "allowed", RULE, Upstream(HOST, 443))
SCANNED = Decision(False, Layer.SCAN, "acme-token was found in the body", RULE)
KEY, COMMITMENT_KEY = generate(bytes(32)), b"c" * 32
TOKEN = b"acme" + b"_" + b"4f9XqLr7Zt2Wb8Nd"
FINDING = ToldFinding(
    kind="secret",
    detector="acme-token",
    place=in_body(),
    action="block",
    severity="critical",
    value=TOKEN,
    spelt=(TOKEN,),
)
WARNING = attrs.evolve(FINDING, action="warn")


@asynccontextmanager
async def opened(directory: Path, shown: list[Draft] | None = None) -> AsyncIterator[Recorder]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    journal = open_journal(descriptor)
    try:
        session = Session("run-1", "nonce-1", "open-1", "sha256:" + "0" * 64, 30, "principal", "agent")
        chain = Chain(KEY, session, Redactor(COMMITMENT_KEY))
        async with open_recorder(chain, journal, None if shown is None else shown.append) as recorder:
            yield recorder
            recorder.conclude("refused")  # no sandbox stood here, so no kernel counted
    finally:
        journal.close()
        os.close(descriptor)


def read(directory: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Record and facts of each receipt that is not the session's own."""
    lines = map(json.loads, (directory / EVIDENCE_NAME).read_bytes().splitlines())
    return [
        (line["action_record"], line["ext"]["trio_egress"])
        for line in lines
        if "session_control" not in line["action_record"]
    ]


def find_codes(directory: Path) -> set[str]:
    """Of what the verifier finds; nobody counted for the kernel here."""
    report = verify(directory / EVIDENCE_NAME, [KEY.public_hex])
    return {finding.code for finding in report.findings} - {"balance.missing"}


async def test_a_denial_tells_what_was_found_and_never_its_text(tmp_path: Path) -> None:
    attempt = attrs.evolve(ATTEMPT, path=f"/v1/{TOKEN.decode()}/x")
    encoded = base64.b64encode(TOKEN)
    findings = (
        attrs.evolve(FINDING, place=TARGET),
        attrs.evolve(WARNING, place=in_header(b"X-Thing"), via=("base64",), spelt=(encoded,)),
    )
    shown: list[Draft] = []
    async with opened(tmp_path, shown) as recorder:
        facts = {"findings": Found(findings), "query": [encoded.decode()]}
        await recorder.refuse(attempt, SCANNED, facts)
        assert TOKEN.lower() not in (tmp_path / EVIDENCE_NAME).read_bytes().lower()
    ((record, facts),) = read(tmp_path)
    stands = commit(COMMITMENT_KEY, "acme-token", TOKEN)
    assert (record["verdict"], record["layer"]) == ("block", "scan")
    assert (record["pattern"], record["severity"]) == ("acme-token", "critical")
    assert record["target"] == f"https://api.example.com:443/v1/{stands}/x"
    assert record["redaction"] == {"total_redactions": 2, "by_class": {"acme-token": 2}}
    assert facts["query"] == [stands]
    told = {
        "detector": "acme-token",
        "kind": "secret",
        "place": "target",
        "action": "block",
        "severity": "critical",
        "commitment": stands,
        "count": 1,
    }
    second = {"place": "header x-thing", "via": ["base64"], "action": "warn"}
    assert facts["findings"] == [told, {**told, **second}]
    assert [TOKEN.decode() in draft.target for draft in shown] == [False]
    assert find_codes(tmp_path) == set()


async def test_what_is_found_and_let_go_stands_in_the_intent(tmp_path: Path) -> None:
    async with opened(tmp_path) as recorder:
        with await recorder.allow(ATTEMPT, ALLOWED, {"findings": Found((WARNING, WARNING))}):
            pass
    (intent, first), (outcome, last) = read(tmp_path)
    assert (intent["verdict"], intent["layer"], intent["pattern"]) == ("allow", "rule", "acme-token")
    assert [(each["action"], each["count"]) for each in first["findings"]] == [("warn", 2)]
    assert "pattern" not in outcome
    assert "findings" not in last
    assert last["found"] == {"warn": 2}
    assert find_codes(tmp_path) == set()


async def test_a_finding_in_an_answer_is_on_disk_when_find_returns(tmp_path: Path) -> None:
    async with opened(tmp_path) as recorder:
        with await recorder.allow(ATTEMPT, ALLOWED, {"connection": 7, "secrets_used": ["[x:0]"]}) as flow:
            await flow.find([attrs.evolve(WARNING, place=in_body(answer=True))])
            record, facts = read(tmp_path)[-1]
            assert record["parent_action_id"] == read(tmp_path)[0][0]["action_id"]
    assert record["action_id"] != record["parent_action_id"]
    assert (record["verdict"], record["layer"]) == ("warn", "scan")
    assert (record["target"], record["transport"]) == ("https://api.example.com:443/v1", "intercept")
    assert "decision_phase" not in record
    about = {
        "v": 1,
        "flow": 1,
        "connection": 7,
        "host": HOST,
        "port": 443,
        "proto": "http",
        "rule": str(RULE),
    }
    assert {name: value for name, value in facts.items() if name != "findings"} == about
    assert read(tmp_path)[-1][1]["found"] == {"warn": 1}
    assert find_codes(tmp_path) == set()


async def test_a_finding_that_blocks_ends_its_attempt_whatever_is_said_then(tmp_path: Path) -> None:
    async with opened(tmp_path) as recorder:
        with trio.CancelScope() as scope, await recorder.allow(ATTEMPT, ALLOWED) as flow:
            await flow.find([FINDING])
            flow.fail("the peer went away", Layer.LIMIT)
            scope.cancel()
            await trio.lowlevel.checkpoint()
        assert recorder.refused == 1
    _, (finding, _), (outcome, facts) = read(tmp_path)
    assert finding["verdict"] == outcome["verdict"] == "block"
    assert (outcome["layer"], outcome["pattern"], outcome["severity"]) == ("scan", "acme-token", "critical")
    assert facts["found"] == {"block": 1}
    assert find_codes(tmp_path) == set()


async def test_what_was_told_once_is_counted_from_then_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as recorder:
        with await recorder.allow(ATTEMPT, ALLOWED) as flow:
            for _ in range(1000):
                await flow.find([WARNING])
    assert len(read(tmp_path)) == 3
    _, facts = read(tmp_path)[-1]
    assert (facts["found"], facts["findings_left_out"]) == ({"warn": 1000}, 999)
    assert find_codes(tmp_path) == set()


async def test_a_flood_of_findings_is_bounded_and_what_blocks_is_told_all_the_same(tmp_path: Path) -> None:
    def make(number: int) -> list[ToldFinding]:
        name = b"x" * 5000 + b"%d" % number
        many = range(FINDINGS_MAX + 4)
        return [
            attrs.evolve(WARNING, place=in_header(name), value=b"%d/%d" % (number, each)) for each in many
        ]

    async with opened(tmp_path) as recorder:
        with await recorder.allow(ATTEMPT, ALLOWED, {"findings": Found(tuple(make(-1)))}) as flow:
            for number in range(RECEIPTS_MAX + 10):
                await flow.find(make(number))
            await flow.find([FINDING])
    told = read(tmp_path)
    assert len(told) == 1 + RECEIPTS_MAX + 1 + 1
    assert told[-2][0]["verdict"] == "block"
    assert told[0][1]["findings_left_out"] == 4
    assert max(map(len, (tmp_path / EVIDENCE_NAME).read_bytes().splitlines())) < 20_000
    everything = (FINDINGS_MAX + 4) * (RECEIPTS_MAX + 11)
    assert told[-1][1]["found"] == {"block": 1, "warn": everything}
    assert told[-1][1]["findings_left_out"] == everything - FINDINGS_MAX * (RECEIPTS_MAX + 1)
    assert find_codes(tmp_path) == set()


async def test_a_name_that_a_peer_chose_is_a_short_printable_word_without_what_was_found(
    tmp_path: Path,
) -> None:
    names = (b"", b"\xff\x1b[2J\n", TOKEN.upper(), b"a" * 10_000)
    findings = [attrs.evolve(WARNING, place=in_header(name, answer=True)) for name in names]
    async with opened(tmp_path) as recorder:
        with await recorder.allow(ATTEMPT, ALLOWED) as flow:
            await flow.find([*findings, attrs.evolve(WARNING, detector="\n" * 300)])
    places = [each["place"] for each in read(tmp_path)[1][1]["findings"]]
    stands = commit(COMMITMENT_KEY, "acme-token", TOKEN)
    assert places[:4] == [
        "answer header ?",
        "answer header ??[2j?",
        f"answer header {stands}",
        "answer header " + "a" * 128,
    ]
    assert find_codes(tmp_path) == set()


async def test_nothing_is_found_in_an_attempt_that_has_ended(tmp_path: Path) -> None:
    async with opened(tmp_path) as recorder:
        with await recorder.allow(ATTEMPT, ALLOWED) as flow:
            pass
        with pytest.raises(ValueError, match="has ended"):
            flow.find_nowait([WARNING])
