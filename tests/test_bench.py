"""`python -m bench`: its tables, JSON and page say what was measured; the measuring itself is `nox -s bench`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bench.figures import Figure, Measured, compare, render_json, render_page, render_table
from bench.installs import NotHad
from bench.subjects import OURS, read_wrk
from bench.workloads import WORKLOADS, Row

ROOT = Path(__file__).parents[1]
ABOUT = {"date": "2026-11-23", "cores": 2}
HOSTILE = "it said <script>|\n</script>"


def make_measured(values: dict[str, list[float]], name: str = "keepalive") -> Measured:
    figures = {
        row: [Figure(subject, each) for subject, each in values.items()] for row in WORKLOADS[name].rows
    }
    return Measured(name, WORKLOADS[name], figures, {"mitmproxy": HOSTILE})


RATES = make_measured({OURS: [900.0, 1100.0, 1000.0], "squid": [2000.0, 4000.0, 2500.0]})


def test_a_table_has_medians_spread_and_ratios() -> None:
    lines = render_table([RATES]).splitlines()
    assert lines[2].endswith("| squid | 2,500 | 2,000 – 4,000 | 0.40 |")
    assert lines[3].endswith("| **trio-egress** | 1,000 | 900 – 1,100 |  |")


def test_who_was_not_run_is_named_with_the_reason_on_one_line() -> None:
    (line,) = (line for line in render_table([RATES]).splitlines() if "mitmproxy" in line)
    assert "not run" in line
    assert "it said <script>/ </script>" in line


@pytest.mark.parametrize(("less", "ratio"), [(False, "0.50"), (True, "2.00")])
def test_a_ratio_says_how_many_times_as_good_ours_is(less: bool, ratio: str) -> None:
    assert compare(Row("", "", less), 10.0, 20.0) == ratio


def test_json_has_every_value_of_every_round() -> None:
    told = json.loads(render_json([RATES], ABOUT))
    (workload,) = told["workloads"]
    assert workload["rows"][0]["subjects"] == {OURS: [900, 1100, 1000], "squid": [2000, 4000, 2500]}
    assert (told["cores"], workload["not_run"]) == (2, {"mitmproxy": HOSTILE})


def test_the_page_has_its_plots_in_it_and_loads_nothing() -> None:
    growth = make_measured({OURS: [900.0], "squid": [2000.0]}, "connections")
    page = render_page([RATES, growth], ABOUT)
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            assert {name for name, _ in attributes}.isdisjoint({"src", "href", "onload"})

    Reader().feed(page)
    assert tags.count("svg") == 2
    assert tags.count("polyline") == 2
    assert "script" not in tags
    assert not re.search(r"https?:|url\(|@import", page)


@pytest.mark.parametrize(
    "text",
    [
        "Requests/sec: 500.00\n  Non-2xx or 3xx responses: 1",
        "Requests/sec: 500.00\n  Socket errors: connect 0, read 0, write 0, timeout 3",
        "unable to connect",
    ],
)
def test_answers_that_are_none_make_no_figure(text: str) -> None:
    with pytest.raises(NotHad):
        read_wrk(text)


def test_help_names_every_workload_and_an_unknown_one_is_refused() -> None:
    command = [sys.executable, "-m", "bench"]
    told = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [name for name in WORKLOADS if name not in told] == []
    assert subprocess.run([*command, "nothing"], cwd=ROOT, capture_output=True, check=False).returncode == 2
