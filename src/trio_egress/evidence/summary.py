"""summary.md: one run on one screen, for the person who has to say whether it was all right.

Pure text. Everything that an agent or a peer chose is shown as inert code: it cannot make a link, a table row, a
heading or markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trio_egress.evidence.balance import COUNTERS
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.report import Report, Verdict, render_balance

ROWS = 14
"""Rows of a table: more would not fit a screen; and every counter of the books."""

_CELL_CHARS = 100
_SENTENCES = {
    Verdict.VALID: "The record is complete and signed by the key that the operator gave.",
    Verdict.SELF_CONSISTENT: "The record is complete; its key was made for this run, so who signed is not proven.",
    Verdict.OBSERVED: "**Nothing was enforced**: this run only observed what its policy would have denied.",
    Verdict.PREFIX: "**The record has no end**: the run was cut off, and what came after is not recorded.",
    Verdict.INVALID: "**The record does not hold together.** See verifier.txt.",
}


def render_summary(report: Report, replay: Replay, agent_exit_code: int | None, policy_path: str) -> str:
    """The Markdown of one run."""
    return "\n".join(
        [
            *_render_head(report, replay, agent_exit_code, policy_path),
            *_render_tables(replay),
            *_render_books(replay),
            *_render_end(report),
        ]
    )


def _render_head(
    report: Report, replay: Replay, agent_exit_code: int | None, policy_path: str
) -> Iterator[str]:
    tally = replay.tally
    ended = "did not end by itself" if agent_exit_code is None else f"ended with exit code {agent_exit_code}"
    yield f"# trio-egress: {tally.allowed} allowed, {tally.denied} denied"
    yield ""
    yield f"The agent {ended}. {_SENTENCES.get(report.verdict, '')}"
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| run | {_code(report.run_id)} |"
    yield f"| time | {report.started_at} to {report.ended_at} |"
    yield f"| ended by | {_code(report.close_reason or 'nothing: no close receipt')} |"
    yield f"| policy | {_code(policy_path)}, {_code(report.policy_hash)} |"
    yield f"| receipts | {report.receipt_count} |"
    yield f"| signed by | {_code(report.signer_key)} |"
    yield f"| head | {_code(report.head)} |"


def _render_tables(replay: Replay) -> Iterator[str]:
    contacts = sorted(replay.tally.contacts.items(), key=lambda item: (-item[1].bytes_up, item[0]))
    yield from _render_table(
        "Contacted",
        ("host", "attempts", "bytes sent", "bytes received"),
        [(_code(host), f"{to.attempts}", f"{to.bytes_up}", f"{to.bytes_down}") for host, to in contacts],
        "Nothing was contacted.",
    )
    denials = sorted(replay.tally.denials.items(), key=lambda item: (-item[1], item[0]))
    yield from _render_table(
        "Denied",
        ("target", "times", "reason"),
        [(_code(target), f"{times}", _code(reason)) for (target, reason), times in denials],
        "Nothing was denied.",
    )


def _render_books(replay: Replay) -> Iterator[str]:
    """The kernel's counters beside the receipts, where there is a close receipt that could have any."""
    if not replay.closing:
        return
    rows = replay.balance.rows if replay.balance else ()
    yield from _render_table(
        "Books",
        ("counted by the kernel", "times", "in receipts", "unexplained"),
        [
            (COUNTERS[row.counter], f"{row.counted}", f"{row.recorded}", f"{row.unexplained}")
            for row in rows
            if row.counted or row.recorded
        ],
        "The kernel counted nothing.",
    )
    yield ""
    yield f"{render_balance(replay.balance)}."


def _render_table(
    title: str, names: tuple[str, ...], rows: list[tuple[str, ...]], empty: str
) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    if not rows:
        yield empty
        return
    yield from _render_rows([names, tuple("---" for _ in names), *rows[:ROWS]])
    if len(rows) > ROWS:
        yield ""
        yield f"… and {len(rows) - ROWS} more: see evidence.jsonl."


def _render_rows(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    return (f"| {' | '.join(row)} |" for row in rows)


def _render_end(report: Report) -> Iterator[str]:
    yield ""
    yield "## Verify"
    yield ""
    yield "With the public key from a place that you trust (not from this directory):"
    yield ""
    yield f"    trio-egress verify . --public-key {report.signer_key or 'KEY'}"
    yield ""


def _code(text: str) -> str:
    """`text` as inert code in a table cell."""
    shown = escape_text(text, _CELL_CHARS).replace("`", "'").replace("|", "\\|")
    return f"`{shown or ' '}`"
