"""The plugin of the pytest that runs in a sandbox: what became of each test, told on the standard error that it was
started with. The outer one (isolated.py) reads it.

Rule 1: what is told stands on lines of its own behind a word that only this run has; all else is output.
Rule 2: what would write into the outer one's place (JUnit's file, lists of failed tests), or wait for a person, is off.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

_STREAMS: list[int] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    _STREAMS.append(os.dup(2))  # the first that pytest calls: soon it takes the stream
    parser.addoption("--egress-inside", metavar="WORD", help="set by the pytest outside")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    for name, off in {"xmlpath": None, "usepdb": False, "maxfail": 0, "lf": False, "stepwise": False}.items():
        if hasattr(config.option, name):
            setattr(config.option, name, off)


class Telling:
    """`stream`: standard error as it was before pytest took it."""

    def __init__(self, config: pytest.Config, stream: int) -> None:
        self._config = config
        self._stream = stream
        self._word = config.getoption("egress_inside")

    def _tell(self, **told: Any) -> None:
        line = f"\n{self._word} {json.dumps(told, default=repr)}\n".encode()
        while line:
            line = line[os.write(self._stream, line) :]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._tell(begins=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._tell(of=report.nodeid, report=data)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._tell(ends=nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._tell(uncollected=report.longreprtext)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(Telling(session.config, _STREAMS.pop()), "trio-egress-telling")
