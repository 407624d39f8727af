"""What a scan found, in every view: by detector, place and what was done, and never its text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from tests.evidence.found import CANARY, PHRASE, TOKEN, write_found
from tests.evidence.specimens import KEY, Receipt, rewrite
from tests.views.pictures import HOSTILE, RULED, take, write_lines, write_packet
from tests.views.test_junit import export as export_junit
from tests.views.test_junit import list_results as list_cases
from tests.views.test_ocsf import export as export_ocsf
from tests.views.test_sarif import export as export_sarif
from tests.views.test_sarif import list_results, schema

from trio_egress.evidence.attempts import Attempt
from trio_egress.views import sarif
from trio_egress.views.catalogue import read_entry
from trio_egress.views.compare import Change, Subject, compare, read_run
from trio_egress.views.junit import render_junit
from trio_egress.views.lines import describe_attempt, leave_plain, render_attempt
from trio_egress.views.ocsf import render_ocsf
from trio_egress.views.picture import Picture
from trio_egress.views.sarif import render_sarif
from trio_egress.views.watching import Watching

__all__ = ["schema"]

TEXTS = (TOKEN, CANARY, PHRASE, TOKEN.replace(b"_", b"-"))


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return write_found(RULED)


@pytest.fixture
def picture(tmp_path: Path, lines: list[bytes]) -> Picture:
    return take(write_packet(tmp_path, lines))


def test_an_attempt_has_what_was_found_before_it_and_in_it(picture: Picture) -> None:
    told = [[(each.detector, each.action, each.count) for each in one.findings] for one in picture.attempts()]
    assert told == [
        [("acme-token", "block", 1)],
        [("forget-instructions", "strip", 2), ("tags", "warn", 1)],
        [("random", "warn", 1), ("acme-token", "suppressed", 1)],
        [("canary", "block", 1)],
        [("acme-token", "block", 1)],
    ]


def test_a_line_says_it_once_and_not_what_is_suppressed(picture: Picture) -> None:
    shown = [render_attempt(attempt).split("  ", 5)[-1] for attempt in picture.attempts()]
    assert shown[0].endswith("/v1/a  acme-token was found in header x-api-key")
    assert shown[1].endswith(
        "found forget-instructions in answer body, stripped; tags in answer body, let through"
    )
    assert shown[2].endswith("; found random in body, let through; not looked through: an unknown coding")
    assert shown[3].endswith("canary was found; found canary in body, blocked")
    described = [describe_attempt(attempt)["findings"] for attempt in picture.attempts()]
    assert described[0] == [
        {
            "detector": "acme-token",
            "kind": "secret",
            "place": "header x-api-key",
            "via": ["base64"],
            "action": "block",
            "severity": "critical",
            "commitment": _commitment(picture),
            "count": 1,
        }
    ]


def _commitment(picture: Picture) -> str:
    return next(picture.attempts()).findings[0].commitment


def test_many_finds_are_three_and_a_number(picture: Picture) -> None:
    attempt = list(picture.attempts())[1]
    many = tuple(attrs.evolve(attempt.findings[0], detector=f"d{number}") for number in range(9))
    assert render_attempt(Attempt(attempt.first, attempt.outcome, many)).endswith(
        "found d0 in answer body, stripped; d1 in answer body, stripped; d2 in answer body, stripped; and 6 more"
    )


def test_a_watcher_hears_of_a_find_when_it_is_made(lines: list[bytes]) -> None:
    watching = Watching(leave_plain, {KEY.public_hex: None})
    said = [one for line in lines for one in watching.feed(line[:-1])]
    found = [one for one in said if one.members["event"] == "found"]
    assert [one.members["verdict"] for one in found] == ["strip", "warn", "block"]
    assert (
        found[0]
        .line.split("  ", 2)[-1]
        .split("  ", 1)[1]
        .endswith(
            "found    GET https://docs.example.com:443/page  forget-instructions in answer body, stripped; "
            "forget-instructions in answer body, stripped"
        )
    )
    assert found[0].members["action_id"] == said[2].members["action_id"]
    assert said[-1].line.startswith("closed: exited; 3 let out, 3 denied")


def test_sarif_has_a_rule_for_each_detector_at_the_policys_line(
    picture: Picture, schema: Draft202012Validator
) -> None:
    log = export_sarif(picture)
    assert list(schema.iter_errors(log)) == []
    name = picture.place
    assert [(rule, level) for rule, level, *_ in list_results(log)] == [
        ("found/acme-token", "error"),
        ("found/forget-instructions", "warning"),
        ("found/tags", "warning"),
        ("found/random", "note"),
        ("found/acme-token", "note"),
        ("found/canary", "error"),
        ("found/acme-token", "error"),
    ]
    assert {(file, line) for *_, file, line in list_results(log)} == {(f"{name}/policy.toml", 4)}
    results = log["runs"][0]["results"]
    assert results[1]["occurrenceCount"] == 2
    assert results[1]["message"]["text"].startswith(
        "forget-instructions in answer body, stripped (2 times): GET "
    )
    assert ["suppressions" in result for result in results].index(True) == 4
    assert sum("suppressions" in result for result in results) == 1


def test_sarif_knows_a_find_again_in_another_run(tmp_path: Path, picture: Picture) -> None:
    def fingerprints(one: Picture) -> list[Mapping[str, str]]:
        return [result["partialFingerprints"] for result in export_sarif(one)["runs"][0]["results"]]

    again = attrs.evolve(RULED, run_id="another", run_nonce="dd" * 16)
    other = take(write_packet(tmp_path / "other", write_found(again)))
    assert fingerprints(picture) == fingerprints(other)
    assert len({str(each) for each in fingerprints(picture)}) == 7


def test_more_finds_than_github_takes_are_counted(
    picture: Picture, monkeypatch: pytest.MonkeyPatch, schema: Draft202012Validator
) -> None:
    monkeypatch.setattr(sarif, "RESULTS", 3)
    log = export_sarif(picture)
    assert [rule for rule, *_ in list_results(log)] == [
        *("found/acme-token", "found/forget-instructions"),
        "evidence/left-out",
    ]
    assert "5 more denials and finds" in log["runs"][0]["results"][-1]["message"]["text"]


def test_ocsf_has_an_event_of_its_own_for_each(picture: Picture) -> None:
    events = export_ocsf(picture)
    found: list[dict[str, Any]] = [event for event in events if event["class_uid"] in (2004, 2006)]
    told = [(event["class_uid"], event["severity"], event["action"], event["status"]) for event in found]
    assert told == [
        (2006, "Critical", "Denied", "New"),
        (2004, "Medium", "Modified", "New"),
        (2004, "Medium", "Observed", "New"),
        (2006, "Low", "Observed", "New"),
        (2006, "Critical", "Allowed", "Suppressed"),
        (2006, "Critical", "Denied", "New"),
        (2006, "Critical", "Denied", "New"),
    ]
    assert found[0]["unmapped"]["place"] == "header x-api-key"
    assert found[0]["metadata"]["sequence"] == events[0]["metadata"]["sequence"]
    uids = [event["metadata"]["uid"] for event in events]
    assert len(set(uids)) == len(uids)


def test_junit_tells_it_where_it_was_found(picture: Picture) -> None:
    suite = export_junit(picture)
    cases = list_cases(suite)
    assert (cases["https://api.example.com:443"], cases["https://docs.example.com:443"]) == (["Failure"], [])
    told = {case.name: case.system_out for case in suite}
    assert "found 2 x forget-instructions in answer body, stripped" in str(
        told["https://docs.example.com:443"]
    )
    assert "found 1 x random in body, let through" in str(told["https://api.example.com:443"])


def test_a_find_that_the_other_run_had_not_is_a_difference(tmp_path: Path, lines: list[bytes]) -> None:
    old, new = (
        read_run(write_packet(tmp_path / name, told))
        for name, told in (("old", write_lines()), ("new", lines))
    )
    found = [change for change in compare(old, new) if change.subject is Subject.FINDINGS]
    place = "https://docs.example.com:443"
    words = ["forget-instructions in answer body, stripped", "tags in answer body, let through"]
    assert Change(Subject.FINDINGS, place, [], words) in found
    less = {**new.places, place: attrs.evolve(new.places[place], found=type(new.places[place].found)())}
    (change,) = (
        each for each in compare(new, attrs.evolve(new, places=less)) if each.subject is Subject.FINDINGS
    )
    assert (change.old, change.new) == (words, [])


def test_a_listing_counts_attempts_and_not_what_was_found_in_them(tmp_path: Path, lines: list[bytes]) -> None:
    entry = read_entry(write_packet(tmp_path, lines))
    assert (entry.allowed, entry.denied) == (3, 3)


def test_no_view_has_anything_of_what_was_found(picture: Picture, lines: list[bytes]) -> None:
    views = ["".join(render(picture)) for render in (render_sarif, render_ocsf, render_junit)]
    views += [render_attempt(attempt) for attempt in picture.attempts()]
    views += [json.dumps(describe_attempt(attempt)) for attempt in picture.attempts()]
    watching = Watching(leave_plain)
    views += [json.dumps(one.members) + one.line for line in lines for one in watching.feed(line[:-1])]
    assert [text for text in TEXTS for view in views if text.decode().lower() in view.lower()] == []


def test_whatever_a_dishonest_signer_calls_a_detector_every_view_is_sound(
    tmp_path: Path, lines: list[bytes], schema: Draft202012Validator
) -> None:
    hostile = HOSTILE.replace("\ud800", "")

    def change(receipt: Receipt) -> None:
        ext = receipt["ext"]
        assert isinstance(ext, dict)
        for finding in ext["trio_egress"]["findings"]:
            finding.update(detector=hostile, via=[hostile] * 3)

    told = [index for index, line in enumerate(lines) if b'"findings":' in line]
    bad = take(write_packet(tmp_path, rewrite(lines, dict.fromkeys(told, change))))
    assert list(schema.iter_errors(export_sarif(bad))) == []
    export_ocsf(bad)
    export_junit(bad)
    for attempt in bad.attempts():
        assert render_attempt(attempt).isascii()
        assert render_attempt(attempt).isprintable()
