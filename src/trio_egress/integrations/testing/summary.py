"""The section of the terminal's summary that tells which test was denied what, and where the packets are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from trio_egress.values import define


@define
class Line:
    """What one test's properties say."""

    packets: tuple[str, ...]
    denied: tuple[str, ...]
    count: int
    tests: int


def write_summary(reporter: pytest.TerminalReporter, reports: Iterable[pytest.TestReport]) -> None:
    tests = {report.nodeid: read_line(report.user_properties) for report in reports}
    lines = {_name(test, line): line for test, line in tests.items()}
    met = {name: line for name, line in lines.items() if line.count}
    reporter.section("egress")
    for name, line in (lines if reporter.verbosity > 0 else met).items():
        reporter.line(f"{name}: {line.count or 'nothing'} denied")
        for denied in line.denied:
            reporter.line(f"    {denied}")
        for packet in line.packets:
            reporter.line(f"    packet: {packet}")
    for place, count in _find_places(lines).items():
        reporter.line(f"{_say(count, 'packet')} in {place}")
    denials = sum(bool(line.count) for line in tests.values())
    reporter.line(f"{_say(len(tests), 'test')} in a sandbox, {denials} of them with denials")


def _name(test: str, line: Line) -> str:
    """Of tests that shared a sandbox: their file."""
    return test if line.tests == 1 else f"{test.partition('::')[0]} ({line.tests} tests in one sandbox)"


def _say(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def read_line(properties: Iterable[tuple[str, object]]) -> Line:
    """A packet is named once for each run that made one."""
    said: dict[str, list[str]] = {}
    for name, value in properties:
        said.setdefault(name, []).append(str(value))
    return Line(
        packets=tuple(said.get("egress_packet", ())),
        denied=tuple(said.get("egress_denied", ())),
        count=sum(map(int, said.get("egress_denied_count", ()))),
        tests=int(said.get("egress_tests", ["1"])[0]),
    )


def _find_places(tests: Mapping[str, Line]) -> dict[Path, int]:
    packets = {Path(packet) for line in tests.values() for packet in line.packets}
    places: dict[Path, int] = {}
    for packet in sorted(packets):
        places[packet.parent] = places.get(packet.parent, 0) + 1
    return places
