"""A packet as JUnit XML, for a CI's list of tests: a suite with the verifier's verdict and a case for each destination.

Rule 1: a destination fails that was denied, even once; one that a run only observed, and would have denied, is skipped.
Rule 2: the bytes are ASCII and what XML 1.0 allows, whatever an agent made of its names: receipts are read as
printable ASCII, and the serializer escapes the rest.
Rule 3: bounded: CASES destinations have a case of their own, and REASONS reasons each a line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import attrs

from trio_egress.evidence.attempts import Attempt
from trio_egress.evidence.receipt import parse_timestamp
from trio_egress.evidence.report import Verdict
from trio_egress.views.picture import Picture

CASES = 10_000
REASONS = 20
NAME_CHARS = 200
REASON_CHARS = 500
SUITE = "trio-egress"
FAILED = (Verdict.INVALID, Verdict.UNREADABLE)


@attrs.define
class _Case:
    """All that went to one place. `reasons`: of denials, with how often."""

    allowed: int = 0
    denied: int = 0
    observed: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    duration_us: int = 0
    reasons: Counter[str] = attrs.field(factory=Counter)


def render_junit(picture: Picture) -> Iterator[str]:
    """One XML document, in pieces."""
    root = Element("testsuites", name=SUITE)
    suite = SubElement(root, "testsuite")
    _add_verdict(suite, picture)
    cases, omitted = _gather(picture)
    for place in sorted(cases):
        _add_case(suite, place, cases[place])
    if omitted.denied or omitted.allowed or omitted.observed:
        _add_case(suite, "all other destinations", omitted)
    _count(root, suite, picture)
    indent(root)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield tostring(root, encoding="us-ascii").decode("ascii")
    yield "\n"


def _count(root: Element, suite: Element, picture: Picture) -> None:
    report = picture.report
    totals = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    begun, ended = parse_timestamp(report.started_at) or 0, parse_timestamp(report.ended_at) or 0
    for element in (root, suite):
        for name, value in totals.items():
            element.set(name, str(value))
        element.set("time", _seconds((ended - begun) // 1000))
    suite.set("name", f"{SUITE} {report.run_id}".strip())
    if report.started_at:
        suite.set("timestamp", report.started_at[:19])
    properties = Element("properties")
    for name in ("run_id", "policy_hash", "head", "signer_key", "close_reason"):
        SubElement(properties, "property", name=name, value=str(getattr(report, name)))
    SubElement(properties, "property", name="verdict", value=report.verdict.value)
    suite.insert(0, properties)


def _add_verdict(suite: Element, picture: Picture) -> None:
    report = picture.report
    case = SubElement(suite, "testcase", classname=f"{SUITE}.evidence", name="the packet verifies", time="0")
    if not picture.warning:
        return
    said = [report.error] if report.error else []
    said += [f"[{finding.code}] {finding.message}" for finding in report.findings]
    if report.finding_count > len(report.findings):
        said.append(f"... and {report.finding_count - len(report.findings)} more")
    kind = "skipped" if report.verdict is Verdict.SELF_CONSISTENT else "error"
    told = SubElement(case, kind, message=picture.warning, type=report.verdict.value)
    told.text = "\n".join(said) or None


def _gather(picture: Picture) -> tuple[dict[str, _Case], _Case]:
    """The cases by their places, and one for all that go beyond the bound."""
    cases: dict[str, _Case] = {}
    omitted = _Case()
    for attempt in picture.attempts():
        place = _cut(attempt.place, NAME_CHARS)
        if place in cases or len(cases) < CASES:
            _add(cases.setdefault(place, _Case()), attempt)
        else:
            _add(omitted, attempt)
    return cases, omitted


def _add(case: _Case, attempt: Attempt) -> None:
    last = attempt.last
    case.bytes_up += attempt.bytes("bytes_up")
    case.bytes_down += attempt.bytes("bytes_down")
    case.duration_us += last.number("duration_us") or 0
    if attempt.denied:
        case.denied += last.count
    elif last.observed:
        case.observed += last.count
    else:
        case.allowed += last.count
        return
    reason = _cut(f"{last.method} {last.target}: {last.reason}".strip(), REASON_CHARS)
    if reason in case.reasons or len(case.reasons) < REASONS:
        case.reasons[reason] += last.count


def _add_case(suite: Element, place: str, case: _Case) -> None:
    kind, _, name = place.partition(":")
    element = SubElement(
        suite,
        "testcase",
        classname=f"{SUITE}.{kind if name else 'all'}",
        name=place,
        time=_seconds(case.duration_us),
    )
    if case.denied or case.observed:
        times = case.denied or case.observed
        verb = "denied" if case.denied else "observed, and against the policy:"
        message = f"{verb} {'once' if times == 1 else f'{times} times'}"
        told = SubElement(
            element, "failure" if case.denied else "skipped", message=message, type=verb.split(",")[0]
        )
        told.text = "\n".join(f"{count} x {reason}" for reason, count in case.reasons.items())
    if case.allowed:
        up, down = case.bytes_up, case.bytes_down
        SubElement(element, "system-out").text = f"allowed {case.allowed}; {up} bytes sent, {down} received"


def _seconds(duration_us: int) -> str:
    return f"{max(duration_us, 0) / 1e6:.3f}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
