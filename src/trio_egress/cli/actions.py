"""Commands with actions of their own: their parsers, arguments that several share, and the way to their modules."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib import import_module
from typing import Any


class Actions:
    """The actions of one command, each with the command's exit codes in its help."""

    def __init__(self, commands: Any, name: str, help_: str, description: str, exit_codes: str) -> None:
        self._exit_codes = exit_codes
        command = commands.add_parser(
            name,
            help=help_,
            description=description,
            epilog=exit_codes,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(
        self, name: str, help_: str, description: str = "", exit_codes: str = ""
    ) -> argparse.ArgumentParser:
        """The parser of one more. Without a description its help is one."""
        action: argparse.ArgumentParser = self._actions.add_parser(
            name,
            help=help_,
            description=description or help_[:1].upper() + help_[1:] + ".",
            epilog=self._exit_codes,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return action


def run_action(command: str, options: argparse.Namespace, modules: Mapping[str, str] | None = None) -> int:
    """Import the module of an action, and run it. `modules`: of those whose module has another name."""
    name = (modules or {}).get(options.action, options.action)
    status: int = import_module(f"trio_egress.cli.{command}.{name}").main(options)
    return status


def add_expected(parser: argparse.ArgumentParser) -> None:
    """What a verification is told to hold a packet against."""
    add = parser.add_argument
    add(
        "--public-key",
        metavar="KEY|FILE",
        action="append",
        default=[],
        help="a key that you trust, or a roster of them (docs/keys.md); may be repeated",
    )
    add("--policy-hash", metavar="HASH|FILE", help="the policy that must have been in force")
    add("--expect-run", metavar="ID", help="the run that this must be")
    add("--expect-head", metavar="HASH", help="the hash of the last receipt, as the run printed it")
