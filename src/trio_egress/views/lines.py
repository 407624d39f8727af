"""An attempt as one line for a terminal, and a receipt as all that it says.

Rule 1: a line is printable ASCII and bounded, whatever the receipts hold.
Rule 2: colour is for whoever asks for it: `paint` is given, and the words alone say everything.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs

from trio_egress.evidence.attempts import Attempt, Told
from trio_egress.evidence.scan_read import ReadFinding
from trio_egress.views.census import cut, list_unsuppressed

TARGET_CHARS = 200
REASON_CHARS = 300
VALUE_CHARS = 2000
FINDINGS_SAID = 3

_NAME_WIDTH = 22
_TIME = slice(11, 23)
"""Of an RFC 3339 time: hours to milliseconds."""


class Colour(enum.Enum):
    """What a line is about, as the number of SGR that shows it."""

    ALLOWED = 32
    DENIED = 31
    OBSERVED = 33
    ASIDE = 2


Paint = Callable[[str, Colour], str]


def leave_plain(text: str, _: Colour) -> str:
    return text


def paint_ansi(text: str, colour: Colour) -> str:
    """ECMA-48 SGR."""
    return f"\x1b[{colour.value}m{text}\x1b[0m"


def render_attempt(attempt: Attempt, paint: Paint = leave_plain, *, live: bool = False) -> str:
    """Number, time, verdict, what, and what came of it, without a line's end. `live`: its outcome may still come."""
    first, last = attempt.first, attempt.last
    word, colour = _judge(attempt)
    times = f" ({last.count} times)" if last.count > 1 else ""
    what = cut(f"{first.method} {first.target}".strip(), TARGET_CHARS) + times
    said = "" if live and attempt.last.allowed and not attempt.last.observed else _say_end(attempt)
    said = "; ".join(filter(None, (said, say_findings(attempt, said), _say_unscanned(attempt))))
    head = f"{first.name:>6}  {render_time(first.time)}  {paint(f'{word:<7}', colour)}"
    return f"{head}  {what}{f'  {paint(said, Colour.ASIDE)}' if said else ''}"


def say_findings(attempt: Attempt, said: str = "") -> str:
    """What was found in it and is not said yet, without what is suppressed: as one phrase."""
    unsaid = [each for each in list_unsuppressed(attempt) if not each.is_said(said)]
    told = [f"{each.describe()}, {each.done}" for each in unsaid]
    more = f"; and {len(told) - FINDINGS_SAID} more" if len(told) > FINDINGS_SAID else ""
    return cut(f"found {'; '.join(told[:FINDINGS_SAID])}{more}", REASON_CHARS) if told else ""


def _say_unscanned(attempt: Attempt) -> str:
    """What went on although it could not be looked into."""
    reason = attempt.last.fact("unscanned")
    return cut(f"not looked through: {reason}", REASON_CHARS) if reason and not attempt.denied else ""


def describe_findings(findings: Iterable[ReadFinding]) -> list[dict[str, object]]:
    """For programs."""
    return [{**attrs.asdict(each), "via": list(each.via)} for each in findings]


def render_time(time: str) -> str:
    """Hours to milliseconds, of the same width for every time."""
    return f"{time[_TIME].rstrip('Z'):<12}"


def describe_attempt(attempt: Attempt) -> dict[str, object]:
    """The same for programs; the names are stable, and what is not known is null."""
    first, last = attempt.first, attempt.last
    return {
        "seq": first.seq,
        "key": first.key,
        "outcome_key": attempt.outcome.key if attempt.outcome else None,
        "outcome_seq": attempt.outcome.seq if attempt.outcome else None,
        "action_id": first.action_id,
        "time": first.time,
        "verdict": _judge(attempt)[0],
        "layer": last.layer,
        "transport": first.transport,
        "method": first.method,
        "target": first.target,
        "host": first.host,
        "port": first.port,
        "protocol": first.protocol,
        "rule": first.rule,
        "reason": last.reason,
        "count": last.count,
        "dialled": last.fact("dialled"),
        "status": last.number("status"),
        "bytes_up": last.number("bytes_up"),
        "bytes_down": last.number("bytes_down"),
        "messages_up": last.number("messages_up"),
        "messages_down": last.number("messages_down"),
        "duration_us": last.number("duration_us"),
        "findings": describe_findings(attempt.findings),
        "unscanned": last.fact("unscanned") or None,
    }


def _judge(attempt: Attempt) -> tuple[str, Colour]:
    if attempt.denied:
        return "denied", Colour.DENIED
    return ("observe", Colour.OBSERVED) if attempt.last.observed else ("allowed", Colour.ALLOWED)


def _say_end(attempt: Attempt) -> str:
    last, outcome = attempt.last, attempt.outcome
    if attempt.denied or last.observed:
        return cut(last.reason, REASON_CHARS)
    if outcome is None:
        return "no outcome" if last.phase == "intent" else ""
    status, took = outcome.number("status"), outcome.number("duration_us")
    words = [
        "" if status is None else f"{status}",
        f"{attempt.bytes('bytes_up')} up, {attempt.bytes('bytes_down')} down",
        _say_messages(outcome),
        "" if took is None else f"{took // 1000} ms",
        cut(outcome.reason, REASON_CHARS) if outcome.reason != attempt.first.reason else "",
    ]
    return ", ".join(filter(None, words))


def _say_messages(outcome: Told) -> str:
    """Of a WebSocket."""
    up, down = outcome.number("messages_up"), outcome.number("messages_down")
    return "" if up is None or down is None else f"{up} messages up, {down} down"


def render_receipt(told: Told) -> Iterator[str]:
    """Every member and every fact, each on a line of its own."""
    yield f"receipt {told.name}, line {told.line}"
    for name, value in _flatten("", told.record):
        yield _render_member(name, value)
    if told.facts:
        yield "facts"
        for name, value in _flatten("", told.facts):
            yield _render_member(name, value)


def _render_member(name: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    # As a JSON string it is ASCII; without its quotes it reads better.
    shown = json.dumps(text)[1:-1].replace('\\"', '"').replace("\x7f", "\\u007f")
    return f"  {json.dumps(name)[1:-1]:<{_NAME_WIDTH}}  {cut(shown, VALUE_CHARS)}".rstrip()


def _flatten(above: str, members: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Members of objects by their paths, one level deep after another."""
    for name, value in members.items():
        path = f"{above}{name}"
        if isinstance(value, dict) and value:
            yield from _flatten(f"{path}.", value)
        else:
            yield path, value
