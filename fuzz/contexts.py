"""Runs tests with coverage and writes, as JSON, which test runs which line: `contexts.py ANSWER FILE… -- TESTS…`.

For `mutants.py`. The tests of a line stand in the order of their duration, the shortest first. A line that runs when
its module is loaded is one for every test of the module's own test file.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest


class Switch:
    """Tells coverage which test runs, and notes how long."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.measured.switch_context(item.nodeid)
        started = time.monotonic()
        result = yield
        self.seconds[item.nodeid] = time.monotonic() - started
        self.measured.switch_context("")
        return result


def main(answer: str, *rest: str) -> int:
    files, tests = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
    measured = coverage.Coverage(data_file=None, include=list(files), config_file=False)
    switch = Switch(measured)
    measured.start()
    status = pytest.main(["-q", "-p", "no:cacheprovider", *tests], plugins=[switch])
    measured.stop()
    data = measured.get_data()
    found = {}
    for file in files:
        seconds = switch.seconds
        own = [nodeid for nodeid in seconds if f"/test_{Path(file).stem}" in nodeid] or list(seconds)
        lines = data.contexts_by_lineno(file)
        found[file] = {
            line: sorted(
                {*(own if "" in names else ()), *filter(None, names)}, key=lambda name: seconds[name]
            )
            for line, names in lines.items()
        }
    Path(answer).write_text(json.dumps(found))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
