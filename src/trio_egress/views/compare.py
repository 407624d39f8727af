"""Two runs side by side: what one did and the other did not, under which policy, and inside which boundary.

Compares what the receipts and files tell; proves nothing of either.

Rule 1: what differs between any two runs (times, ids, keys) is no difference.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from trio_egress.evidence.attempts import Told, join_attempts, read_receipts
from trio_egress.evidence.canonical import is_nested
from trio_egress.evidence.container import Folder, Packet, find_packet
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.packet import POSTURE_NAME
from trio_egress.evidence.run_file import RUN_NAME
from trio_egress.values import frozen
from trio_egress.views.census import Visits, cut, take_census
from trio_egress.views.source import read_claim, read_claims, read_object

VALUE_CHARS = 200
DEPTH = 8
"""A posture of ours is two deep; what is deeper is none."""


class Subject(enum.Enum):
    """What a difference is about."""

    END = "end"
    COMMAND = "command"
    POLICY = "policy"
    POSTURE = "posture"
    PLACES = "places"
    DENIALS = "denials"
    FINDINGS = "findings"
    COUNTS = "counts"
    BYTES = "bytes"


@frozen
class Run:
    """What is compared of one packet. `end`: how its agent and its chain ended. `command`: what was run, on what."""

    run_id: str
    started_at: str
    end: Mapping[str, object]
    command: Mapping[str, object]
    environment: frozenset[str]
    policies: tuple[str, ...]
    posture: Mapping[str, object]
    places: Mapping[str, Visits]


@frozen
class Change:
    """One difference: `old` is None for what is new, `new` is None for what is gone."""

    subject: Subject
    what: str
    old: object
    new: object


def read_run(path: Path) -> Run:
    """Raises EvidenceError where the evidence can't be read."""
    own: list[Told] = []

    def pass_on() -> Iterator[Told]:
        for told in read_receipts(path):
            if not told.is_attempt and (told.step != "heartbeat"):
                own.append(told)
            yield told

    places = take_census(join_attempts(pass_on()))
    packet = find_packet(path) or Folder(path.parent)
    first = own[0] if own else Told(0, {})
    closed = own[-1] if own and own[-1].step == "session_close" else None
    ran = read_object(packet, RUN_NAME)
    environment = read_claim(ran, "environment")
    return Run(
        run_id=first.word("session_id"),
        started_at=first.time,
        end={"agent_exit_code": None, "closed_by": None} if closed is None else _read_end(closed),
        command=dict(_read_members(ran, "command", "versions")),
        environment=frozenset(
            escape_text(name, VALUE_CHARS)
            for name in (environment if isinstance(environment, list) else ())
            if isinstance(name, str)
        ),
        policies=tuple(dict.fromkeys(policy for told in own for policy in _read_policies(told))),
        posture=dict(_read_posture(packet)),
        places=places,
    )


def compare(old: Run, new: Run) -> list[Change]:
    """Every difference, in the order of the subjects."""
    return [
        *_compare_members(Subject.END, old.end, new.end),
        *(
            [Change(Subject.POLICY, "policy", list(old.policies), list(new.policies))]
            if old.policies != new.policies
            else []
        ),
        *_compare_commands(old, new),
        *_compare_members(Subject.POSTURE, old.posture, new.posture),
        *_compare_places(old.places, new.places),
    ]


def _read_end(closed: Told) -> Mapping[str, object]:
    control = closed.record.get("session_control")
    closing = control.get("close") if isinstance(control, dict) else None
    reason = closing.get("close_reason") if isinstance(closing, dict) else None
    code = closed.facts.get("agent_exit_code")
    return {
        "agent_exit_code": code if type(code) is int else None,
        "closed_by": escape_text(reason, VALUE_CHARS) if isinstance(reason, str) else None,
    }


def _read_policies(told: Told) -> Iterator[str]:
    """Those in force, in order: the first, and each that came into force later."""
    yield told.word("policy_hash")
    if told.fact("policy_to") and told.allowed:
        yield told.fact("policy_to")


def _read_posture(packet: Packet) -> Iterator[tuple[str, object]]:
    """Every member of posture.json, and what packet.json claims of the boundary, as texts."""
    told = {
        "measured": read_object(packet, POSTURE_NAME),
        "packet": read_claim(read_claims(packet), "posture"),
    }
    yield from _read_members(told, *told)


def _read_members(told: Mapping[str, object], *names: str) -> Iterator[tuple[str, object]]:
    """Every member of these objects, by the way there."""
    for name in names:
        members = told.get(name)
        if isinstance(members, dict) and not is_nested(members, DEPTH):
            yield from _flatten(name, members)


def _flatten(above: str, members: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in members.items():
        path = f"{above}.{escape_text(name, VALUE_CHARS)}"
        if isinstance(value, dict):
            yield from _flatten(path, value)
        else:
            yield path, cut(escape_text(value) if isinstance(value, str) else json.dumps(value), VALUE_CHARS)


def _compare_members(
    subject: Subject, old: Mapping[str, object], new: Mapping[str, object]
) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield Change(subject, name, old.get(name), new.get(name))


def _compare_commands(old: Run, new: Run) -> Iterator[Change]:
    """The environments by names; a packet has no values."""
    if bool(old.command) != bool(new.command):
        yield Change(Subject.COMMAND, RUN_NAME, _say_there(old), _say_there(new))
        return
    yield from _compare_members(Subject.COMMAND, old.command, new.command)
    if old.environment != new.environment:
        gone, come = old.environment - new.environment, new.environment - old.environment
        yield Change(Subject.COMMAND, "environment", sorted(gone), sorted(come))


def _say_there(run: Run) -> str | None:
    return "a file" if run.command else None


def _compare_places(old: Mapping[str, Visits], new: Mapping[str, Visits]) -> Iterator[Change]:
    for place in sorted({*old, *new}):
        before, after = old.get(place), new.get(place)
        if before is None or after is None:
            yield Change(Subject.PLACES, place, _count(before), _count(after))
            if after is not None and after.found:
                yield Change(Subject.FINDINGS, place, [], sorted(after.found))
            continue
        gone, come = (
            _name_refused(before) - _name_refused(after),
            _name_refused(after) - _name_refused(before),
        )
        if gone or come:
            yield Change(Subject.DENIALS, place, sorted(gone), sorted(come))
        less, more = sorted({*before.found} - {*after.found}), sorted({*after.found} - {*before.found})
        if less or more:
            yield Change(Subject.FINDINGS, place, less, more)
        for subject, count in ((Subject.COUNTS, _count), (Subject.BYTES, _measure)):
            if count(before) != count(after):
                yield Change(subject, place, count(before), count(after))


def _name_refused(visits: Visits) -> set[str]:
    """What was refused, without the reason: that names lines of the policy."""
    return {reason.partition(": ")[0] for reason in visits.reasons}


def _count(visits: Visits | None) -> Mapping[str, int] | None:
    if visits is None:
        return None
    return {"allowed": visits.allowed, "denied": visits.denied, "observed": visits.observed}


def _measure(visits: Visits | None) -> Mapping[str, int] | None:
    return None if visits is None else {"up": visits.bytes_up, "down": visits.bytes_down}
