"""docs/keys.md is true: its commands are commands, those that need no run are run, and its roster is one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from trio_egress.cli.main import build_parser, main
from trio_egress.evidence.roster import REASONS, parse_roster

TEXT = (Path(__file__).parents[3] / "docs" / "keys.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line) for line in re.findall(r"^    trio-egress (.*)$", TEXT, re.MULTILINE)]


def test_there_are_commands_and_each_has_arguments_that_it_takes() -> None:
    assert len(COMMANDS) >= 10
    parser, _ = build_parser()
    for command in COMMANDS:
        assert parser.parse_known_args(command)[1] == []


def test_what_needs_no_run_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = [
        main(command)
        for command in COMMANDS
        if command[0] == "keygen" or (command[0] == "keys" and command[1] != "rotate")
    ]
    assert ran == [0] * 5
    (key,) = parse_roster((tmp_path / "trusted.toml").read_bytes(), "trusted.toml")
    assert (key.name, key.reason, key.note) == ("ci-2026", "compromised", "runner image leaked")


def test_the_roster_of_the_page_is_one() -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    (key,) = parse_roster(text.encode(), "keys.md")
    assert key.reason == "compromised"
    for reason in REASONS:
        assert f'"{reason}"' in TEXT
