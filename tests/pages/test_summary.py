"""summary.md: a screen, and inert: rendered by GitHub's own renderer, what others chose is code."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import cmarkgfm
import html5lib
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evidence.specimens import rewrite, setting
from tests.pages.specimens import (
    HOSTILE,
    begin,
    deny,
    make_dossier,
    write_hostile,
    write_huge,
    write_messages,
    write_usual,
)

from trio_egress.pages.dossier import Dossier
from trio_egress.pages.summary import ROWS, SUMMARY_BYTES, render_summary

OURS = {"h1", "h2", "p", "strong", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
"""The elements that a summary is made of."""


def write(dossier: Dossier) -> str:
    return render_summary(dossier).decode()


def show(markdown: str) -> ElementTree.Element:
    """As a page of GitHub shows it, raw HTML let through: nothing may hang on its being filtered."""
    html = cmarkgfm.github_flavored_markdown_to_html(markdown, options=Options.CMARK_OPT_UNSAFE)
    tree: ElementTree.Element = html5lib.parse(html, namespaceHTMLElements=False)
    body = tree.find("body")
    assert body is not None
    return body


def names(body: ElementTree.Element) -> set[str]:
    return {str(element.tag) for element in body.iter()} - {"body"}


def texts(body: ElementTree.Element, name: str) -> list[str]:
    return ["".join(element.itertext()).strip() for element in body.iter(name)]


def test_a_summary_says_the_verdict_who_was_contacted_and_what_was_denied() -> None:
    dossier = make_dossier(write_usual())
    markdown = write(dossier)
    body = show(markdown)
    assert texts(body, "h1") == ["trio-egress: The agent reached 2 hosts; 22 attempts were denied."]
    assert texts(body, "h2") == ["Contacted", "Denied"]
    cells = texts(body, "td")
    assert cells[:5] == ["api.example.com", "1", "0", "738 B", "1.4 KiB"]
    assert "evil.example" in cells
    assert "20" in cells
    assert 'destination = "evil.example"' in markdown
    assert "unexplained 0" in markdown
    assert "--public-key KEY.pub" in markdown
    assert dossier.report.head in markdown
    assert len(markdown.splitlines()) < 60
    assert names(body) <= OURS


def test_messages_over_standard_streams_are_no_hosts() -> None:
    body = show(write(make_dossier(write_messages())))
    assert texts(body, "h1") == [
        "trio-egress: The agent reached nothing; 1 attempt was denied. 3 messages went by."
    ]
    assert texts(body, "h2") == ["Contacted", "Said", "Denied"]
    assert texts(body, "td")[:5] == ["mcp:tools/call:look", "2", "0", "140 B", "60 B"]


def test_a_summary_of_nothing_says_so() -> None:
    text = write(make_dossier(begin().close().lines))
    assert "The agent sent nothing out and was denied nothing." in text
    assert "Nothing was contacted." in text
    assert "Nothing was denied." in text
    assert "did not end by itself" in text


def test_each_weak_verdict_is_said_in_the_first_lines() -> None:
    whole = write_usual()
    first = {
        "no key was pinned": make_dossier(whole, pinned=False),
        "no proven end": make_dossier(whole[:4]),
        "does not hold together": make_dossier(rewrite(whole, {3: setting("verdict", "x")})),
        "OBSERVED, NOT ENFORCED": make_dossier(begin().allow(layer="observe").close().lines),
    }
    for sentence, dossier in first.items():
        assert sentence in "".join(write(dossier).splitlines()[:5])
    assert "member.type" in write(first["does not hold together"])
    assert "the run's own word" not in write(make_dossier(whole, claimed=False))


def test_a_long_table_is_cut_and_says_by_how_much() -> None:
    scribe = begin()
    for number in range(ROWS + 3):
        scribe.block(f"h{number}.example").allow(f"a{number}.example")
    text = write(make_dossier(scribe.close().lines))
    assert text.count("… and 3 more: see report.html.") == 2
    assert len(text.splitlines()) < 90


def test_a_huge_run_stays_under_the_limit() -> None:
    assert len(render_summary(make_dossier(write_huge(2000)))) < SUMMARY_BYTES // 4


def test_books_that_do_not_balance_show_the_row() -> None:
    scribe = begin().allow()
    scribe.redirected += 3
    text = write(make_dossier(scribe.close().lines))
    assert "| TCP connections to the outside | 4 | 1 | +3 |" in text


@pytest.mark.parametrize("finding", [False, True])
def test_what_others_chose_makes_nothing_but_code(finding: bool) -> None:
    lines = write_hostile()
    if finding:
        lines = rewrite(lines, {1: setting("actor", HOSTILE), 2: setting("verdict", HOSTILE)})
    markdown = write(make_dossier(lines))
    body = show(markdown)
    assert names(body) <= OURS
    for element in body.iter():
        if element.tag not in ("code",):
            own = (element.text or "") + "".join(child.tail or "" for child in element)
            assert not re.search(r"evil|octocat|script|yyy", own), own
    assert all(c.isprintable() or c == "\n" for c in markdown)
    assert len(markdown.encode()) < SUMMARY_BYTES


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="`|\\[]()<>!#*_~\n -=:@&;ab1.\t\u202e", max_size=40))
def test_no_text_of_markdown_becomes_more_than_code(text: str) -> None:
    marked = f"zqz{text}zqz"
    facts = {"host": marked, "port": 443, "proto": marked, "reason": marked, "connection": 1}
    scribe = deny(begin(), target=marked, facts=facts)
    scribe.allow(marked, facts=facts)
    markdown = write(make_dossier(scribe.close().lines))
    body = show(markdown)
    assert names(body) <= OURS
    assert [len(row) for row in body.iter("tr")][:2] == [5, 5]
    outside = [(e.text or "") + "".join(c.tail or "" for c in e) for e in body.iter() if e.tag != "code"]
    assert not any("zqz" in said for said in outside)
    assert texts(body, "h2") == ["Contacted", "Denied"]
