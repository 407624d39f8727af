"""A roster: the public keys that a reviewer trusts, by name, with when they are valid and whether they are revoked.

Pure: a text in, keys out, and the keys of a log held against them. docs/keys.md has the form.

Rule 1: a roster is right as a whole or not at all: every mistake is told with its line, an unknown word is one.
Rule 2: a key is valid from `valid_from` on, up to but not at `valid_until`, by the receipts' own times.
Rule 3: a key that was revoked as compromised signs nothing that is believed, whatever time it says; one that was
retired or superseded, nothing from `revoked_at` on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone

from trio_egress.errors import EvidenceError
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.receipt import parse_timestamp, render_timestamp
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.rotation import Segment
from trio_egress.evidence.sign import PublicKey, parse_public_key
from trio_egress.values import frozen

ROSTER_BYTES = 1 << 20
VERSION = 1
COMPROMISED = "compromised"
REASONS = (COMPROMISED, "retired", "superseded")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")

HEAD = re.compile(r"^[ \t]*\[\[[ \t]*key[ \t]*\]\][ \t]*(?:#.*)?$", re.MULTILINE)
"""The line that begins a key."""

NOT_DATED = "when it was signed: a roster's times are held against the receipts' own, which the signer writes"

_TIMES = ("valid_from", "valid_until", "revoked_at")
_MEMBERS = ("name", "public", *_TIMES, "reason", "note")
_NOTE_CHARS = 500


@frozen
class TrustedKey:
    """One key of a roster. Times are nanoseconds since 1970, where they are given."""

    name: str
    public: PublicKey
    line: int = 0
    valid_from: int | None = None
    valid_until: int | None = None
    revoked_at: int | None = None
    reason: str = ""
    note: str = ""

    def judge(self, now_ns: int) -> str:
        """What the key is at a time: `valid`, or why not."""
        if self.reason == COMPROMISED:
            return "revoked"
        if self.valid_from is not None and now_ns < self.valid_from:
            return "not_yet_valid"
        if self.revoked_at is not None and now_ns >= self.revoked_at:
            return "revoked"
        return "expired" if self.valid_until is not None and now_ns >= self.valid_until else "valid"


def is_roster(raw: bytes) -> bool:
    """Whether this is meant to be one, and not a key."""
    return HEAD.search(raw.decode("utf-8", "replace")) is not None


def parse_roster(raw: bytes, file: str) -> tuple[TrustedKey, ...]:
    """The keys of a roster. Raises EvidenceError with every mistake, a line each."""
    import tomli  # only who has a roster waits for it

    text = _decode(raw, file)
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise EvidenceError(f"{file}:{error.lineno}: {error.msg}") from None
    except (RecursionError, ValueError):
        raise EvidenceError(f"{file}:1: something in it is nested too deeply, or too long a number") from None
    problems: list[tuple[int, str]] = []
    tables = _find_tables(text, data, problems)
    keys = [key for line, table in tables if (key := _read_key(text, line, table, problems)) is not None]
    problems += _find_twins(keys)
    if problems:
        told = (f"{file}:{line}: {message}" for line, message in sorted(problems))
        raise EvidenceError("\n".join(told))
    return tuple(keys)


def _decode(raw: bytes, file: str) -> str:
    if len(raw) > ROSTER_BYTES:
        raise EvidenceError(f"{file} is longer than {ROSTER_BYTES} bytes")
    try:
        return raw.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise EvidenceError(f"{file}:{line}: it is not UTF-8") from None


def _find_tables(
    text: str, data: Mapping[str, object], problems: list[tuple[int, str]]
) -> list[tuple[int, Mapping[str, object]]]:
    """The tables of keys, with the line of each one's head."""
    lines = [_count_line(text, match.start()) for match in HEAD.finditer(text)]
    for name in data:
        if name not in ("version", "key"):
            problems.append(
                (_find_line(text, 1, name), f"unknown: {_show(name)}; it has version, and [[key]]")
            )
    if data.get("version") != VERSION or type(data.get("version")) is not int:
        problems.append((_find_line(text, 1, "version"), f"version must be {VERSION}"))
    tables = data.get("key", [])
    if not isinstance(tables, list) or len(tables) != len(lines):
        problems.append((1, "each key must be a table that begins with the line [[key]]"))
        return []
    if not tables:
        problems.append((1, "there is no [[key]] in it: with no key nothing is trusted"))
    return list(zip(lines, tables, strict=True))


def _read_key(
    text: str, line: int, table: Mapping[str, object], problems: list[tuple[int, str]]
) -> TrustedKey | None:
    before = len(problems)

    def refuse(member: str, message: str) -> None:
        problems.append((_find_line(text, line, member), message))

    for member, value in table.items():
        if member not in _MEMBERS:
            refuse(member, f"unknown: {_show(member)}; a key has {', '.join(_MEMBERS)}")
        elif member not in _TIMES and not isinstance(value, str):
            refuse(member, f"{member} must be a text")
        elif member in _TIMES and _read_time(value) is None:
            refuse(member, f"{member} must be a time with its zone, like 2026-01-31T00:00:00Z")
    for member in ("name", "public"):
        if member not in table:
            refuse(member, f"a key without {member}")
    if len(problems) > before:
        return None
    if NAME.fullmatch(str(table["name"])) is None:
        refuse("name", "a name has up to 100 letters, digits and . _ @ - and begins with a letter or digit")
    times = {member: _read_time(table.get(member)) for member in _TIMES}
    start, end = times["valid_from"], times["valid_until"]
    if start is not None and end is not None and start >= end:
        refuse("valid_until", "valid_until must be later than valid_from")
    if ("revoked_at" in table) != ("reason" in table):
        refuse("revoked_at", f"revoked_at and reason belong together; reason is one of {', '.join(REASONS)}")
    elif "reason" in table and table["reason"] not in REASONS:
        refuse("reason", f"reason must be one of {', '.join(REASONS)}")
    if len(str(table.get("note", ""))) > _NOTE_CHARS:
        refuse("note", f"a note has up to {_NOTE_CHARS} characters")
    try:
        public = parse_public_key(str(table["public"]).encode("utf-8", "replace"))
    except EvidenceError as error:
        refuse("public", str(error))
    if len(problems) > before:
        return None
    reason, note = str(table.get("reason", "")), str(table.get("note", ""))
    return TrustedKey(str(table["name"]), public, line, **times, reason=reason, note=note)


def _read_time(value: object) -> int | None:
    if not isinstance(value, datetime) or value.tzinfo is None:
        return None
    try:
        whole = value.astimezone(timezone.utc)
    except OverflowError:  # the first or the last day that there is, in another zone
        return None
    seconds = int(whole.replace(microsecond=0).timestamp())
    return seconds * 1_000_000_000 + whole.microsecond * 1000


def _find_twins(keys: list[TrustedKey]) -> Iterator[tuple[int, str]]:
    names: dict[str, int] = {}
    publics: dict[str, int] = {}
    for key in keys:
        for seen, value, what in ((names, key.name, "name"), (publics, key.public, "key")):
            if value in seen:
                yield key.line, f"the same {what} stands on line {seen[value]} already"
            seen.setdefault(value, key.line)


def _find_line(text: str, line: int, member: str) -> int:
    """Where a member stands in the table that begins on this line; the table's line where it is not seen."""
    quoted = re.compile(
        rf"""[ \t]*["']?{re.escape(member)}["']?[ \t]*[=.]|[ \t]*\[+[ \t]*{re.escape(member)}\b"""
    )
    for number, content in enumerate(text.split("\n")[line - 1 :], line):
        if number > line and HEAD.fullmatch(content):
            break
        if quoted.match(content):
            return number
    return line


def _count_line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _show(name: str) -> str:
    return repr(escape_text(name, 60))


# against a log


def check_roster(
    replay: Replay, trusted: Mapping[PublicKey, TrustedKey | None], file: str, findings: Findings
) -> None:
    """Each key of the log was valid when its receipts say that they were signed."""
    for segment, first_ns, last_ns, last_line in _list_spans(replay):
        key = trusted.get(PublicKey(segment.key))
        if key is None:
            continue
        at, line = first_ns, segment.line
        if key.judge(at) == "valid":
            at, line = last_ns, last_line
        if (state := key.judge(at)) != "valid":
            findings.add(
                f"key.{state}", file, line, f"a receipt of {render_timestamp(at)}", _tell(key, state)
            )


def _list_spans(replay: Replay) -> Iterator[tuple[Segment, int, int, int]]:
    """What each key signed: from when to when, and the last line of it. The endorsement of the next key is the last."""
    segments = replay.segments.kept
    if not segments:
        return
    times = [replay.started_at, *(str(segment.endorsement["rotated_at"]) for segment in segments[1:])]
    ends = [*times[1:], replay.ended_at]
    lines = [*(segment.line for segment in segments[1:]), replay.lines]
    for segment, start, end, line in zip(segments, times, ends, lines, strict=True):
        yield segment, parse_timestamp(start) or 0, parse_timestamp(end) or 0, line


def _tell(key: TrustedKey, state: str) -> str:
    match state:
        case "not_yet_valid":
            return f"none before {render_timestamp(key.valid_from or 0)}: {key.name}"
        case "expired":
            return f"none from {render_timestamp(key.valid_until or 0)} on: {key.name}"
    at = render_timestamp(key.revoked_at or 0)
    if key.reason == COMPROMISED:
        return f"none at all: {key.name} was compromised, found on {at}"
    return f"none from {at} on: {key.name} was {key.reason}"
