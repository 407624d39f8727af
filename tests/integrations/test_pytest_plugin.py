"""The pytest plugin where no sandbox is built: what costs nothing, what is refused, and what can't be read."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
import tomli

from trio_egress.integrations.testing.isolated import read_told
from trio_egress.integrations.testing.summary import read_line

ROOT = Path(__file__).parents[2]
PLUGIN = "trio_egress.integrations.testing.plugin"


pytest_plugins = "pytester"


def run_pytest(pytester: pytest.Pytester, text: str, *options: str, apart: bool = False) -> tuple[int, str]:
    """With the plugin, whether or not its entry point is installed; its code and all that it says. `apart`: in a
    process of its own."""
    pytester.makepyfile(text)
    chosen = ["-p", "no:cacheprovider", "-p", "no:trio_egress", "-p", PLUGIN, *options]
    ran = pytester.runpytest_subprocess(*chosen) if apart else pytester.runpytest_inprocess(*chosen)
    return int(ran.ret), f"{ran.stdout}\n{ran.stderr}"


def test_pytest_finds_it_by_its_entry_point() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"trio_egress": PLUGIN}
    assert hasattr(import_module(PLUGIN), "pytest_addoption")


def test_where_nothing_asks_for_it_nothing_is_loaded(pytester: pytest.Pytester) -> None:
    program = """
import sys
def test_it():
    ours = {name for name in sys.modules if name.startswith("trio_egress.")}
    assert ours == {"trio_egress.integrations", "trio_egress.integrations.testing", "%s"}
    assert not {"trio", "attr", "nacl"} & set(sys.modules)
"""
    without = [part for name in ("trio", "hypothesispytest", "anyio") for part in ("-p", f"no:{name}")]
    code, said = run_pytest(pytester, program % PLUGIN, *without, apart=True)
    assert code == 0
    assert "egress =" not in said


REFUSED = """
import pytest

def test_without_policy(egress): raise SystemExit("was run")

@pytest.mark.egress(allow=["api.example.com"])
def test_unheld(): raise SystemExit("was run")

@pytest.mark.egress(isolate=True)
def test_alone_without_policy(): raise SystemExit("was run")

@pytest.mark.egress(allow=["api.example.com"], isolate=True)
def test_both(egress): raise SystemExit("was run")

@pytest.mark.egress(allow=["api.example.com"], isolate=True)
def test_no_key(): raise SystemExit("was run")

@pytest.mark.egress(allow=["api.example.com"])
def test_no_key_either(egress): egress.run(["true"])

@pytest.mark.egress(policy="none.toml", isolate=True)
def test_no_such_policy(): raise SystemExit("was run")
"""


def test_what_gets_no_sandbox_fails_and_says_why(pytester: pytest.Pytester) -> None:
    code, said = run_pytest(pytester, REFUSED, "--egress-key=no-such-key")
    assert code == 1
    assert "was run" not in said
    assert "1 failed, " in said
    assert ", 6 errors" in said
    assert said.count("there is no policy for this test") >= 2
    assert "this test is marked, but nothing holds it" in said
    assert "with isolate=True this test is inside already" in said
    assert "egress: no sandbox, so nothing ran: " in said
    assert str(pytester.path / "no-such-key") in said
    assert "none.toml" in said


@pytest.mark.parametrize(
    ("marker", "options", "message"),
    [
        ("polcy='x'", [], "takes allow, fail_on, isolate, policy, timeout, by name"),
        ("allow='api.example.com'", [], "allow is a list of HOST or HOST:PORT, not 'api.example.com'"),
        ("fail_on='denied'", [], "fail_on is 'deny' or 'never', not 'denied'"),
        ("timeout=-1", [], "timeout is a number of seconds, not -1"),
        ("", ["--egress-policy=bad.toml"], "bad.toml:1"),
        ("", ["--egress-policy=none.toml"], "none.toml"),
    ],
)
def test_what_cannot_be_meant_ends_pytest(
    pytester: pytest.Pytester, marker: str, options: list[str], message: str
) -> None:
    (pytester.path / "bad.toml").write_text("version = 1\n")
    text = f"import pytest\n@pytest.mark.egress({marker})\ndef test_it(): raise SystemExit('was run')\n"
    code, said = run_pytest(pytester, text, *options)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert message in said
    assert "Traceback" not in said


def test_only_lines_behind_the_word_tell_of_tests() -> None:
    def say(**told: object) -> str:
        return f"\nword {json.dumps(told)}\n"

    text = say(begins="a") + say(of="a", report={"when": "call"}) + say(ends="a") + say(begins="b")
    told = read_told(f'{text}other {{"ends": "b"}}\nword {{"ends": "b"\nword 5\n' + say(ends="c"), "word")
    assert {name: (len(one.reports), one.whole) for name, one in told.courses.items()} == {
        "a": (1, True),
        "b": (0, False),
    }
    assert told.rest == ['other {"ends": "b"}', 'word {"ends": "b"', "word 5", 'word {"ends": "c"}']


def test_runs_of_one_test_are_told_together() -> None:
    line = read_line(
        [
            ("mine", 1),
            ("egress_packet", "/a/1"),
            ("egress_denied_count", "2"),
            ("egress_denied", "dns:x: no rule"),
            ("egress_packet", "/a/2"),
            ("egress_denied_count", "0"),
        ]
    )
    assert (line.packets, line.denied, line.count, line.tests) == (
        ("/a/1", "/a/2"),
        ("dns:x: no rule",),
        2,
        1,
    )
