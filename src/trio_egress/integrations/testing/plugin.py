"""What pytest loads of trio-egress: options, a marker, a fixture. All else is loaded where a test asks for it.

Rule 1: nothing but pytest is imported here.
Rule 2: never a silent pass: a test that asks for a sandbox and gets none fails, and says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from trio_egress.integrations.testing.runs import Egress

MARKER = "egress(policy=…, allow=[…], isolate=False, fail_on='deny', timeout=…): what the test may contact"
INSIDE = "trio_egress.integrations.testing.inside"
"""The plugin of a pytest that runs in a sandbox already."""


def pytest_addoption(parser: pytest.Parser) -> None:
    add = parser.getgroup("egress", "tests in a sandbox (trio-egress)").addoption
    add("--egress-policy", metavar="FILE", help="run every test in a sandbox with this policy")
    add(
        "--egress-each",
        choices=["test", "file"],
        default="test",
        help="with --egress-policy: a sandbox for each test (default), or one for all tests of a file, which is "
        "quicker, and tells what was denied of all of them",
    )
    add(
        "--egress-fail-on",
        choices=["never", "deny"],
        default="never",
        help="`deny`: a test that met a denial fails",
    )
    add(
        "--egress-evidence",
        metavar="DIR",
        help="where Audit Packets go, one directory a run (default: trio-egress-audit in the root directory)",
    )
    add(
        "--egress-key", metavar="FILE", help="signing key of `trio-egress keygen` (default: one for each run)"
    )
    add("--egress-args", metavar="ARGS", default="", help="more arguments for the pytest inside")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    if config.getoption("egress_policy") and not config.pluginmanager.hasplugin(INSIDE):
        from trio_egress.integrations.testing.terms import check_policy

        check_policy(config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.pluginmanager.hasplugin(INSIDE):
        return
    if config.getoption("egress_policy") or any(map(_asks, items)):
        from trio_egress.integrations.testing.session import Sandboxed

        config.pluginmanager.register(Sandboxed(config, items), "trio-egress-tests")


def _asks(item: pytest.Item) -> bool:
    return "egress" in getattr(item, "fixturenames", ()) or item.get_closest_marker("egress") is not None


@pytest.fixture
def egress(request: pytest.FixtureRequest) -> Egress:
    """`egress.run([…])` runs a command in a sandbox with this test's policy, and gives what came of it as a value."""
    from trio_egress.integrations.testing.runs import open_egress

    return open_egress(request.node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = [report for reports in terminalreporter.stats.values() for report in reports if _is_told(report)]
    if told:
        from trio_egress.integrations.testing.summary import write_summary

        write_summary(terminalreporter, told)


def _is_told(report: object) -> bool:
    return any(name == "egress_packet" for name, _ in getattr(report, "user_properties", ()))
