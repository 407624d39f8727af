"""What a run looks for in what passes, and what becomes of what it finds in one attempt.

Imported only where the policy asks for a scan; the bodies are scan.py's.

Rule 1: what is found is told before anything that holds it goes on: with the denial, with the intent, or by a receipt
        of its own.
Rule 2: a credential on its way home is none that leaks: one that its detector knows to belong to the host of the
        request, or to any (`*`: nobody knows whose it is), in a place that is made for credentials.
Rule 3: a value of the run whose form nobody knows is only told in such a place, unless the policy says otherwise: the
        host was allowed, and programs log in there.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import attrs

from trio_egress.content.detector import Detector, Finding, Way
from trio_egress.content.fingerprint import fingerprint
from trio_egress.content.fragments import Fragments
from trio_egress.content.scanner import Scanner
from trio_egress.evidence.scan_facts import Found, ToldFinding, in_header, in_trailer
from trio_egress.evidence.scan_form import ANSWER, FINDINGS, HEADER, HOST, TARGET
from trio_egress.model import Action, Host, Kind, Layer, ScanTerms
from trio_egress.policy.moment import Moment
from trio_egress.policy.scan import find_suppression, resolve_action
from trio_egress.proxy.judge import Judgement, deny
from trio_egress.proxy.messages import MessageLook
from trio_egress.proxy.scan import Blocked, ScannedAnswer, ScannedRequest
from trio_egress.wire.message import Fields, RequestHead, ResponseHead

if TYPE_CHECKING:
    from trio_egress.recorder import Flow

HELD_BYTES = 64 << 20
"""Bodies of requests that are looked through whole, of one run at one time."""

ANYWHERE = "*"
"""The home of a credential of which nobody knows whose it is."""

_CREDENTIAL_FIELD = re.compile(
    rb"authorization|cookie|[a-z0-9-]*(?:key|token|auth|secret|credential)[a-z0-9-]*"
)
_CREDENTIAL_PARAMETER = re.compile(
    rb"[?&](?:[A-Za-z0-9_.-]*(?:[Kk]ey|[Tt]oken|[Aa]uth|[Ss]ecret|[Cc]redential|[Ss]ignature)[A-Za-z0-9_.-]*|sig)=[^&]*\Z"
)


class Inspection:
    """Of one run. `values`: its own, by the names of their detectors. `fragments`: what remembers their pieces."""

    def __init__(
        self,
        scanner: Scanner,
        values: Mapping[str, bytes] | None = None,
        fragments: Fragments | None = None,
    ) -> None:
        self.scanner = scanner
        self.fragments = fragments
        self.values = dict(values or {})
        self._held = 0
        self._actions: dict[ScanTerms, frozenset[Action]] = {}

    @contextmanager
    def open(self, judged: Judgement) -> Iterator[Inspector]:
        """For one attempt that is allowed, and is to be looked through."""
        terms = judged.decision.scan
        if terms is None:
            raise ValueError("what is not to be scanned has no inspector")
        inspector = Inspector(self, terms, judged.moment, judged.attempt.host)
        try:
            yield inspector
        finally:
            self._held -= inspector.held

    def open_message(self, terms: ScanTerms, moment: Moment) -> Inspector:
        """For one message over the standard streams of an MCP server."""
        if self.fragments is not None:
            self.fragments.begin()
        return Inspector(self, terms, moment)

    def reserve(self, size: int) -> bool:
        """Whether there is room for so much more of a body."""
        if self._held + size > HELD_BYTES:
            return False
        self._held += size
        return True

    def find_actions(self, terms: ScanTerms) -> frozenset[Action]:
        """What may become of what is found in an answer."""
        if terms not in self._actions:
            looking = (each for each in self.scanner.detectors if Way.IN in each.ways)
            self._actions[terms] = frozenset(_resolve(terms, each) for each in looking)
        return self._actions[terms]


class Inspector:
    """Of one attempt. `told` goes with its intent or its denial; after `begin`, each finding has its own receipt."""

    out, incoming = Way.OUT, Way.IN

    def __init__(
        self, inspection: Inspection, terms: ScanTerms, moment: Moment, host: Host | None = None
    ) -> None:
        self.terms = terms
        self.scanner = inspection.scanner
        self.held = 0
        self._inspection = inspection
        self._moment = moment
        self._host = host
        self._told: list[ToldFinding] = []
        self._unread = ""
        self._flow: Flow | None = None

    # the request, before its intent

    def look_at_request(self, head: RequestHead) -> None:
        """At where it goes, and its fields. Raises Blocked."""
        if not self.terms.requests:
            return
        fields = [(in_header(name), b"%b: %b" % (name, value)) for name, value in head.fields]
        host = str(self._host).encode("ascii")
        target = f"{head.method} {head.path}".encode("ascii", "replace")
        parts = [(HOST, host), (TARGET, target), *fields]
        self._look_at(parts, Way.OUT)
        self._look_for_pieces(parts)

    def find_pieces(self, body: bytes) -> list[Finding]:
        """Of values of the run which this begin of a body completes."""
        fragments = self._inspection.fragments
        return [] if fragments is None else fragments.add(body)

    def reserve(self, size: int) -> None:
        """Room for so much more of a body. Raises Blocked."""
        if not self._inspection.reserve(size):
            raise Blocked(
                f"more than {HELD_BYTES >> 20} MiB are being sent at once that are to be looked through"
            )
        self.held += size

    def release(self, size: int) -> None:
        """So much of what was reserved isn't held any more."""
        self._inspection.reserve(-size)
        self.held -= size

    def open_request(self, head: RequestHead) -> ScannedRequest | None:
        return ScannedRequest(self, head) if self.terms.requests else None

    def open_answer(self) -> ScannedAnswer | None:
        return ScannedAnswer(self) if self.terms.answers else None

    def open_messages(self) -> tuple[MessageLook | None, MessageLook | None]:
        """Of a WebSocket: what looks through the agent's messages, and the upstream's."""
        terms = self.terms
        return (
            MessageLook(self, answers=False) if terms.requests else None,
            MessageLook(self, answers=True) if terms.answers else None,
        )

    def deny(self, judged: Judgement, found: Blocked) -> Judgement:
        denied = attrs.evolve(deny(Layer.SCAN, str(found)), rule=judged.decision.rule, scan=self.terms)
        return self.note(attrs.evolve(judged, decision=denied))

    def note(self, judged: Judgement) -> Judgement:
        """With what was found so far among its facts."""
        return attrs.evolve(judged, facts={**judged.facts, **self.take_facts()})

    def take_facts(self) -> dict[str, object]:
        """What was found so far, for the receipt that is written next."""
        facts: dict[str, object] = {}
        if self._told:
            facts[FINDINGS] = Found(tuple(self._told))
            self._told = []
        if self._unread:
            facts["unscanned"] = self._unread
        return facts

    # after it

    def begin(self, flow: Flow) -> None:
        """The intent is on disk: what is found from now on has receipts of its own."""
        self._flow = flow

    async def tell(self) -> None:
        """Have on disk what was found. Nothing that holds it may go on before."""
        if self._flow is None:
            return
        if self._unread:
            self._flow.note(unscanned=self._unread)
        if self._told:
            told, self._told = self._told, []
            await self._flow.find(told)

    async def look_at_trailers(self, fields: Fields) -> None:
        """Of the request. Raises Blocked."""
        await self._look_and_tell(
            [(in_trailer(name), b"%b: %b" % (name, value)) for name, value in fields], Way.OUT
        )

    async def look_at_answer(self, head: ResponseHead) -> None:
        """At the fields of a head, and what it says of its status. Raises Blocked."""
        fields = ((b"status", head.phrase), *head.fields)
        parts = [(in_header(name, answer=True), b"%b: %b" % (name, value)) for name, value in fields]
        await self._look_and_tell(parts, Way.IN)

    async def look_at_answer_trailers(self, fields: Fields) -> None:
        """Raises Blocked."""
        parts = [(in_trailer(name, answer=True), b"%b: %b" % (name, value)) for name, value in fields]
        await self._look_and_tell(parts, Way.IN)

    # what becomes of a finding

    def judge(
        self, found: Sequence[tuple[Finding, str]], *, can_strip: bool = False, text: bytes = b""
    ) -> list[Finding]:
        """What of it is to be made unreadable. Raises Blocked for the first that must not pass.

        `text`: that in which it was found, where its receipt could repeat some of it.
        """
        stripped: list[Finding] = []
        blocked: Blocked | None = None
        for finding, place in found:
            action = self._decide(finding, place, text, can_strip=can_strip)
            if action is Action.STRIP:
                stripped.append(finding)
            if action is Action.BLOCK and blocked is None:
                blocked = Blocked(_explain(finding, place))
        if blocked is not None:
            raise blocked
        return stripped

    @property
    def may_refuse(self) -> bool:
        """Whether an answer could be ended."""
        return not self._observing and Action.BLOCK in self._inspection.find_actions(self.terms)

    @property
    def may_strip(self) -> bool:
        """Whether something could be taken out of an answer."""
        return not self._observing and Action.STRIP in self._inspection.find_actions(self.terms)

    def leave_unread(self, reason: str) -> None:
        """What can't be looked into. Raises Blocked where the policy says so."""
        self._unread = reason
        if self._flow is not None:
            self._flow.note(unscanned=reason)
        if self.terms.unreadable is Action.BLOCK and not self._observing:
            raise Blocked(f"it can't be looked through: {reason}")

    async def judge_and_tell(
        self, found: Sequence[tuple[Finding, str]], *, can_strip: bool = False
    ) -> list[Finding]:
        """`judge`, with everything of it on disk."""
        try:
            return self.judge(found, can_strip=can_strip)
        finally:
            await self.tell()

    def _decide(self, finding: Finding, place: str, text: bytes, *, can_strip: bool) -> Action:
        """What becomes of it; told, if it is anything."""
        detector, now = finding.detector, self._moment.now_us
        value = self._inspection.values.get(detector.name, finding.value)
        mark = fingerprint(detector.name, value) if self.terms.suppressed else ""
        if find_suppression(self.terms, detector.name, mark, now) is not None:
            self._tell(finding, place, "suppressed", text)
            return Action.OFF
        default = detector.action
        if detector.kind is Kind.EXACT and default is Action.BLOCK and _is_credential_place(place):
            default = Action.WARN
        action = _resolve(self.terms, detector, default, outward=not place.startswith(ANSWER))
        if action is Action.STRIP and not can_strip:
            action = Action.BLOCK
        if self._observing and action in (Action.BLOCK, Action.STRIP):
            action = Action.WARN
        if action is not Action.OFF:
            self._tell(finding, place, action.value, text)
        return action

    def _tell(self, finding: Finding, place: str, action: str, text: bytes) -> None:
        detector = finding.detector
        self._told.append(
            ToldFinding(
                kind=detector.kind.value,
                detector=detector.name,
                place=place,
                action=action,
                severity=detector.severity.value,
                via=finding.via,
                value=self._inspection.values.get(detector.name, finding.value),
                spelt=(finding.value, text[finding.start : finding.end]),
            )
        )

    async def _look_and_tell(self, parts: list[tuple[str, bytes]], way: Way) -> None:
        try:
            self._look_at(parts, way)
        finally:
            await self.tell()

    def _look_at(self, parts: list[tuple[str, bytes]], way: Way) -> None:
        """At all of the parts at once; a line each."""
        text = b"\n".join(raw for _, raw in parts)
        findings = self.scanner.scan(text, way)
        if not findings:
            return
        placed = _place(findings, parts)
        host = self._host
        home = [each for each, part in placed if _is_at_home(each, part, text, host)]
        self.judge([(each, part[0]) for each, part in placed if not _goes_home(each, home)], text=text)

    def _look_for_pieces(self, parts: list[tuple[str, bytes]]) -> None:
        """For values of the run that leave in pieces; the first part is the host."""
        fragments = self._inspection.fragments
        if fragments is None:
            return
        fragments.begin()
        host = parts[0][1]
        self.judge([(each, HOST) for each in fragments.find_in_host(host.decode("ascii"))], text=host)
        text = b"\n".join(raw for _, raw in parts[1:])
        self.judge([(each, part[0]) for each, part in _place(fragments.add(text), parts[1:])], text=text)

    @property
    def _observing(self) -> bool:
        return self._moment.observing


def _place(
    findings: Iterable[Finding], parts: Sequence[tuple[str, bytes]]
) -> list[tuple[Finding, tuple[str, bytes]]]:
    """Each with the part in which it begins, of those that stand in a line each."""
    starts = [0, *itertools.accumulate(len(raw) + 1 for _, raw in parts)]
    return [(each, parts[bisect.bisect_right(starts, each.start) - 1]) for each in findings]


def _resolve(
    terms: ScanTerms, detector: Detector, default: Action | None = None, *, outward: bool = False
) -> Action:
    return resolve_action(terms, detector.kind, detector.name, default or detector.action, outward=outward)


def _is_credential_place(place: str) -> bool:
    kind, _, name = place.partition(" ")
    return kind == HEADER and _CREDENTIAL_FIELD.fullmatch(name.encode("ascii", "replace")) is not None


def _is_at_home(finding: Finding, part: tuple[str, bytes], text: bytes, host: Host | None) -> bool:
    """Rule 2."""
    if not any(_covers(home, host) for home in finding.detector.home):
        return False
    if part[0] == TARGET:
        return _CREDENTIAL_PARAMETER.search(text[: finding.start].rpartition(b"\n")[2]) is not None
    return _is_credential_place(part[0])


def _covers(home: str, host: Host | None) -> bool:
    if home == ANYWHERE:
        return True
    if host is None or isinstance(host, (IPv4Address, IPv6Address)):
        return False
    return host.endswith(home[1:]) if home.startswith("*.") else host == home


def _goes_home(finding: Finding, home: Sequence[Finding]) -> bool:
    """Whether it is what goes home, or of what does; a canary has none. That one may go anywhere excuses no other."""
    return finding.detector.kind is not Kind.CANARY and any(
        other is finding
        or (ANYWHERE not in other.detector.home and finding.start < other.end and other.start < finding.end)
        for other in home
    )


def _explain(finding: Finding, place: str) -> str:
    detector = finding.detector
    what = "" if detector.description == detector.name else f": {detector.description}"
    return f"{detector.name} was found in its {place}{what}"
