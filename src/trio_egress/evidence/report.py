"""What a verification says: one verdict, its exit code, what was found, and what is not proven.

Rule 1: `valid` is said only of a closed chain whose key the caller pinned, with no finding, of a run that enforced.
Rule 2: texts from a packet are shown as printable ASCII: a report cannot steer a terminal.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs

from trio_egress.evidence.balance import Balance
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.findings import NOT_TRUSTED, Finding, Findings
from trio_egress.evidence.receipt_form import VERDICTS
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.session import SessionState
from trio_egress.values import frozen

NOT_COMPILED = (
    "that policy.toml compiles to policy-compiled.json: receipts bind both by hash, but no policy was read"
)
NOT_PROVEN = (
    "that the machine and the trio-egress that signed were honest: whoever holds the key can sign anything",
    "that nothing happened beside the boundary: receipts tell what reached it",
    "what was said inside TLS that was not ended at the boundary, beyond names, sizes and times",
    "members of packet.json that no receipt repeats (repository, workflow, times): what the machine said of itself",
    NOT_COMPILED,
)
NOT_PINNED = "who signed: no public key was pinned, and a stranger can re-sign a whole chain"
NOT_EXPECTED = (
    "that this is the run you mean: an older, complete run of the same key looks the same (--expect-run)"
)
NOT_ENFORCED = "that anything was enforced: the run only observed, and let through what its policy denies"
NOT_CHECKED = (
    "that each receipt is signed, is well formed, and agrees with the others and with packet.json: --quick followed "
    "hashes and links alone; the last receipt names all before it by hash, so who signed it answers for all of it"
)
NOT_CLOSED = "what happened after the last receipt: the chain has no close receipt, so its end is not proven"


class Verdict(enum.Enum):
    """What is proven of a packet, as one word; only `VALID` is what a reviewer wants to read."""

    VALID = "valid"
    INVALID = "invalid"
    UNREADABLE = "error"
    PREFIX = "valid_prefix"
    SELF_CONSISTENT = "self_consistent_only"
    OBSERVED = "observed_only"
    LINKED = "links_only"


EXIT_CODES = {
    Verdict.VALID: 0,
    Verdict.INVALID: 1,
    Verdict.UNREADABLE: 2,
    Verdict.PREFIX: 3,
    Verdict.SELF_CONSISTENT: 3,
    Verdict.OBSERVED: 3,
    Verdict.LINKED: 3,
}

SENTENCES = {
    Verdict.VALID: "VALID: signed by a pinned key, complete, and in itself consistent",
    Verdict.INVALID: "INVALID: the evidence does not hold together",
    Verdict.UNREADABLE: "ERROR: nothing was checked, as something could not be read",
    Verdict.PREFIX: "VALID PREFIX: what is there holds together, but its end is not proven",
    Verdict.SELF_CONSISTENT: "SELF-CONSISTENT ONLY: it holds together, but no key was pinned",
    Verdict.LINKED: "LINKS ONLY: hashes and links hold; the receipts' signatures were NOT checked",
    Verdict.OBSERVED: "OBSERVED ONLY: it holds together, but the run let through what its policy denies",
}
_COLUMN = 12
MANY_KEYS = 20
"""Keys of one log that are told."""

_SHOWN_CHARS = 256


@frozen
class Report:
    """The result of one verification. Counts and hashes are those of the evidence file, `files` is the manifest's."""

    path: str
    verdict: Verdict
    error: str = ""
    findings: tuple[Finding, ...] = ()
    finding_count: int = 0
    notes: tuple[str, ...] = ()
    run_id: str = ""
    signer_key: str = ""
    policy_hash: str = ""
    receipt_count: int = 0
    final_seq: int = -1
    head: str = ""
    started_at: str = ""
    ended_at: str = ""
    close_reason: str = ""
    commands: int = 0
    """Of a session, those that have receipts."""

    totals: dict[str, int] = attrs.field(factory=dict)
    balance: Balance | None = None
    not_proven: tuple[str, ...] = ()
    files: int = 0
    recovered_at: str = ""
    recovered_by: str = ""

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]

    @property
    def trusted(self) -> bool:
        return self.verdict is Verdict.VALID


def conclude(
    path: str, replay: Replay, findings: Findings, *, pinned: bool, whole: bool = True, expected: bool = False
) -> Report:
    """The report of a finished replay.

    `pinned`: the caller named the public keys that the replay checked. `whole`: nothing of the packet is missing.
    `expected`: the caller named the run or its head.
    """
    closed = replay.state is SessionState.CLOSED
    if findings.count:
        verdict = Verdict.INVALID
    elif replay.skipped:
        verdict = Verdict.LINKED
    elif not (closed and whole) or is_note(replay):
        verdict = Verdict.PREFIX
    elif replay.observed:
        verdict = Verdict.OBSERVED
    else:
        verdict = Verdict.VALID if pinned else Verdict.SELF_CONSISTENT
    unproven = [
        *([NOT_CHECKED] if replay.skipped else []),
        *([] if closed else [NOT_CLOSED]),
        *([] if pinned else [NOT_PINNED]),
        *([NOT_ENFORCED] if replay.observed else []),
        *([] if expected else [NOT_EXPECTED]),
        *NOT_PROVEN,
    ]
    return Report(
        path=escape_text(path),
        verdict=verdict,
        findings=tuple(findings.kept),
        finding_count=findings.count,
        notes=tuple(_note(replay, whole)),
        run_id=_show(replay.opening.get("recorder_session")),
        signer_key=replay.signer_key,
        policy_hash=_show(replay.opening.get("policy_hash")),
        receipt_count=replay.lines - replay.torn if replay.skipped else replay.tally.receipt_count,
        final_seq=replay.final_seq,
        head=replay.head,
        started_at=replay.started_at,
        ended_at=replay.ended_at,
        close_reason=_show(replay.closing.get("close_reason")),
        commands=0 if replay.skipped else replay.tally.commands,
        balance=replay.balance,
        totals={name: 0 if replay.skipped else replay.tally.totals[name] for name in (*VERDICTS, "other")},
        not_proven=tuple(unproven),
    )


def _note(replay: Replay, whole: bool) -> Sequence[str]:
    notes = []
    if replay.torn:
        notes.append("the last line is torn: it was being written when the run ended, and is not counted")
    if replay.state is SessionState.NEW:
        notes.append("there is no receipt at all")
    elif replay.state is SessionState.OPEN:
        notes.append("the chain is not closed: the run was cut off, or the end of the file was")
        if len(replay.pairing) and not replay.skipped:
            notes.append(f"intents whose outcome is not recorded: {len(replay.pairing)}")
    if is_note(replay):
        notes.append("this is the note that another log was abandoned: it is no record of a run")
    for segment in replay.segments.kept[1:MANY_KEYS]:
        notes.append(
            f"from line {segment.line} on another key signs, which the one before endorsed: {segment.key}"
        )
    if replay.skipped:
        manifest = ", and the manifest's" if whole else "; there is no manifest"
        notes.append(f"quick: the signatures of the first and the last receipt were checked{manifest}")
    elif not whole:
        notes.append("packet.json is missing: only the evidence file was checked")
    return notes


def is_note(replay: Replay) -> bool:
    """Whether it is a note of recovery (recovery.py) that is held out as the evidence itself."""
    return "recovers" in replay.open_facts


def _show(value: object) -> str:
    return escape_text(value, _SHOWN_CHARS) if isinstance(value, str) else ""


def render_text(report: Report) -> str:
    """A report for people: the verdict first."""
    rows = [
        ("evidence", report.path),
        ("run", report.run_id),
        ("signed by", report.signer_key),
        ("policy", report.policy_hash),
        ("receipts", _render_counts(report)),
        ("head", report.head),
        ("time", f"{report.started_at} to {report.ended_at}" if report.started_at else ""),
        ("commands", f"{report.commands:,}" if report.commands else ""),
        ("ended by", report.close_reason),
        ("recovered", f"{report.recovered_at} by {report.recovered_by}" if report.recovered_by else ""),
        ("books", _render_books(report)),
        ("files", _render_files(report)),
    ]
    sentence = SENTENCES[report.verdict]
    if report.verdict is Verdict.INVALID and any(each.code == NOT_TRUSTED for each in report.findings):
        sentence = "INVALID: signed by a key that is none of the pinned ones"
    lines = [sentence.replace("PREFIX:", "PREFIX, recovered:") if report.recovered_by else sentence]
    if report.error:
        lines.append(f"  {report.error}")
    lines += [f"  {name:<{_COLUMN}}{value}" for name, value in rows if value]
    lines += [f"  note: {note}" for note in report.notes]
    if report.finding_count:
        lines += ["", f"{report.finding_count} finding{'s' if report.finding_count > 1 else ''}:"]
        lines += [f"  [{finding.code}] {finding.message}" for finding in report.findings]
        if report.finding_count > len(report.findings):
            lines.append(f"  ... and {report.finding_count - len(report.findings)} more")
    if report.not_proven:
        lines += ["", "Not proven:", *(f"  - {item}" for item in report.not_proven)]
    return "\n".join(lines) + "\n"


def render_json(report: Report) -> dict[str, object]:
    """A report as plain values for `json.dumps`; the names are stable."""
    return {
        "verdict": report.verdict.value,
        "trusted": report.trusted,
        "exit_code": report.exit_code,
        **{
            name: value
            for name, value in attrs.asdict(report, recurse=False).items()
            if name not in ("verdict", "findings", "notes", "not_proven", "balance")
        },
        "balance": list_balance(report.balance),
        "findings": [{**attrs.asdict(finding), "message": finding.message} for finding in report.findings],
        "notes": list(report.notes),
        "not_proven": list(report.not_proven),
    }


def render_balance(balance: Balance | None) -> str:
    """One line: whether what the kernel counted is what the receipts tell."""
    if balance is None:
        return "nothing was counted: the sandbox never stood"
    if not balance.rows:
        return "NOT BALANCED: no counters"
    if balance.is_even:
        return f"balanced: the kernel counted {balance.events}, the receipts tell of each; unexplained 0"
    rows = [f"{row.counter} {row.unexplained:+d}" for row in balance.rows if row.unexplained]
    wanting = [f"no counter {name}" for name in balance.missing]
    return f"NOT BALANCED: unexplained {balance.unexplained} ({', '.join(rows + wanting)})"


def list_balance(balance: Balance | None) -> dict[str, object] | None:
    """The books as plain values."""
    if balance is None:
        return None
    rows = [{**attrs.asdict(row), "unexplained": row.unexplained} for row in balance.rows]
    return {
        "even": balance.is_even,
        "unexplained": balance.unexplained,
        "missing": list(balance.missing),
        "rows": rows,
    }


def _render_books(report: Report) -> str:
    # Of a quick look nothing was counted, and no counts stand in its report.
    return render_balance(report.balance) if report.close_reason and any(report.totals.values()) else ""


def _render_files(report: Report) -> str:
    if not report.files or any(finding.code.startswith("manifest.") for finding in report.findings):
        return ""
    return f"{report.files}, each as the signed manifest lists it"


def _render_counts(report: Report) -> str:
    if not report.receipt_count:
        return ""
    totals = ", ".join(f"{count} {verdict}" for verdict, count in report.totals.items() if count)
    return f"{report.receipt_count} ({totals})" if totals else f"{report.receipt_count}"
