"""What a scan found, as pages tell it: by what, where, what was done, and what to do about it."""

from __future__ import annotations

import pytest
from tests.evidence.found import CANARY, PHRASE, TOKEN, write_found
from tests.pages.specimens import OWN_SESSION, make_dossier, write_usual
from tests.pages.test_report import read

from trio_egress.evidence.scan_read import ReadFinding
from trio_egress.pages import story as story_module
from trio_egress.pages.dossier import Dossier
from trio_egress.pages.finds import advise_find, sort_finds
from trio_egress.pages.story import Find
from trio_egress.pages.summary import render_summary


@pytest.fixture(scope="module")
def dossier() -> Dossier:
    return make_dossier(write_found(OWN_SESSION))


def test_findings_of_one_kind_are_one_with_their_number_and_hosts(dossier: Dossier) -> None:
    told = [(find.finding.describe(), find.finding.action, find.count) for find in sort_finds(dossier.story)]
    assert told == [
        ("tags in answer body", "warn", 1),
        ("random in body", "warn", 1),
        ("acme-token in header x-api-key (base64)", "block", 1),
        ("acme-token in host", "block", 1),
        ("canary in body", "block", 1),
        ("forget-instructions in answer body", "strip", 2),
        ("acme-token in body", "suppressed", 1),
    ]
    assert dossier.story.finds_left_out == 1
    assert [len(find.values) for find in dossier.story.finds.values() if find.count > 1] == [2]


def test_what_was_cut_after_it_was_dialled_was_reached_and_denied(dossier: Dossier) -> None:
    host = dossier.story.hosts["api.example.com"]
    assert (host.allowed, host.denied) == (2, 2)
    assert dossier.story.secrets == {}


def test_a_page_says_first_what_was_found_and_what_to_do(dossier: Dossier) -> None:
    _, text = read(dossier)
    assert text.index("Found in what passed") < text.index("first receipt to the last")
    assert "acme-token in header x-api-key (base64)" in text
    assert "2 × stripped" in text
    assert "1 message could not be looked into and went on: an unknown coding" in text
    assert "It did not get there. See how the agent came by it" in text
    assert "A value that was planted was about to leave" in text
    assert "The agent did not get it. Look at the source" in text
    assert "it was stopped for what was found in it" in text
    assert "Found in what passed" not in read(make_dossier(write_usual()))[1]


def test_a_summary_has_a_row_for_each(dossier: Dossier) -> None:
    text = render_summary(dossier).decode()
    row = next(line for line in text.splitlines() if "forget-instructions" in line)
    assert "2 times stripped, 2 values: docs.example.com" in row
    assert "**Not looked through** 1 message `an unknown coding`" in text
    assert "Found in what passed" not in render_summary(make_dossier(write_usual())).decode()


def test_no_page_has_anything_of_what_was_found(dossier: Dossier) -> None:
    for text in (read(dossier)[1].encode(), render_summary(dossier)):
        for value in (TOKEN, CANARY, PHRASE):
            assert value.lower() not in text.lower()


@pytest.mark.parametrize(
    ("kind", "place", "action", "said"),
    [
        ("secret", "body", "warn", "It left: replace the credential now"),
        ("exact", "target", "warn", "It left: replace the credential now"),
        ("secret", "body", "suppressed", "see that its reason still holds"),
        ("secret", "answer body", "warn", "came in an answer"),
        ("canary", "body", "warn", "A value that was planted left"),
        ("hidden", "answer body", "warn", "The agent read it"),
        ("instruction", "body", "warn", "The agent passes on text"),
        ("entropy", "body", "warn", "see what it is"),
    ],
)
def test_what_to_do_follows_from_what_was_done(kind: str, place: str, action: str, said: str) -> None:
    finding = ReadFinding("d", kind, place, (), action, "high", f"[d:{'0' * 32}]", 1)
    assert said in advise_find(Find(finding, {}))


def test_a_flood_of_kinds_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story_module, "FINDS", 2)
    story = make_dossier(write_found(OWN_SESSION)).story
    assert len(story.finds) == 2
    assert sum(find.count for find in story.finds.values()) + story.finds_left_out == 9
