"""What holds for every test: in a check, a skipped test is a failed check."""

from __future__ import annotations

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="a run in which any test was skipped fails (as with CI=true)"
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not (session.config.getoption("--no-skips") or os.environ.get("CI") == "true"):
        return
    skipped = len(reporter.stats.get("skipped", []))
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"\n{skipped} skipped: nothing may be skipped here, so this run failed", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
