"""One session of pytest in which tests run in a sandbox, or start something there.

Rule 1: a test that is marked and neither runs inside nor starts anything inside fails: it would pass unheld.
Rule 2: tests of one file share a sandbox only where the command line alone asks for one.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import pytest

from trio_egress.integrations.testing.isolated import fail_item, fail_report, run_inside
from trio_egress.integrations.testing.runs import EGRESS, NO_POLICY
from trio_egress.integrations.testing.terms import Settings, Terms, read_terms

UNHELD = (
    "egress: this test is marked, but nothing holds it: give it the fixture `egress` and start what it runs by "
    "`egress.run([…])`, or mark it with isolate=True, and it runs inside itself"
)
BOTH = "egress: with isolate=True this test is inside already, and can't start a sandbox there: drop one of the two"


class Sandboxed:
    """Registered where a test asks for it."""

    def __init__(self, config: pytest.Config, items: Sequence[pytest.Item]) -> None:
        self._terms = {item.nodeid: read_terms(item) for item in items}
        self._settings = Settings.read(config)
        self._each = config.getoption("egress_each")
        self._alone = hasattr(config, "workerinput")  # of xdist: others run the rest of a file
        self._ready: dict[str, list[pytest.TestReport]] = {}
        self._failing: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        terms = self._terms[item.nodeid]
        if not (terms.whole or terms.marked) or (terms.starts and not terms.whole):
            return None
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._run(item, terms):
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _run(self, item: pytest.Item, terms: Terms) -> list[pytest.TestReport]:
        if not terms.whole or terms.starts or terms.policy is None:
            return [fail_item(item, UNHELD if not terms.whole else BOTH if terms.starts else NO_POLICY)]
        if item.nodeid not in self._ready:
            self._ready.update(run_inside(self._find_others(item, terms), terms, self._settings))
        return self._ready.pop(item.nodeid)

    def _find_others(self, item: pytest.Item, terms: Terms) -> list[pytest.Item]:
        """What runs in the same sandbox, in order, itself first."""
        if self._alone or terms.marked or self._each == "test":
            return [item]
        rest = item.session.items[item.session.items.index(item) :]
        return [one for one in rest if one.path == item.path and self._terms[one.nodeid] == terms]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """For what the fixture has started."""
        report = yield
        egress = item.stash.get(EGRESS, None)
        if egress is not None and egress.terms.fails and egress.denied_count and report.passed:
            if item.nodeid not in self._failing:
                fail_report(report, item.user_properties)
            self._failing.add(item.nodeid)
        return report
