"""A run's receipts as they come: fed stored lines in order, it says what each tells, and what does not hold together.

Reads no file and knows no clock. It trusts no line: each goes through the verifier first.

Rule 1: an attempt is said when it is decided, what is found in it when it is found; what came of it only where the
        boundary refused it after all.
Rule 2: for programs the outcome of every attempt is told, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from trio_egress.evidence.attempts import Attempt, Told, tell
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.report import Report, conclude
from trio_egress.evidence.roster import TrustedKey, check_roster
from trio_egress.evidence.session import SessionState
from trio_egress.evidence.sign import PublicKey
from trio_egress.values import frozen
from trio_egress.views.census import cut
from trio_egress.views.lines import (
    TARGET_CHARS,
    Colour,
    Paint,
    describe_attempt,
    describe_findings,
    render_attempt,
    render_time,
    say_findings,
)

HEARTBEAT_SECONDS = 30
"""Until the open receipt says another."""

_WORD_CHARS = 200

Trust = Mapping[PublicKey, "TrustedKey | None"]
"""As `evidence.trust` reads it."""


@frozen
class Said:
    """`line` is for people, empty where it is for programs alone; `members` are for programs."""

    line: str
    members: dict[str, object]


class Watching:
    """One evidence file from its first line on. `trusted` are pinned public keys, and what a roster says of each."""

    def __init__(self, paint: Paint, trusted: Trust | None = None) -> None:
        self._paint = paint
        self._trusted = trusted or {}
        self._findings = Findings()
        self._replay = Replay(self._findings, EVIDENCE_NAME, set(self._trusted) or None)
        self._told = 0
        self._lines = 0
        self._key = 1
        self._allowed = 0
        self._denied = 0

    @property
    def is_closed(self) -> bool:
        return self._replay.state is SessionState.CLOSED

    @property
    def heartbeat_seconds(self) -> int:
        seconds = self._replay.opening.get("heartbeat_seconds")
        return seconds if type(seconds) is int and 0 < seconds < 86_400 else HEARTBEAT_SECONDS

    def feed(self, raw: bytes) -> Iterator[Said]:
        """The next whole line, without its LF."""
        self._lines += 1
        self._replay.feed(raw)
        yield from self._tell_findings()
        told = tell(raw, self._lines, self._key)
        if told is not None:
            self._key = told.key
            yield from self._tell(told)

    def feed_overlong(self) -> Iterator[Said]:
        """A line that was too long to be kept."""
        self._lines += 1
        self._replay.take_overlong()
        yield from self._tell_findings()

    def finish(self) -> Iterator[Said]:
        """What is known only when nothing more comes: whether each key was valid for as long as it signed."""
        check_roster(self._replay, self._trusted, EVIDENCE_NAME, self._findings)
        yield from self._tell_findings()

    def conclude(self, path: str) -> Report:
        """What the evidence file is worth by itself."""
        return conclude(path, self._replay, self._findings, pinned=bool(self._trusted))

    def _tell_findings(self) -> Iterator[Said]:
        for finding in self._findings.kept[self._told :]:
            line = self._paint(f"does not verify: [{finding.code}] {finding.message}", Colour.DENIED)
            yield Said(line, {"event": "finding", **attrs.asdict(finding)})
        self._told = len(self._findings.kept)

    def _tell(self, told: Told) -> Iterator[Said]:
        if told.is_attempt:
            yield self._tell_attempt(told)
        elif told.parent_id:
            yield self._tell_found(told)
        elif told.step == "session_open":
            line = f"run {told.word('session_id')} opened at {told.time} under {told.word('policy_hash')}"
            yield Said(line, {"event": "open", **_identify(told), "run_id": told.word("session_id")})
        elif told.step == "session_close":
            yield self._tell_close(told)
        elif not told.step:
            what = told.transport
            line = f"{told.name:>6}  {render_time(told.time)}  {what:<7}  {told.reason}"
            yield Said(line, {"event": what, **_identify(told), "taken": told.allowed, "reason": told.reason})

    def _tell_attempt(self, told: Told) -> Said:
        is_outcome = told.phase == "outcome"
        self._allowed += told.lets_out
        self._denied += not told.allowed
        attempt = Attempt(told, told if is_outcome else None, told.findings)
        members = {"event": "outcome" if is_outcome else "attempt", **describe_attempt(attempt)}
        if is_outcome and told.allowed:
            return Said("", members)
        return Said(render_attempt(attempt, self._paint, live=True), members)

    def _tell_found(self, told: Told) -> Said:
        """Of an attempt that is under way."""
        members = {
            "event": "found",
            **_identify(told),
            "action_id": told.parent_id,
            "verdict": told.word("verdict"),
            "target": told.target,
            "findings": describe_findings(told.findings),
        }
        said = say_findings(Attempt(told, None, told.findings))
        if not said:
            return Said("", members)
        what = cut(f"{told.method} {told.target}".strip(), TARGET_CHARS)
        word = self._paint(f"{'found':<7}", Colour.OBSERVED)
        line = f"{told.name:>6}  {render_time(told.time)}  {word}  {what}  {said.removeprefix('found ')}"
        return Said(line, members)

    def _tell_close(self, told: Told) -> Said:
        reason = self._replay.closing.get("close_reason")
        said = escape_text(reason, _WORD_CHARS) if isinstance(reason, str) else ""
        members = {
            "event": "close",
            **_identify(told),
            "close_reason": said,
            "agent_exit_code": told.number("agent_exit_code"),
            "allowed": self._allowed,
            "denied": self._denied,
            "bytes_up": told.number("bytes_up"),
            "bytes_down": told.number("bytes_down"),
        }
        line = (
            f"closed: {said}; {self._allowed} let out, {self._denied} denied; "
            f"{told.number('bytes_up') or 0} bytes up, {told.number('bytes_down') or 0} down"
        )
        return Said(line, members)


def _identify(told: Told) -> dict[str, object]:
    return {"seq": told.seq, "time": told.time, "policy_hash": told.word("policy_hash")}
