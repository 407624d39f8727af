"""summary.md: one run on one screen, for a step summary of CI and for whoever reads a terminal.

Rule 1: what an agent, a peer or a packet chose stands as inert code: it makes no link, mention, heading, row or markup.
Rule 2: under SUMMARY_BYTES, whatever the run did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trio_egress.evidence.balance import COUNTERS
from trio_egress.evidence.report import render_balance
from trio_egress.pages.commands import render_command
from trio_egress.pages.dossier import Dossier
from trio_egress.pages.finds import advise_find, describe_find, sort_finds
from trio_egress.pages.ground import list_secrets
from trio_egress.pages.markup import show
from trio_egress.pages.story import Denial, Host
from trio_egress.pages.traffic import describe_kind, name_target, show_lines, sort_denials
from trio_egress.pages.verdicts import find_standing, tell_end, tell_run
from trio_egress.pages.words import count_of, render_bytes, render_moment, render_seconds

SUMMARY_BYTES = 60_000
"""GitHub cuts a step's summary at 1 MiB; other places take 64 KiB."""

ROWS = 10
"""Rows of a table: more would not fit a screen."""

RULES = 6
FINDINGS = 10
_CELL_CHARS = 120


def render_summary(dossier: Dossier) -> bytes:
    """The Markdown (GFM) of one run, as UTF-8."""
    lines = [
        *_render_head(dossier),
        *_render_findings(dossier),
        *_render_secrets(dossier),
        *_render_finds(dossier),
        *_render_unscanned(dossier),
        *_render_contacts(dossier),
        *_render_denials(dossier),
        *_render_books(dossier),
        *_render_record(dossier),
    ]
    return "\n".join(lines).encode()


def _render_head(dossier: Dossier) -> Iterator[str]:
    standing = find_standing(dossier)
    yield f"# trio-egress: {tell_run(dossier)}"
    yield ""
    if dossier.observed:
        yield "**OBSERVED, NOT ENFORCED:** everything but private addresses was let through, whatever the policy says."
        yield ""
    whose = (
        "This is the run's own word: verify it with a key that you had before."
        if dossier.claimed
        else "This is the verdict of `trio-egress verify`."
    )
    yield f"**{standing.word}.** {standing.worth} {whose}"


def _render_findings(dossier: Dossier) -> Iterator[str]:
    report = dossier.report
    for finding in report.findings[:FINDINGS]:
        yield ""
        yield f"- **{finding.code}** {_code(finding.message, 300)}"
    left = report.finding_count - min(FINDINGS, len(report.findings))
    if left > 0:
        yield ""
        yield f"… and {count_of(left, 'more finding')}."


def _render_secrets(dossier: Dossier) -> Iterator[str]:
    for name, words in list_secrets(dossier):
        yield ""
        yield f"**Secret** {_code(name)} {_code(words, 300)}"


def _render_finds(dossier: Dossier) -> Iterator[str]:
    """Only where something was found."""
    finds = sort_finds(dossier.story)
    if finds:
        yield from _render_table(
            "Found in what passed",
            ("what", "severity", "done", "what to do"),
            [
                (
                    _code(find.finding.describe()),
                    find.finding.severity,
                    _code(describe_find(find), 200),
                    advise_find(find),
                )
                for find in finds[:ROWS]
            ],
            len(finds) - ROWS,
            "",
        )


def _render_unscanned(dossier: Dossier) -> Iterator[str]:
    for reason, times in dossier.story.unscanned.items():
        yield ""
        yield f"**Not looked through** {count_of(times, 'message')} {_code(reason, 300)}"


def _render_contacts(dossier: Dossier) -> Iterator[str]:
    reached = dossier.story.reached
    yield from _render_table(
        "Contacted",
        ("host", "allowed", "denied", "sent", "received"),
        [_contact(host) for host in reached[:ROWS]],
        len(reached) - ROWS,
        "Nothing was contacted.",
    )
    if missed := dossier.story.missed:
        left = f" and {len(missed) - ROWS:,} more" if len(missed) > ROWS else ""
        yield ""
        yield f"**Allowed, and not reached:** {', '.join(map(_code, missed[:ROWS]))}{left}"
    if said := dossier.story.said:
        yield from _render_table(
            "Said",
            ("message", "allowed", "denied", "sent", "answered"),
            [_contact(host) for host in said[:ROWS]],
            len(said) - ROWS,
            "",
        )


def _contact(host: Host) -> tuple[str, ...]:
    sent, received = render_bytes(host.bytes_up), render_bytes(host.bytes_down)
    return _code(host.name), f"{host.allowed:,}", f"{host.denied:,}", sent, received


def _render_denials(dossier: Dossier) -> Iterator[str]:
    denials = sort_denials(dossier.story)
    title = "Denied" if not dossier.observed else "Denied, or let through against the policy"
    yield from _render_table(
        title,
        ("what", "", "times", "why"),
        [_denial(denial) for denial in denials[:ROWS]],
        len(denials) - ROWS,
        "Nothing was denied.",
    )
    advices = (dossier.advise(denial) for denial in denials[:ROWS])
    rules = list(dict.fromkeys(advice.rule for advice in advices if advice.rule))
    if rules:
        yield ""
        yield "The smallest rules that would have let them through; it is no advice to add any:"
        yield ""
        yield "```toml"
        yield from (show_lines(rule) for rule in rules[:RULES])
        yield "```"
        if len(rules) > RULES:
            yield ""
            yield f"… and {count_of(len(rules) - RULES, 'more rule')}: see report.html."


def _denial(denial: Denial) -> tuple[str, ...]:
    word = " (let through)" if denial.observed else ""
    times = f"{denial.count:,}{word}"
    return _code(name_target(denial)), _code(describe_kind(denial)), times, _code(denial.facts.get("reason"))


def _render_books(dossier: Dossier) -> Iterator[str]:
    """One line, and the rows that do not balance."""
    report = dossier.report
    yield ""
    if not report.close_reason:
        yield "**Books:** none, as the chain is not closed."
        return
    yield f"**Books:** {render_balance(report.balance)}."
    rows = [row for row in (report.balance.rows if report.balance else ()) if row.unexplained]
    if rows:
        yield ""
        yield from _render_rows(
            ("counted by the kernel", "times", "in receipts", "unexplained"),
            [(COUNTERS[r.counter], f"{r.counted:,}", f"{r.recorded:,}", f"{r.unexplained:+,}") for r in rows],
        )


def _render_record(dossier: Dossier) -> Iterator[str]:
    report, story = dossier.report, dossier.story
    policy = dossier.part("policy").get("config_path")
    rows = [
        ("agent", f"{_code(story.actor)}, {tell_end(dossier)}" if story.actor else ""),
        ("run", _code(report.run_id) if report.run_id else ""),
        ("time", f"{render_moment(report.started_at)}, {render_seconds(story.ended_ns - story.started_ns)}"),
        ("policy", ", ".join(_code(part) for part in (policy, report.policy_hash) if part)),
        ("receipts", f"{report.receipt_count:,}"),
        ("signed by", _code(report.signer_key) if report.signer_key else ""),
        ("ended by", _code(report.close_reason) if report.close_reason else "nothing: no close receipt"),
    ]
    yield ""
    yield from _render_rows(("record", ""), [row for row in rows if row[1]])
    yield ""
    yield "Verify it in the packet's directory, with a public key from a place that you trust:"
    yield ""
    yield "```sh"
    yield render_command(report)
    yield "```"
    yield ""


def _render_table(
    title: str, names: tuple[str, ...], rows: list[tuple[str, ...]], left: int, empty: str
) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    if not rows:
        yield empty
        return
    yield from _render_rows(names, rows)
    if left > 0:
        yield ""
        yield f"… and {left:,} more: see report.html."


def _render_rows(names: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    numbers = ("allowed", "denied", "sent", "received", "times", "in receipts", "unexplained")
    yield f"| {' | '.join(names)} |"
    yield f"| {' | '.join('---:' if name in numbers else '---' for name in names)} |"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _code(text: object, limit: int = _CELL_CHARS) -> str:
    """`text` as inert code, in a table's cell too."""
    shown = show(text, limit).replace("`", "'").replace("|", "\\|")
    return f"`{shown or ' '}`"
