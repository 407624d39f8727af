"""Completions and the man page of `trio-egress`, rendered from its own parser when a wheel is built.

Nothing of it is kept in the tree, so it can't be out of date. pip puts it below `share/`, where shells and man look.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
NAME = "trio-egress"
PLACES = {
    "bash": f"share/bash-completion/completions/{NAME}",
    "zsh": f"share/zsh/site-functions/_{NAME}",
    "fish": f"share/fish/vendor_completions.d/{NAME}.fish",
    "man": f"share/man/man1/{NAME}.1",
    **{
        f"man-{command}": f"share/man/man1/{NAME}-{command}.1"
        for command in ("run", "verify", "policy", "keys")
    },
}
PURPOSES = {
    "man": "run an AI agent in a sandbox with signed evidence of its egress",
    "man-run": "run a command in a sandbox whose only way out is what a policy allows",
    "man-verify": "check an Audit Packet, offline",
    "man-policy": "check, explain, compare and convert policies",
    "man-keys": "a roster of trusted signing keys, and the keys of a run",
}


class CustomBuildHook(BuildHookInterface[Any]):
    """Hatchling's own name for the hook of a project."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        folder = Path(tempfile.mkdtemp())
        for kind, text in render_all().items():
            (folder / kind).write_text(text, encoding="utf-8")
            build_data["shared_data"][str(folder / kind)] = PLACES[kind]


def render_all() -> Mapping[str, str]:
    """Every text, by the name of its shell, and `man`."""
    import shtab

    parser = make_parser()
    commands = _find_commands(parser)
    pages = {
        page: render_man(parser if page == "man" else commands[page[4:]][1], purpose)
        for page, purpose in PURPOSES.items()
    }
    return {
        "bash": shtab.complete(parser, "bash"),
        "zsh": shtab.complete(parser, "zsh"),
        "fish": render_fish(parser),
        **pages,
    }


def make_parser() -> argparse.ArgumentParser:
    sys.path.insert(0, str(ROOT / "src"))
    try:
        from trio_egress.cli.main import build_parser
    finally:
        del sys.path[0]
    return build_parser()[0]


def render_man(parser: argparse.ArgumentParser, purpose: str) -> str:
    """One page; of commands it has one level."""
    from argparse_manpage.manpage import Manpage

    name = parser.prog.replace(" ", "-")
    # Its own heading has the day of the build in it.
    _, mark, rest = str(Manpage(parser)).partition(".SH SYNOPSIS")
    lines = [f'.TH {name.upper()} "1" "" "{NAME}" "User Commands"', ".SH NAME", f"{name} - {purpose}", mark]
    body, epilog, notes = rest.partition(".SH COMMENTS\n")
    told = f"{body}.SH NOTES\n.nf\n{notes}\n.fi\n" if epilog else body
    # A line of text that begins as a request does (`./trio-egress-audit`) is none.
    told = re.sub(r"^(?=['.](?![A-Za-z]{1,2}\b))", r"\\&", told, flags=re.MULTILINE)
    return "\n".join(lines).replace("-", "\\-") + told


def render_fish(parser: argparse.ArgumentParser) -> str:
    """shtab knows no fish."""
    return "\n".join([f"complete -c {NAME} -e", *_fish_lines(parser, ())]) + "\n"


def _fish_lines(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[str]:
    below = _find_commands(parser)
    if not words:
        condition = "__fish_use_subcommand"
    else:
        condition = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in words)
    if below:
        unseen = f"{condition}; and not __fish_seen_subcommand_from {' '.join(below)}" if words else condition
        for name, (help_, _) in below.items():
            yield f"complete -c {NAME} -f -n {_quote(unseen)} -a {name} -d {_quote(help_)}"
    for action in parser._actions:
        if action.option_strings and action.help != argparse.SUPPRESS:
            yield _fish_option(action, condition)
    for name, (_, other) in below.items():
        yield from _fish_lines(other, (*words, name))


def _fish_option(action: argparse.Action, condition: str) -> str:
    line = f"complete -c {NAME} -n {_quote(condition)}"
    for option in action.option_strings:
        line += f" -l {option[2:]}" if option.startswith("--") else f" -s {option[1:]}"
    if action.choices:
        line += f" -x -a {_quote(' '.join(map(str, action.choices)))}"
    elif action.nargs != 0:
        line += " -r"
    return f"{line} -d {_quote(action.help or '')}"


def _find_commands(parser: argparse.ArgumentParser) -> dict[str, tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            return {name: (helps.get(name, ""), sub) for name, sub in action.choices.items()}
    return {}


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
