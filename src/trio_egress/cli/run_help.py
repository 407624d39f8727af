"""The help of `run`, `learn` and `mcp` that fits a screen: the usual options, a line each, and examples.

Rule 1: at most SCREEN_LINES of SCREEN_COLUMNS; every option, with all that there is to say, is in --help-all.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

SCREEN_LINES = 40
SCREEN_COLUMNS = 80

USUAL = {
    "what it may reach": {
        "--policy FILE": "the policy (else ./trio-egress.toml or .yaml)",
        "--allow HOST[:PORT]": "allow this as well; may be repeated",
        "--mode observe": "let all but private addresses through, record it",
    },
    "the policy that is written": {
        "--output FILE": "where it goes (else trio-egress.toml)",
        "--from PACKET": "learn from evidence that is there, and run nothing",
    },
    "the evidence": {
        "--key FILE": "sign with a key that `trio-egress keygen` made",
        "--evidence DIR": "where the packet goes (else ./trio-egress-audit/RUN)",
        "--verify": "verify it at the end",
    },
    "the run": {
        "--fail-on WHAT": "121 after any of `deny,finding,unverified`",
        "--timeout SECONDS": "end the agent after this long",
        "--user USER": "as root: whom the agent runs as",
        "--summary FILE": "a summary in Markdown; also --sarif, --junit",
        "--quiet": "print nothing but errors",
        "--json": "print how it ended",
    },
}
"""The groups in their order. What a command doesn't take is left out of its help."""


class ShortHelp(argparse.Action):
    """-h, --help."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(render_help(parser, self.const), end="")
        parser.exit()


class FullHelp(argparse.Action):
    """--help-all: what argparse says by itself."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.print_help()
        parser.exit()


def add_help(parser: argparse.ArgumentParser, examples: Sequence[str]) -> None:
    """For a parser that was made with add_help=False."""
    add: Any = parser.add_argument
    add(
        "-h",
        "--help",
        action=ShortHelp,
        nargs=0,
        const=tuple(examples),
        help="show the usual options and exit",
    )
    add("--help-all", action=FullHelp, nargs=0, help="show this help message with every option and exit")


def render_help(parser: argparse.ArgumentParser, examples: Sequence[str]) -> str:
    return "\n".join([*_list_lines(parser, examples), ""])


def _list_lines(parser: argparse.ArgumentParser, examples: Sequence[str]) -> Iterator[str]:
    yield f"usage: {parser.usage}"
    yield ""
    yield from textwrap.wrap(parser.description or "", SCREEN_COLUMNS)
    known = parser._option_string_actions
    for title, options in USUAL.items():
        rows = {option: text for option, text in options.items() if option.split()[0] in known}
        if rows:
            yield ""
            yield f"{title}:"
            yield from (f"  {option:<21} {text}" for option, text in rows.items())
    yield ""
    yield "examples:"
    yield from (f"  {example}" for example in examples)
    yield ""
    yield "exit codes: the agent's own; 122 evidence incomplete; 124 time was over;"
    yield "125 nothing ran; 126, 127 no such command" + (
        "; 121 see --fail-on" if "--fail-on" in known else ""
    )
    yield f"every option: {parser.prog} --help-all"
