"""Findings on their way into a receipt: never their text, always a receipt that can be signed."""

from __future__ import annotations

import base64
import json
import os
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evidence.found import KNOWN, SECRET, TOKEN
from tests.evidence.specimens import KEY, SESSION, START_NS, codes, replay

from trio_egress.content.detector import Severity
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.receipt import Draft, uuid7
from trio_egress.evidence.redact import Redactor
from trio_egress.evidence.scan_facts import (
    Found,
    ToldFinding,
    in_body,
    in_header,
    in_trailer,
    tell_findings,
)
from trio_egress.evidence.scan_form import ACTIONS, FINDINGS_MAX, HOST, KINDS, SEVERITIES, TARGET, is_place
from trio_egress.model import Action, Kind

COMMIT = Redactor(b"c" * 32).commit_value
STANDS = COMMIT("acme-token", TOKEN)


def make_draft(*findings: ToldFinding, target: str = "https://a.example:443/", **facts: object) -> Draft:
    told = {"host": "a.example", "port": 443, **facts, "findings": Found(findings)}
    action_id = uuid7(START_NS, os.urandom(10))
    return Draft(action_id, target, "block", "intercept", layer="scan", facts=told)


def test_the_words_are_those_of_the_scanner() -> None:
    assert set(KINDS) == {kind.value for kind in Kind}
    assert set(SEVERITIES) == {severity.value for severity in Severity}
    assert set(ACTIONS) == {action.value for action in Action} - {"off"} | {"suppressed"}


@pytest.mark.parametrize("answer", [False, True])
def test_every_place_is_one(answer: bool) -> None:
    named = [in_header(b"X-Y", answer=answer), in_trailer(b"grpc-status", answer=answer)]
    places = [*named, in_body(answer=answer), HOST, TARGET]
    assert all(map(is_place, places))
    assert not is_place("answer host")


@pytest.mark.parametrize(
    "spelt",
    [
        TOKEN.decode(),
        TOKEN.decode().upper(),
        quote(TOKEN.decode(), safe="").replace("_", "%5F"),
        TOKEN.hex(),
        base64.b64encode(TOKEN).decode().rstrip("="),
        base64.urlsafe_b64encode(b"x" + TOKEN).decode(),
        quote(quote(TOKEN.decode(), safe="").replace("_", "%5f")),
        f"{TOKEN.decode()[:9]}.{TOKEN.decode()[9:]}",
    ],
)
def test_in_every_usual_spelling_the_commitment_stands_for_it(spelt: str) -> None:
    target = f"https://a.example:443/v1/{spelt}/x"
    told = tell_findings(make_draft(SECRET, target=target, query=["a", spelt], deep={spelt: [spelt]}), COMMIT)
    texts = json.dumps([told.target, told.facts])
    assert STANDS in told.target
    assert told.facts["query"][1].count(STANDS) == 1  # type: ignore[index]
    assert told.replaced["acme-token"] >= 4
    assert spelt not in texts


def test_in_an_odd_spelling_what_the_scanner_saw_is_replaced_piece_by_piece() -> None:
    half = len(TOKEN) // 2
    pieces = (TOKEN[:half][::-1], TOKEN[half:][::-1])
    finding = attrs.evolve(SECRET, place=HOST, spelt=pieces)
    host = b".".join((*pieces, b"evil.example")).decode().lower()
    told = tell_findings(make_draft(finding, target=f"dns:{host}", host=host), COMMIT)
    assert told.target == f"dns:{STANDS}.{STANDS}.evil.example"
    assert told.facts["host"] == f"{STANDS}.{STANDS}.evil.example"


def test_in_a_text_with_a_long_value_in_an_odd_spelling_nothing_is_told() -> None:
    value = TOKEN * 20
    finding = attrs.evolve(SECRET, value=value)
    target = "https://a.example:443/" + value.decode().replace("_", "%5F")
    told = tell_findings(make_draft(finding, target=target), COMMIT)
    assert told.target == COMMIT("acme-token", value)


def test_what_is_short_is_replaced_nowhere() -> None:
    finding = attrs.evolve(SECRET, value=b"ab", spelt=(b"ab",))
    assert tell_findings(make_draft(finding, target="tab"), COMMIT).target == "tab"


def test_a_draft_without_findings_is_the_same_and_telling_twice_is_telling_once() -> None:
    told = tell_findings(make_draft(SECRET), COMMIT)
    assert tell_findings(told, COMMIT) is told


def test_the_gravest_comes_first_and_equal_ones_are_one() -> None:
    warned = attrs.evolve(SECRET, action="warn")
    told = tell_findings(make_draft(KNOWN, warned, SECRET, warned), COMMIT)
    findings: Any = told.facts["findings"]
    assert [(each["action"], each["count"]) for each in findings] == [
        ("block", 1),
        ("warn", 2),
        ("suppressed", 1),
    ]
    assert (told.pattern, told.severity) == ("acme-token", "critical")


def test_a_secret_of_the_policy_in_a_name_is_replaced_and_the_receipt_stays_one() -> None:
    policy_secret = b"hunter2-and-more"
    redactor = Redactor(b"c" * 32, {"api-token": policy_secret, "odd": b"acme-token"})
    name = b"x-" + policy_secret * 7
    finding = attrs.evolve(SECRET, place=in_header(name), action="block")
    chain = Chain(KEY, SESSION, redactor)
    lines = [chain.open(START_NS), chain.append(make_draft(finding), START_NS)]
    assert codes(replay(lines)) == []
    assert policy_secret not in lines[1]
    (told,) = json.loads(lines[1])["ext"]["trio_egress"]["findings"]
    assert told["place"].startswith("header x-[api-token:")
    assert told["detector"] == "acme-token"


_NAMES = st.binary(max_size=200) | st.sampled_from([TOKEN, TOKEN * 30, b"\\" * 300])
_FINDINGS = st.builds(
    ToldFinding,
    kind=st.sampled_from(KINDS),
    detector=st.text(max_size=200),
    place=st.builds(in_header, _NAMES) | st.text(max_size=40),
    action=st.sampled_from(ACTIONS),
    severity=st.sampled_from(SEVERITIES),
    via=st.lists(st.text(max_size=60), max_size=12).map(tuple),
    value=st.binary(max_size=60) | st.just(TOKEN),
    spelt=st.lists(st.binary(max_size=30), max_size=3).map(tuple),
    count=st.integers(1, 1000),
)


@given(
    st.lists(_FINDINGS, min_size=1, max_size=FINDINGS_MAX + 3),
    st.lists(st.text(max_size=40) | st.just(TOKEN.decode()), max_size=300),
    st.text(st.characters(exclude_categories=[]), max_size=300),
)
def test_whatever_is_found_and_wherever_its_receipt_is_one(
    findings: list[ToldFinding], names: list[str], target: str
) -> None:
    chain = Chain(KEY, SESSION, Redactor(b"c" * 32, {"token": TOKEN}))
    draft = make_draft(*findings, target=target, query=names, reason=target)
    if all(finding.action not in ("block", "strip") for finding in findings):
        draft = attrs.evolve(draft, layer="path")
    lines = [chain.open(START_NS), chain.append(draft, START_NS)]
    assert codes(replay(lines)) == []
    assert TOKEN not in lines[1]
