"""Tests in a sandbox: a pytest of their own inside runs them, and what became of each is carried back.

Rule 1: what was denied is the supervisor's word, never the tests'. Where tests share a sandbox it is told of all of
them: receipts that sum up come late, so that time says nothing of whose it was.
Rule 2: a test of which no whole report came is one that failed.
"""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from trio_egress.errors import TrioEgressError
from trio_egress.evidence.report import Verdict
from trio_egress.integrations.testing.plugin import INSIDE
from trio_egress.integrations.testing.runs import tell_run
from trio_egress.integrations.testing.terms import Settings, Terms
from trio_egress.library.result import Run
from trio_egress.library.running import run
from trio_egress.values import define

OUTPUT_BYTES = 256 << 20
SHOWN_LINES = 40
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); import pytest; sys.exit(pytest.main())"
)
"""As xdist starts its workers: the import path is the outer one's."""


@define
class Course:
    """What is told of one test."""

    reports: list[Any] = attrs.field(factory=list)
    whole: bool = False


@define
class Told:
    """What the pytest inside has told, and what else stood on its standard error."""

    courses: dict[str, Course] = attrs.field(factory=dict)
    uncollected: list[str] = attrs.field(factory=list)
    rest: list[str] = attrs.field(factory=list)


def run_inside(
    items: Sequence[pytest.Item], terms: Terms, settings: Settings
) -> dict[str, list[pytest.TestReport]]:
    """The reports of each test, by its name. They have the same terms, with a policy."""
    config, word = items[0].config, secrets.token_hex(16)
    assert terms.policy is not None
    try:
        done = run(
            [sys.executable, "-c", PROGRAM, json.dumps(sys.path), *_make_arguments(items, word)],
            policy=terms.policy,
            allow=terms.allow,
            directory=config.invocation_params.dir,
            timeout=terms.timeout,
            max_output=OUTPUT_BYTES,
            evidence_in=settings.evidence,
            key=settings.key,
        )
    except TrioEgressError as error:
        return {
            item.nodeid: [fail_item(item, f"egress: no sandbox, so nothing ran: {error}")] for item in items
        }
    told = read_told(done.stderr.decode(errors="replace"), word)
    properties = tell_run(done, len(items))
    return {item.nodeid: _report(item, terms, done, told, properties) for item in items}


def _make_arguments(items: Sequence[pytest.Item], word: str) -> list[str]:
    config = items[0].config
    option = config.option
    arguments = [f"--rootdir={config.rootpath}", "-q", "-p", INSIDE, f"--egress-inside={word}"]
    arguments += [part for name in option.plugins for part in ("-p", name)]
    arguments += ["-c", str(config.inipath)] if config.inipath else []
    arguments += [part for each in option.override_ini or () for part in ("-o", each)]
    arguments += [part for each in option.pythonwarnings or () for part in ("-W", each)]
    arguments += [f"--import-mode={option.importmode}", f"--tb={option.tbstyle}", *["-l"] * option.showlocals]
    arguments += ["-n0"] if config.pluginmanager.hasplugin("xdist") else []
    arguments += ["--no-cov"] if config.pluginmanager.hasplugin("pytest_cov") else []
    arguments += shlex.split(config.getoption("egress_args"))
    return [*arguments, "--", *map(_address, items)]


def _address(item: pytest.Item) -> str:
    """As pytest takes it from any directory."""
    _, colons, below = item.nodeid.partition("::")
    return f"{item.path}{colons}{below}"


def read_told(text: str, word: str) -> Told:
    told = Told()
    for line in text.splitlines():
        try:
            said = json.loads(line.removeprefix(f"{word} ")) if line.startswith(f"{word} ") else None
        except ValueError:
            said = None
        match said:
            case {"begins": str(name)}:
                told.courses[name] = Course()
            case {"of": str(name), "report": report} if name in told.courses:
                told.courses[name].reports.append(report)
            case {"ends": str(name)} if name in told.courses:
                told.courses[name].whole = True
            case {"uncollected": str(reason)}:
                told.uncollected.append(reason)
            case _:
                told.rest += [line] if line.strip() else []
    return told


def _report(
    item: pytest.Item, terms: Terms, done: Run, told: Told, properties: Sequence[tuple[str, object]]
) -> list[pytest.TestReport]:
    course = told.courses.get(item.nodeid, Course())
    reports = [_read_report(item, one) for one in course.reports]
    if not course.whole or not reports:
        reports.append(fail_item(item, _explain_absence(done, told)))
    elif done.verdict not in (Verdict.VALID, Verdict.SELF_CONSISTENT):
        reports.append(fail_item(item, f"egress: the packet {done.packet.path} is {done.verdict.value}"))
    elif terms.fails and done.denied_count and not any(report.failed for report in reports):
        fail_report(next((one for one in reports if one.when == "call"), reports[-1]), properties)
    for report in reports:
        report.user_properties = [*report.user_properties, *properties]
    return reports


def _read_report(item: pytest.Item, data: dict[str, Any]) -> pytest.TestReport:
    """JSON has made lists of its pairs."""
    for name in ("user_properties", "sections"):
        data[name] = [tuple(pair) for pair in data[name]]
    for name in ("location", "longrepr"):
        data[name] = tuple(data[name]) if isinstance(data[name], list) else data[name]
    report: pytest.TestReport = item.config.hook.pytest_report_from_serializable(
        config=item.config, data=data
    )
    return report


def _explain_absence(done: Run, told: Told) -> str:
    end = "ran out of time" if done.timed_out else done.message or f"ended with {done.returncode}"
    output = done.stdout.decode(errors="replace").splitlines()
    shown = [*told.uncollected, *told.rest[-SHOWN_LINES:], *output[-SHOWN_LINES:]]
    return "\n".join([f"egress: the pytest inside {end}, and this test has not come to its end", *shown])


def fail_item(item: pytest.Item, reason: str) -> pytest.TestReport:
    return pytest.TestReport(item.nodeid, item.location, {}, "failed", reason, "setup")


def fail_report(report: pytest.TestReport, properties: Sequence[tuple[str, object]]) -> None:
    """Whoever asks for it: a test that met a denial has failed."""
    said = dict(properties)
    where = f", in a sandbox of {said['egress_tests']} tests" if "egress_tests" in said else ""
    lines = "".join(f"\n  {value}" for name, value in properties if name == "egress_denied")
    report.outcome = "failed"
    report.longrepr = (
        f"egress: denied{where}, and --egress-fail-on or the marker says that such a test fails:{lines}"
    )
