"""What a JUnit export says, read by a parser that no one here wrote."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import attrs
import junitparser
import pytest
from tests.evidence.specimens import Scribe
from tests.views.pictures import (
    take,
    take_broken,
    take_hostile,
    verify_unreadable,
    write_lines,
    write_packet,
)

from trio_egress.views import census
from trio_egress.views.junit import render_junit
from trio_egress.views.picture import Picture


def export(picture: Picture) -> junitparser.TestSuite:
    return read_suite("".join(render_junit(picture)))


def read_suite(text: str) -> junitparser.TestSuite:
    """The one suite; its counts are those of its cases."""
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    ElementTree.fromstring(text)
    (suite,) = junitparser.JUnitXml.fromstring(text.encode())
    assert isinstance(suite, junitparser.TestSuite)
    stated = suite.tests, suite.failures, suite.errors, suite.skipped
    suite.update_statistics()  # type: ignore[no-untyped-call]
    assert stated == (suite.tests, suite.failures, suite.errors, suite.skipped)
    return suite


def list_results(suite: junitparser.TestSuite) -> dict[str, list[str]]:
    return {case.name: [type(result).__name__ for result in case.result] for case in suite}


def test_a_destination_that_was_denied_fails(tmp_path: Path) -> None:
    suite = export(take(write_packet(tmp_path, write_lines())))
    assert list_results(suite) == {
        "the packet verifies": [],
        "dns:evil.example": ["Failure"],
        "http://api.example.com:80": ["Failure"],
        "syscall:bpf": ["Failure"],
        "tls://api.example.com:443": [],
        "tls://evil.example:443": ["Failure"],
        "udp://203.0.113.7:9999": ["Failure"],
    }
    (failure,) = next(case for case in suite if case.name == "dns:evil.example").result
    assert failure.message == "denied 20 times"
    assert failure.text == "20 x dns:evil.example: no rule allows evil.example"
    allowed = next(case for case in suite if case.name == "tls://api.example.com:443")
    assert allowed.system_out == "allowed 1; 100 bytes sent, 2000 received"
    properties = suite.properties()  # type: ignore[no-untyped-call]
    assert {one.name: one.value for one in properties}["verdict"] == "valid"


def test_a_packet_that_does_not_verify_is_an_error_before_all(tmp_path: Path) -> None:
    suite = export(take_broken(tmp_path))
    first = next(iter(suite))
    (error,) = first.result
    assert isinstance(error, junitparser.Error)
    assert error.message.startswith("THE PACKET DOES NOT VERIFY")
    assert "[chain.link]" in error.text
    assert suite.errors == 1
    assert suite.tests > 3


def test_without_a_pinned_key_the_verdict_is_skipped(tmp_path: Path) -> None:
    suite = export(take(write_packet(tmp_path, write_lines()), pinned=False))
    assert list_results(suite)["the packet verifies"] == ["Skipped"]


def test_what_a_run_only_observed_is_skipped(tmp_path: Path) -> None:
    lines = Scribe().open().allow("evil.example", layer="observe").close().lines
    assert list_results(export(take(write_packet(tmp_path, lines)))) == {
        "the packet verifies": ["Error"],
        "tls://evil.example:443": ["Skipped"],
    }


def test_whatever_stands_in_receipts_it_is_xml(tmp_path: Path) -> None:
    suite = export(take_hostile(tmp_path))
    assert any(case.name.startswith("\\x1b[31m") for case in suite)


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    assert list_results(export(verify_unreadable(tmp_path / "nowhere"))) == {"the packet verifies": ["Error"]}


def test_too_many_destinations_are_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "PLACES", 2)
    scribe = Scribe().open()
    for number in range(5):
        scribe.block(f"{number}.example")
    suite = export(take(write_packet(tmp_path, scribe.close().lines)))
    results = list_results(suite)
    assert list(results) == [
        "the packet verifies",
        "tls://0.example:443",
        "tls://1.example:443",
        "all other places",
    ]
    (failure,) = next(case for case in suite if case.name == "all other places").result
    assert failure.message == "denied 3 times"


def test_many_reasons_of_one_destination_are_bounded(tmp_path: Path) -> None:
    scribe = Scribe().open()
    for number in range(census.REASONS + 5):
        draft = scribe.draft(verdict="block", layer="path", target=f"http://a.example:80/{number}")
        scribe.append(attrs.evolve(draft, facts={**draft.facts, "reason": "x" * 2000}))
    suite = export(take(write_packet(tmp_path, scribe.close().lines)))
    (failure,) = next(case for case in suite if case.name == "http://a.example:80").result
    assert len(failure.text.splitlines()) == census.REASONS
    assert len(failure.text) < census.REASONS * (census.REASON_CHARS + 20)
    assert failure.message == f"denied {census.REASONS + 5} times"


def test_what_the_verifier_notes_is_printed_by_its_case(tmp_path: Path) -> None:
    suite = export(take(write_packet(tmp_path, Scribe().open().lines)))
    (case,) = suite
    assert case.system_out.startswith("the chain is not closed")
