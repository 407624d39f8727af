"""`trio-egress detectors list`, as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from trio_egress.cli.detectors.parser import KINDS
from trio_egress.content.catalogue import read_catalogue
from trio_egress.model import Kind

RULE = '[[rules]]\nid = "ours"\ndescription = "Ours"\nregex = "ours_[0-9a-f]{8}"\naction = "warn"\n'


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trio_egress", "detectors", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=300, check=False)


def test_each_detector_has_a_line() -> None:
    ran = run("list")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [line.split()[0] for line in ran.stdout.splitlines()] == [each.name for each in read_catalogue()]
    (line,) = (line for line in ran.stdout.splitlines() if line.startswith("npm-token "))
    assert line.split(maxsplit=4)[1:] == ["block", "secret", "checked", "Access token of npm"]


def test_what_is_known_of_each_is_there_as_json() -> None:
    listed = json.loads(run("list", "--json").stdout)
    (known,) = (each for each in listed if each["name"] == "anthropic-key")
    (detector,) = (each for each in read_catalogue() if each.name == "anthropic-key")
    assert known == {
        "name": "anthropic-key",
        "description": "Anthropic API key",
        "kind": "secret",
        "action": "block",
        "severity": "critical",
        "ways": ["out"],
        "check": None,
        "home": ["api.anthropic.com"],
        "pattern": detector.pattern,
        "entropy": 4.0,
        "keywords": [],
        "source": detector.source,
    }


def test_a_kind_is_listed_alone(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULE.replace('"warn"', '"warn"\nkind = "entropy"'))
    ran = run("list", "--kind", "entropy", "--rules", str(file))
    assert [line.split()[:3] for line in ran.stdout.splitlines()] == [["ours", "warn", "entropy"]]


def test_a_rule_file_comes_first_and_its_warnings_are_told(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(f'{RULE}[[rules]]\nid = "p12"\npath = "p12$"\n')
    ran = run("list", "--rules", str(file))
    assert ran.stdout.startswith("ours ")
    assert f"{file}:6:1: warning: a rule with a path alone" in ran.stderr


def test_what_is_wrong_with_a_rule_file_is_told_at_its_place(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[[rules]]\nid = "npm-token"\nregex = "("\n')
    ran = run("list", "--rules", str(file))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"{file}:3:9: error: regex: " in ran.stderr


def test_a_rule_that_stands_for_a_packaged_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text('[[rules]]\nid = "npm-token"\nregex = "a"\n')
    ran = run("list", "--rules", str(file))
    assert ran.stdout.count("\nnpm-token") == 0
    assert ran.stdout.startswith("npm-token ")
    assert f"{file}:1:1: warning: this rule takes the place of trio-egress's own npm-token" in ran.stderr


def test_a_file_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    ran = run("list", "--rules", str(tmp_path / "none.toml"))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert (
        ran.stderr
        == f"trio-egress detectors list: {tmp_path / 'none.toml'} can't be read: No such file or directory\n"
    )
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    ran = run("test", "--rules", str(tmp_path / "bytes.toml"), "x")
    assert ran.returncode == 2
    assert ran.stderr.endswith("bytes.toml is not UTF-8, in which rules are written\n")


def test_each_kind_is_offered() -> None:
    assert tuple(kind.value for kind in Kind) == KINDS


def test_another_word_is_a_usage_error() -> None:
    assert run("list", "--kind", "colour").returncode == 64
    assert run("tset").returncode == 64
