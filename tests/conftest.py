"""What holds for every test.

Rule 1: where nothing may be skipped (`--no-skips`, CI=true), a skipped test fails the run, by a code of its own.
Rule 2: what only root can do is marked `root`, what only others are refused `ordinary`; each is selected only where it
belongs, and `./check` runs the suite as both.
Rule 3: no test depends on how fast a machine is.
"""

from __future__ import annotations

import os

import hypothesis
import pytest

if (
    hypothesis.settings.get_current_profile_name() == "default"
):  # with CI=true there is another, which does the same
    hypothesis.settings.register_profile(
        "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("unhurried")

SKIPPED = 10
"""The code of a run in which something was skipped, whatever else failed; none of pytest's own."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="a run in which any test was skipped fails (as with CI=true)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    foreign = "ordinary" if os.geteuid() == 0 else "root"
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(foreign)])
    items[:] = [item for item in items if not item.get_closest_marker(foreign)]


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not (session.config.getoption("--no-skips") or os.environ.get("CI") == "true"):
        return
    skipped = len(reporter.stats.get("skipped", []))
    if skipped:
        reporter.write_line(f"\n{skipped} skipped: nothing may be skipped here, so this run failed", red=True)
        session.exitstatus = SKIPPED
