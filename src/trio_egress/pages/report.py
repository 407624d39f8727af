"""report.html: the whole of one run on one page, for whoever has to say whether it was all right.

One file without a script, whose own policy (CSP) lets it load and send nothing; read offline, on a phone, on paper.

Rule 1: the verdict comes first, in a sentence; a page in a packet says that it is the run's own word.
Rule 2: under PAGE_BYTES, whatever the run did: each list has a bound, and says what it leaves out.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping

from trio_egress import __version__
from trio_egress.pages.commands import render_command
from trio_egress.pages.dossier import Dossier
from trio_egress.pages.finds import is_urgent, render_finds
from trio_egress.pages.ground import (
    render_books,
    render_boundary,
    render_findings,
    render_pairs,
    render_points,
    render_policy,
    render_record,
)
from trio_egress.pages.markup import Content, Html, code, raw_style, render, show, tag
from trio_egress.pages.style import CSS
from trio_egress.pages.traffic import render_contacts, render_denials, render_section, render_times
from trio_egress.pages.verdicts import Standing, find_standing, tell_end, tell_run
from trio_egress.pages.words import render_bytes, render_count, render_moment, render_seconds

PAGE_BYTES = 1_000_000
_STYLE_HASH = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
CONTENT_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
_SHAPES = {
    "check": "M3 10l5 5L17 4",
    "ring": "M10 3a7 7 0 1 0 .01 0",
    "eye": "M1.5 10c4-7 13-7 17 0c-4 7-13 7-17 0M10 7.5a2.5 2.5 0 1 0 .01 0",
    "torn": "M3 17V3h14v9l-3.5-2.5L10 13l-3.5-2.5z",
    "cross": "M4 4l12 12M16 4L4 16",
}


def render_report(dossier: Dossier) -> bytes:
    """The page, as UTF-8."""
    body = tag(
        "body",
        tag(
            "div",
            _render_header(dossier),
            tag("main", *(_SECTIONS[name](dossier) for name in _order_sections(dossier))),
            tag(
                "footer",
                f"Made by trio-egress {__version__} from evidence.jsonl. It runs no script and loads nothing.",
            ),
            class_="sheet",
        ),
    )
    page = tag("html", _render_head(dossier), body, lang="en")
    return f"<!DOCTYPE html>\n{render(page)}\n".encode()


def _render_head(dossier: Dossier) -> Html:
    run = show(dossier.report.run_id, 60)
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{find_standing(dossier).word}: trio-egress run {run}".strip()),
        raw_style(CSS),
    )


def _render_header(dossier: Dossier) -> Html:
    standing = find_standing(dossier)
    started = render_moment(dossier.report.started_at)
    return tag(
        "header",
        tag(
            "p",
            tag("span", tag("b", "trio-egress"), " run report"),
            tag("span", started or "no receipt"),
            class_="kicker",
        ),
        _render_alarm(dossier),
        tag(
            "div",
            tag(
                "div",
                tag("p", _draw(standing), standing.word, class_=f"standing {standing.tone}"),
                tag("h1", tell_run(dossier)),
                tag("p", standing.worth, class_="worth"),
                tag("p", _tell_whose(dossier), class_="claim"),
            ),
            _render_facts(dossier),
            class_="hero",
        ),
        _render_figures(dossier),
        tag(
            "nav",
            tag(
                "ul",
                *(tag("li", tag("a", name.title(), href=f"#{name}")) for name in _order_sections(dossier)),
            ),
            aria_label="Sections",
        ),
    )


def _draw(standing: Standing) -> Html:
    return tag("svg", tag("path", d=_SHAPES[standing.shape]), viewBox="0 0 20 20", aria_hidden="true")


def _render_alarm(dossier: Dossier) -> Html | None:
    if not dossier.observed:
        return None
    words = (
        "Everything but private addresses was let through, whatever the policy says. What is marked below as let "
        "through would have been denied."
    )
    return tag(
        "p", tag("strong", "OBSERVED, NOT ENFORCED"), tag("span", words), class_="alarm warn", role="note"
    )


def _tell_whose(dossier: Dossier) -> Content:
    if dossier.claimed:
        return [
            "This is the run’s own word, written when it ended. A page proves nothing: ",
            tag("a", "verify the packet", href="#verify"),
            " with a key that you had before.",
        ]
    return [
        "This is the verdict of ",
        code("trio-egress verify"),
        ", which checked every line of the evidence.",
    ]


def _render_figures(dossier: Dossier) -> Html:
    story, report = dossier.story, dossier.report
    unexplained = report.balance.unexplained if report.balance else None
    figures = [
        ("hosts reached", render_count(len(story.reached)) + ("+" if story.others.allowed else "")),
        ("attempts allowed", render_count(story.allowed)),
        ("attempts denied", render_count(story.denied)),
        *([("let through, only observed", render_count(story.observed))] if dossier.observed else []),
        ("sent", render_bytes(story.bytes_up)),
        ("received", render_bytes(story.bytes_down)),
        ("books kept", "none")
        if unexplained is None
        else ("not explained by receipts", render_count(unexplained)),
    ]
    return tag(
        "dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in figures), class_="figures"
    )


def _render_facts(dossier: Dossier) -> Html:
    """Which run this is, in four lines."""
    story, report = dossier.story, dossier.report
    lasted = render_seconds(story.ended_ns - story.started_ns)
    agent = show(story.actor or dossier.part("run").get("agent_identity"), 60)
    path = show(dossier.part("policy").get("config_path"), 120)
    pairs: list[tuple[str, Content]] = [
        ("Agent", [code(agent), f", {tell_end(dossier)}"] if agent else tell_end(dossier)),
        ("When", f"{render_moment(report.started_at)}, {lasted}" if report.started_at else None),
        ("Policy", code(path.rpartition("/")[2]) if path else None),
        ("Run", code(report.run_id) if report.run_id else None),
    ]
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value),
        class_="facts",
    )


def _render_verify(dossier: Dossier) -> Html:
    report = dossier.report
    return render_section(
        "verify",
        "Verify",
        "offline, on any system, as nobody in particular",
        tag(
            "p",
            "In the packet’s directory, with the public key from a place that you trust, and not from the packet:",
        ),
        tag("pre", code(render_command(report)), class_="command"),
        render_pairs(
            [
                ("Exit code 0", "valid, signed by your key, and the run that this page is of"),
                ("1", "invalid: it says what is wrong, and where"),
                ("2", "it could not be read"),
                ("3", "nothing wrong, but not proven: no key was pinned, or the end is missing"),
            ]
        ),
        [tag("h3", "Not proven"), render_points(list(report.not_proven))] if report.not_proven else None,
    )


_SECTIONS: Mapping[str, Callable[[Dossier], Html]] = {
    "timeline": render_times,
    "contacted": render_contacts,
    "denied": render_denials,
    "found": render_finds,
    "findings": render_findings,
    "boundary": render_boundary,
    "books": render_books,
    "policy": render_policy,
    "record": render_record,
    "verify": _render_verify,
}


def _order_sections(dossier: Dossier) -> list[str]:
    """What the verifier found, secrets in attempts, and what a scan found go before all else that the record says."""
    story = dossier.story
    names = [name for name in _SECTIONS if name != "found" or story.finds or story.unscanned]
    checked = dossier.report.finding_count or any(each.urgent for each in story.secrets.values())
    first = [*(["findings"] if checked else []), *(["found"] if is_urgent(story) else [])]
    return sorted(names, key=lambda name: first.index(name) if name in first else len(first))
