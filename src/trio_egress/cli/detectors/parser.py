"""The arguments of `trio-egress detectors`, and the dispatch to each action."""

from __future__ import annotations

import argparse
from typing import Any

from trio_egress.cli.actions import Actions, run_action

EXIT_CODES = """\
exit codes:
  0  done; with `test`, nothing was found
  1  with `test`, something was found
  2  a file of rules could not be read, or has an error
  64 usage
"""

KINDS = ("secret", "exact", "canary", "instruction", "hidden", "entropy")
"""Of `trio_egress.model`, which a help must not load."""


def add_detectors(commands: Any) -> None:
    """The command with its actions."""
    actions = Actions(
        commands,
        "detectors",
        "list what is looked for in content, and try it on a text",
        "Work with detectors: those that come with trio-egress, and rule files in the form that gitleaks reads.",
        EXIT_CODES,
    )
    list_ = actions.add("list", "list the detectors: name, what becomes of a finding, kind, and what it is")
    test = actions.add(
        "test",
        "say what is found in a text",
        "Say what is found in a text, and where. Values are never printed whole: their first characters, their length, "
        "and the fingerprint by which a suppression names them.",
    )
    test.add_argument("text", nargs="?", default="-", metavar="TEXT|-", help="default: -, standard input")
    test.add_argument(
        "--way",
        choices=("out", "in"),
        help="only what is looked for in what is sent (out) or in what is answered (in)",
    )
    for action in (list_, test):
        action.add_argument(
            "--kind", choices=KINDS, action="append", default=[], help="of this kind alone; may be repeated"
        )
        action.add_argument(
            "--rules",
            metavar="FILE",
            action="append",
            default=[],
            help="a rule file as well; may be repeated",
        )
        action.add_argument("--json", action="store_true", help="print the answer as JSON")


def main(options: argparse.Namespace) -> int:
    return run_action("detectors", options, _MODULES)


_MODULES = {"list": "table", "test": "trial"}
"""`list` is a word of Python, `test` one of pytest."""
