"""`trio-egress detectors test`: what is found is said without being printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.detectors.test_table import RULE, run
from tests.content.vectors import make_positives

from trio_egress.cli.detectors.trial import shorten
from trio_egress.content.fingerprint import fingerprint

((TEXT, VALUE), *_) = make_positives("groq-key")


def test_a_text_in_which_nothing_is_found() -> None:
    ran = run("test", "hello")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "nothing found\n", "")
    assert json.loads(run("test", "--json", "hello").stdout) == []


@pytest.mark.parametrize("given", ["argument", "stdin"])
def test_a_value_is_told_by_its_place_its_beginning_and_its_fingerprint(given: str) -> None:
    text = f"one\nkey: {TEXT}\n"
    ran = run("test", text) if given == "argument" else run("test", stdin=text)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout.splitlines() == [
        "2:6: groq-key (block): Groq API key",
        f"    {VALUE[:4]}…, {len(VALUE)} bytes",
        f"    {fingerprint('groq-key', VALUE.encode())}",
    ]
    assert VALUE[:8] not in ran.stdout


def test_the_same_as_json() -> None:
    (told,) = json.loads(run("test", "--json", f"é {TEXT}").stdout)
    assert told == {
        "detector": "groq-key",
        "kind": "secret",
        "action": "block",
        "severity": "high",
        "start": 3,
        "end": 3 + len(VALUE),
        "line": 1,
        "column": 4,
        "via": [],
        "shown": f"{VALUE[:4]}…",
        "bytes": len(VALUE),
        "fingerprint": fingerprint("groq-key", VALUE.encode()),
    }


def test_ways_and_kinds_are_asked_for_alone() -> None:
    assert run("test", "--way", "in", TEXT).returncode == 0
    assert run("test", "--way", "out", TEXT).returncode == 1
    assert run("test", "--kind", "hidden", TEXT).returncode == 0
    assert run("test", "--kind", "hidden", "--kind", "secret", TEXT).returncode == 1


def test_a_rule_of_ones_own_is_tried(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULE)
    ran = run("test", "--rules", str(file), "ours_0123abcd ours_0123abce")
    assert [line for line in ran.stdout.splitlines() if not line.startswith(" ")] == [
        "1:1: ours (warn): Ours",
        "1:15: ours (warn): Ours",
    ]


def test_of_a_short_value_nothing_is_shown_and_of_none_what_a_terminal_obeys() -> None:
    assert shorten(b"short") == "…"
    assert shorten(b"a\x1b[31m and more") == "a.[3…"
