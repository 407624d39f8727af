"""A packet as JUnit XML, for a CI's list of tests: a suite with the verifier's verdict and a case for each destination.

Rule 1: a destination fails that was denied, even once; one that a run only observed, and would have denied, is skipped.
Rule 2: the bytes are ASCII and what XML 1.0 allows, whatever an agent made of its names: receipts are read as
printable ASCII, and the serializer escapes the rest.
Rule 3: bounded, as a census is.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from trio_egress.evidence.receipt import parse_timestamp
from trio_egress.evidence.report import Verdict
from trio_egress.views.census import Visits, take_census
from trio_egress.views.picture import Picture

SUITE = "trio-egress"


def render_junit(picture: Picture) -> Iterator[str]:
    """One XML document, in pieces."""
    root = Element("testsuites", name=SUITE)
    suite = SubElement(root, "testsuite")
    _add_verdict(suite, picture)
    for place, visits in take_census(picture.attempts()).items():
        _add_case(suite, place, visits)
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
    if picture.warning:
        said = [report.error] if report.error else []
        said += [f"[{finding.code}] {finding.message}" for finding in report.findings]
        if report.finding_count > len(report.findings):
            said.append(f"... and {report.finding_count - len(report.findings)} more")
        kind = "skipped" if report.verdict is Verdict.SELF_CONSISTENT else "error"
        told = SubElement(case, kind, message=picture.warning, type=report.verdict.value)
        told.text = "\n".join(said) or None
    if report.notes:
        SubElement(case, "system-out").text = "\n".join(report.notes)


def _add_case(suite: Element, place: str, visits: Visits) -> None:
    kind, _, name = place.partition(":")
    element = SubElement(
        suite,
        "testcase",
        classname=f"{SUITE}.{kind if name else 'places'}",
        name=place,
        time=_seconds(visits.duration_us),
    )
    if visits.denied or visits.observed:
        times = visits.denied or visits.observed
        verb = "denied" if visits.denied else "observed, and against the policy:"
        message = f"{verb} {'once' if times == 1 else f'{times} times'}"
        told = SubElement(
            element, "failure" if visits.denied else "skipped", message=message, type=verb.split(",")[0]
        )
        told.text = "\n".join(f"{count} x {reason}" for reason, count in visits.reasons.items())
    said = [f"found {count} x {words}" for words, count in visits.found.items()]
    if visits.allowed:
        up, down = visits.bytes_up, visits.bytes_down
        said.insert(0, f"allowed {visits.allowed}; {up} bytes sent, {down} received")
    if said:
        SubElement(element, "system-out").text = "\n".join(said)


def _seconds(duration_us: int) -> str:
    return f"{max(duration_us, 0) / 1e6:.3f}"
