"""Tests in a sandbox, and what tests start there: the pytest plugin, with a pytest of somebody else's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.runs.launch import ENVIRONMENT, PATIENCE_SECONDS, Place, verify, write_policy

pytestmark = pytest.mark.sandbox

PLUGIN = "trio_egress.integrations.testing.plugin"

THEIRS = '''
import os, subprocess, urllib.error, urllib.request
import pytest

ASKS = """
import urllib.error, urllib.request
try:
    urllib.request.urlopen("http://203.0.113.7:8080/")
except urllib.error.HTTPError as error:
    print(error.code)
"""

def ask(address):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"http://{address}:8080/")

@pytest.fixture(scope="module")
def shared():
    return os.getpid()

@pytest.mark.parametrize("word", ["a::b [c]", "\\u00fc"])
def test_quiet(shared, word):
    assert shared == os.getpid() != int(os.environ["OUTER"])

def test_fails(shared):
    print("shown as ever")
    assert {"a": 1} == {"a": 2}

def test_skipped(): pytest.importorskip("no_such_module")

@pytest.mark.xfail(strict=True)
def test_expected_to_fail(): raise ValueError

def test_dies(tmp_path):
    if "LAST" in os.environ:
        os._exit(7)

def test_starts_what_is_inside(egress):
    done = egress.run(["python3", "-c", ASKS])
    assert int(os.environ["OUTER"]) in (os.getpid(), os.getppid())
    assert (done.stdout, done.returncode) == (b"403\\n", 0)
    assert [denied.host for denied in egress.denied] == ["203.0.113.7"]

@pytest.mark.egress(allow=["api.example.com"], isolate=True)
def test_alone(): ask("203.0.113.8")
'''


def run_pytest(place: Place, *options: str) -> tuple[str, ElementTree.Element]:
    """What it prints, and JUnit's file of it."""
    (place.work / "test_theirs.py").write_text(THEIRS)
    policy, results = place.write("egress.toml", write_policy("api.example.com")), place.path / "junit.xml"
    start = "import os, sys, pytest; os.environ['OUTER'] = str(os.getpid()); sys.exit(pytest.main())"
    command = [sys.executable, "-c", start, "-p", "no:cacheprovider", "-p", "no:trio_egress", "-p", PLUGIN]
    given = [f"--egress-policy={policy}", f"--egress-key={place.key_file}", f"--junitxml={results}"]
    ran = subprocess.run(
        [*command, *given, f"--egress-evidence={place.path}/packets", "--rootdir=.", *options],
        capture_output=True,
        text=True,
        cwd=place.work,
        env=ENVIRONMENT,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    print(ran.stdout, ran.stderr)  # for whoever reads of a failure
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    return ran.stdout, ElementTree.parse(results).getroot()[0]


def read_properties(case: ElementTree.Element) -> dict[str, str]:
    return {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}


def test_tests_run_inside_and_are_told_as_ever(place: Place) -> None:
    out, suite = run_pytest(place, "--egress-each=file", "--egress-fail-on=deny")
    assert {name: suite.attrib[name] for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "8",
        "failures": "3",
        "errors": "0",
        "skipped": "2",
    }
    assert "E       AssertionError: assert {'a': 1} == {'a': 2}" in out
    assert "shown as ever" in out
    told = {case.attrib["name"]: read_properties(case) for case in suite.iter("testcase")}
    assert told["test_quiet[a::b [c]]"]["egress_tests"] == "6"
    assert told["test_quiet[a::b [c]]"]["egress_denied_count"] == "0"
    assert told["test_starts_what_is_inside"]["egress_denied"].endswith("no rule allows 203.0.113.7:8080")
    assert "no rule allows 203.0.113.8:8080" in told["test_alone"]["egress_denied"]
    assert "FAILED test_theirs.py::test_alone - egress: denied, and" in out
    assert "FAILED test_theirs.py::test_starts_what_is_inside - egress: denied, and" in out
    packets = {Path(one["egress_packet"]) for one in told.values()}
    assert len(packets) == 3
    assert all(verify(packet, place.key.public_hex) == 0 for packet in packets)
    summary = out[out.index("= egress =") :]
    assert all(f"packet: {told[name]['egress_packet']}\n" in summary for name in ("test_alone",))
    assert f"3 packets in {place.path}/packets" in summary
    assert "8 tests in a sandbox, 2 of them with denials" in summary


def test_what_workers_of_xdist_have_met_is_told_in_one(place: Place) -> None:
    names = ("test_alone", "test_fails", "test_starts_what_is_inside")
    out, suite = run_pytest(place, "-n2", "-k", " or ".join(names))
    assert "created: 2/2 workers" in out
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["errors"]) == ("3", "1", "0")
    told = {case.attrib["name"]: read_properties(case) for case in suite.iter("testcase")}
    assert {name: one["egress_denied_count"] for name, one in told.items()} == dict(
        zip(names, "101", strict=True)
    )
    packets = {Path(one["egress_packet"]) for one in told.values()}
    assert len(packets) == 3
    assert all(verify(packet, place.key.public_hex) == 0 for packet in packets)
    summary = out[out.index("= egress =") :]
    assert all(f"packet: {told[name]['egress_packet']}\n" in summary for name in (names[0], names[2]))
    assert f"3 packets in {place.path}/packets" in summary
    assert "3 tests in a sandbox, 2 of them with denials" in summary


def test_a_test_that_takes_its_pytest_with_it_has_failed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "LAST", "1")
    out, suite = run_pytest(place, "-k", "test_dies or test_skipped", "--egress-each=file")
    assert re.search(r"egress: the pytest inside .*, and this test has not come to its end", out)
    assert (suite.attrib["errors"], suite.attrib["skipped"]) == ("1", "1")
    assert "OUTER" not in os.environ
