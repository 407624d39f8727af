"""The short help of what starts a run: it fits a screen, and all that it names is there."""

from __future__ import annotations

import re
import shlex

import pytest

from trio_egress.cli.main import build_parser, main
from trio_egress.cli.run_help import SCREEN_COLUMNS, SCREEN_LINES, USUAL

STARTERS = ["run", "learn", "mcp"]


def read_help(capsys: pytest.CaptureFixture[str], command: str, option: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([command, option])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", STARTERS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_it_fits_a_screen(capsys: pytest.CaptureFixture[str], command: str, option: str) -> None:
    lines = read_help(capsys, command, option).splitlines()
    assert lines[0].startswith(f"usage: trio-egress {command} [options]")
    assert len(lines) <= SCREEN_LINES
    assert max(map(len, lines)) <= SCREEN_COLUMNS


@pytest.mark.parametrize("command", STARTERS)
def test_its_examples_are_commands(capsys: pytest.CaptureFixture[str], command: str) -> None:
    examples = (
        read_help(capsys, command, "--help").partition("examples:\n")[2].partition("\n\n")[0].splitlines()
    )
    parser, _ = build_parser()
    assert examples
    for example in examples:
        program, *arguments = shlex.split(example)
        assert (program, parser.parse_args(arguments).command) == ("trio-egress", command)


def test_every_option_that_it_names_is_one_and_named_in_one_command_at_least() -> None:
    _, parsers = build_parser()
    for option in (named.split()[0] for options in USUAL.values() for named in options):
        assert any(option in parsers[command]._option_string_actions for command in STARTERS), option


@pytest.mark.parametrize("command", STARTERS)
def test_the_whole_help_has_every_option(capsys: pytest.CaptureFixture[str], command: str) -> None:
    told = read_help(capsys, command, "--help-all")
    _, parsers = build_parser()
    options = {name for name in parsers[command]._option_string_actions if name.startswith("--")}
    assert len(options) > 25
    assert options <= set(re.findall(r"--[a-z-]+", told))
