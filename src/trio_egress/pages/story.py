"""What a run did, told by one pass over its evidence: hosts, denials, changes of the policy, and when.

Checks nothing: the report beside it says what the evidence is worth. What a line does not say is left out.

Rule 1: bounded, whatever stands in the file; what finds no room is counted, and the sums stay whole.
Rule 2: takes only what has the type and range that its place must have, and raises for no bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import attrs

from trio_egress.evidence.attempts import read_stream
from trio_egress.evidence.facts import escape_text, find_miss
from trio_egress.evidence.receipt import parse_timestamp
from trio_egress.evidence.receipt_form import COMMITMENT
from trio_egress.evidence.scan_form import LEFT_OUT, UNSCANNED
from trio_egress.evidence.scan_read import ReadFinding, read_findings
from trio_egress.evidence.session import (
    COMMAND_TRANSPORT,
    INTERCEPTED,
    KEY_TRANSPORT,
    OBSERVING,
    POLICY_TRANSPORT,
)
from trio_egress.model import Transport
from trio_egress.values import define, frozen

Members = Mapping[str, object]

BINS = 160
"""Moments that a timeline tells apart."""

HOSTS = 10_000
"""Hosts that are told apart."""

KINDS = 1_000
"""Kinds of denials that are told apart; of each a receipt is kept."""

CHANGES = 1_000
"""Changes of the policy, and of the key, that are kept."""

SECRETS = 50
SECRET_HOSTS = 5
"""Classes of secrets that are kept, and hosts of each."""

FINDS = 500
FIND_HOSTS = 5
FIND_VALUES = 1_000
"""Kinds of findings that are told apart, hosts of each, and different values that are counted of each."""

_NAME_CHARS = 300
_HEIGHT = 255
_NOTHING: Members = {}


@define
class Strip:
    """How much was allowed and denied in each of BINS moments, up to 255."""

    allowed: bytearray = attrs.field(factory=lambda: bytearray(BINS))
    denied: bytearray = attrs.field(factory=lambda: bytearray(BINS))


@define
class Host:
    """What was tried of one host. `lookups`: names answered, which sends nothing out. `said`: it is no host, but a kind
    of message over the standard streams of an MCP server."""

    name: str
    said: bool = False
    allowed: int = 0
    denied: int = 0
    observed: int = 0
    missed: int = 0
    """Of what was allowed, that no connection came of."""

    lookups: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    ways: set[str] = attrs.field(factory=set)
    """`tls 443`."""

    strip: Strip = attrs.field(factory=Strip)

    @property
    def attempts(self) -> int:
        return self.allowed + self.denied


@define
class Denial:
    """Attempts that were denied for one reason; `record` and `facts` are the first one's.

    `observed`: the policy denies it, and nothing was enforced.
    """

    record: Members
    facts: Members
    first_ns: int
    observed: bool
    count: int = 0
    targets: int = 1
    """How many different targets, as far as consecutive ones tell."""


@frozen
class Change:
    """Policy or key was changed, or was not: `taken`."""

    at_ns: int
    taken: bool
    facts: Members


@define
class Mention:
    """In how many attempts, to whom."""

    attempts: int = 0
    allowed: int = 0
    hosts: set[str] = attrs.field(factory=set)

    def add(self, host: Host, count: int, *, allowed: bool) -> None:
        self.attempts += count
        self.allowed += count if allowed else 0
        if len(self.hosts) < SECRET_HOSTS:
            self.hosts.add(host.name)


@define
class Secret:
    """`stood`: its value was in what was tried; receipts have a commitment in its place. `used`: the boundary put it
    in. `refused`: it was asked for where the policy doesn't send it."""

    stood: Mention = attrs.field(factory=Mention)
    used: Mention = attrs.field(factory=Mention)
    refused: Mention = attrs.field(factory=Mention)

    @property
    def urgent(self) -> bool:
        return bool(self.stood.attempts or self.refused.attempts)


@define
class Find:
    """Equal findings, whatever their values; `facts` are of the first receipt that tells of one."""

    finding: ReadFinding
    facts: Members
    count: int = 0
    hosts: set[str] = attrs.field(factory=set)
    values: set[str] = attrs.field(factory=set)
    """Their commitments: how many different ones there are."""


@define
class Story:
    """`started_ns`, `ended_ns`: of the first and the last receipt. `others`: what found no room among `hosts`."""

    started_ns: int
    ended_ns: int
    hosts: dict[str, Host] = attrs.field(factory=dict)
    others: Host = attrs.field(factory=lambda: Host(""))
    denials: dict[tuple[object, ...], Denial] = attrs.field(factory=dict)
    denials_left_out: int = 0
    commands: int = 0
    """Of a session, those that have ended."""

    changes: list[Change] = attrs.field(factory=list)
    rotations: list[Change] = attrs.field(factory=list)
    """Another key began to sign, or was refused."""

    secrets: dict[str, Secret] = attrs.field(factory=dict)
    finds: dict[tuple[object, ...], Find] = attrs.field(factory=dict)
    finds_left_out: int = 0
    unscanned: dict[str, int] = attrs.field(factory=dict)
    """Why what went on was not looked into, and how often."""

    strip: Strip = attrs.field(factory=Strip)
    open_facts: Members = attrs.field(default=_NOTHING)
    close_facts: Members = attrs.field(default=_NOTHING)
    actor: str = ""
    principal: str = ""

    @property
    def everyone(self) -> list[Host]:
        return [*self.hosts.values(), self.others]

    @property
    def reached(self) -> list[Host]:
        """Hosts that something was let through to, those that were sent most first."""
        found = [host for host in self.hosts.values() if host.allowed > host.missed and not host.said]
        return sorted(found, key=lambda host: (-host.bytes_up, -host.allowed, host.name))

    @property
    def missed(self) -> list[str]:
        """Hosts that were allowed, and never reached."""
        hosts = self.hosts.values()
        return sorted(host.name for host in hosts if 0 < host.allowed <= host.missed and not host.said)

    @property
    def said(self) -> list[Host]:
        """Messages over standard streams, what was said most first."""
        found = [host for host in self.hosts.values() if host.allowed and host.said]
        return sorted(found, key=lambda host: (-host.allowed, host.name))

    @property
    def allowed(self) -> int:
        return sum(host.allowed for host in self.everyone)

    @property
    def denied(self) -> int:
        return sum(host.denied for host in self.everyone)

    @property
    def observed(self) -> int:
        return sum(host.observed for host in self.everyone)

    @property
    def bytes_up(self) -> int:
        return sum(host.bytes_up for host in self.everyone)

    @property
    def bytes_down(self) -> int:
        return sum(host.bytes_down for host in self.everyone)

    def feed(self, record: Members, facts: Members) -> None:
        """One receipt."""
        kept = {POLICY_TRANSPORT: self.changes, KEY_TRANSPORT: self.rotations}
        transport = _text(record, "transport")
        at_ns = parse_timestamp(_text(record, "timestamp")) or self.started_ns
        if "session_control" in record:
            self._take_session(record, facts)
        elif transport == COMMAND_TRANSPORT:
            self.commands += 1
        elif transport in kept:
            if len(kept[transport]) < CHANGES:
                kept[transport].append(Change(at_ns, record.get("verdict") == "allow", facts))
        elif transport:
            self._take_attempt(record, facts, at_ns)

    def _take_session(self, record: Members, facts: Members) -> None:
        control = record["session_control"]
        if isinstance(control, dict) and "open" in control:
            self.open_facts = facts
            self.actor, self.principal = _text(record, "actor"), _text(record, "principal")
        elif isinstance(control, dict) and "close" in control:
            self.close_facts = facts

    def _take_attempt(self, record: Members, facts: Members, at_ns: int) -> None:
        host = self._find_host(record, facts)
        self._take_finds(record, facts, host)
        if "parent_action_id" in record:  # of findings alone: its attempt is counted by its own receipts
            return
        verdict, phase = record.get("verdict"), record.get("decision_phase")
        count = _whole(facts, "count") or 1
        observed = record.get("layer") == OBSERVING
        ends_here = (
            facts.get("tls") == INTERCEPTED
        )  # a connection that leads nowhere: requests in it are told, too
        if phase != "outcome":
            self._take_secrets(record, facts, host, count)
        else:
            host.bytes_up += _whole(facts, "bytes_up")
            host.bytes_down += _whole(facts, "bytes_down")
            host.missed += verdict == "allow" and not ends_here and bool(find_miss(facts))
        if verdict == "block":
            # What the policy had allowed was refused by the boundary, before it got anywhere.
            if phase == "outcome" and not ends_here and "dialled" not in facts:
                host.allowed = max(0, host.allowed - 1)
            host.denied += count
            self._deny(record, facts, at_ns, count, observed=False)
            self._mark(host, at_ns, count, denied=True)
        elif phase == "intent" and not ends_here:
            host.allowed += 1
            if (way := _find_way(record, facts)) and len(host.ways) < 4:
                host.ways.add(way)
            self._mark(host, at_ns, 1, denied=False)
        elif not phase:
            host.lookups += count
        if observed and phase != "outcome" and verdict != "block":
            host.observed += count
            self._deny(record, facts, at_ns, count, observed=True)

    def _take_finds(self, record: Members, facts: Members, host: Host) -> None:
        if record.get("decision_phase") != "intent":  # of which the outcome tells, too
            self.finds_left_out += _whole(facts, LEFT_OUT)
            reason = escape_text(_text(facts, UNSCANNED), _NAME_CHARS)
            if (
                reason
                and record.get("verdict") != "block"
                and (reason in self.unscanned or len(self.unscanned) < FIND_HOSTS)
            ):
                self.unscanned[reason] = self.unscanned.get(reason, 0) + 1
        for each in read_findings(facts):
            if each.identity not in self.finds and len(self.finds) >= FINDS:
                self.finds_left_out += each.count
                continue
            find = self.finds.setdefault(each.identity, Find(each, facts))
            find.count += each.count
            if len(find.hosts) < FIND_HOSTS:
                find.hosts.add(host.name)
            if len(find.values) < FIND_VALUES:
                find.values.add(each.commitment)

    def _take_secrets(self, record: Members, facts: Members, host: Host, count: int) -> None:
        redaction = record.get("redaction")
        classes = redaction.get("by_class") if isinstance(redaction, dict) else None
        if isinstance(classes, dict):  # what a scan found is told as that
            found = {each.commitment[1:].partition(":")[0] for each in read_findings(facts)}
            classes = {name: times for name, times in classes.items() if name not in found}
        allowed = record.get("decision_phase") == "intent"
        for kind, told in (
            ("stood", list(classes) if isinstance(classes, dict) else None),
            ("used", facts.get("secrets_used")),
            ("refused", facts.get("secrets_refused")),
        ):
            for name in told[:SECRETS] if isinstance(told, list) else ():
                if (secret := self._find_secret(str(name))) is not None:
                    getattr(secret, kind).add(host, count, allowed=allowed)

    def _find_secret(self, told: str) -> Secret | None:
        """By its name or its commitment."""
        found = COMMITMENT.fullmatch(told)
        name = (found[1] if found else told)[:64]
        if name not in self.secrets and len(self.secrets) >= SECRETS:
            return None
        return self.secrets.setdefault(name, Secret())

    def _find_host(self, record: Members, facts: Members) -> Host:
        name = _text(facts, "host") or _text(record, "target")
        if len(name) > _NAME_CHARS:
            name = escape_text(name, _NAME_CHARS)
        host = self.hosts.get(name)
        if host is None:
            if len(self.hosts) >= HOSTS:
                return self.others
            said = record.get("transport") == Transport.MCP_STDIO.value
            host = self.hosts[name] = Host(name, said)
        return host

    def _mark(self, host: Host, at_ns: int, count: int, *, denied: bool) -> None:
        span = self.ended_ns - self.started_ns + 1
        place = min(BINS - 1, max(0, (at_ns - self.started_ns) * BINS // span))
        for strip in (host.strip, self.strip):
            row = strip.denied if denied else strip.allowed
            row[place] = min(_HEIGHT, row[place] + count)

    def _deny(self, record: Members, facts: Members, at_ns: int, count: int, *, observed: bool) -> None:
        key = (
            *(
                record.get(name) if type(record.get(name)) is str else None
                for name in ("transport", "method")
            ),
            *(_text(facts, name) for name in ("host", "proto", "reason")),
            facts.get("port") if type(facts.get("port")) is int else None,
            observed,
            "" if "host" in facts else _text(record, "target"),
        )
        denial = self.denials.get(key)
        if denial is None:
            if len(self.denials) >= KINDS:
                self.denials_left_out += count
                return
            denial = self.denials[key] = Denial(record, facts, at_ns, observed)
        elif denial.record.get("target") != record.get("target"):
            denial.targets += 1
        denial.count += count


def read_story(stream: BinaryIO, started_ns: int, ended_ns: int) -> Story:
    """The whole file, one line in memory at a time. Raises OSError where it cannot be read."""
    story = Story(started_ns, ended_ns)
    for told in read_stream(stream):
        story.feed(told.record, told.facts)
    return story


def _find_way(record: Members, facts: Members) -> str:
    proto, port = _text(facts, "proto"), facts.get("port")
    proto = "https" if _text(record, "target").startswith("https://") else proto
    return f"{proto[:16]} {port}" if proto and type(port) is int and 0 < port < 65536 else ""


def _text(members: Members, name: str) -> str:
    value = members.get(name)
    return value if isinstance(value, str) else ""


def _whole(members: Members, name: str) -> int:
    value = members.get(name)
    return value if type(value) is int and 0 <= value < 1 << 64 else 0
