"""The arguments of `trio-egress policy` and the dispatch to the module of each action."""

from __future__ import annotations

import argparse
from typing import Any

from trio_egress.cli.actions import Actions, run_action

TOOLS = ("pipelock", "awf", "harden-runner", "bullfrog", "srt", "squid")
"""Whose policies are converted (`policy.foreign`, which a help must not load)."""

EXIT_CODES = """\
exit codes:
  0  as wanted: no error, allowed, tests as expected, no difference, laid out
  1  not so: an error, denied, a test failed, a difference, not laid out (with --check)
  2  a file could not be read or written
  64 usage
"""

ATTEMPT = "`POST https://api.example.com/v1`, a URL, `host:port`, or a target as a receipt says it"


def add_policy(commands: Any) -> None:
    """The command with all its actions."""
    description = (
        "Work with policies. FILE is $TRIO_EGRESS_POLICY, else ./trio-egress.toml, where it is left out."
    )
    said = "check, explain, test, compare and convert policies"
    actions = Actions(commands, "policy", said, description, EXIT_CODES)
    _add_readers(actions)
    _add_explain(actions)
    _add_writers(actions)
    _add_reload(actions)


def main(options: argparse.Namespace) -> int:
    return run_action("policy", options, _MODULES)


_MODULES = {"fmt": "layout", "import": "convert", "test": "expect"}
"""Actions whose module has another name: `import` is a word of Python, and `test` one of pytest."""


def _add_readers(actions: Actions) -> None:
    check = actions.add("check", "tell every problem of a policy, each with its place")
    check.add_argument("files", nargs="*", metavar="FILE")
    check.add_argument("--strict", action="store_true", help="a warning is an error")

    show = actions.add("show", "print the compiled policy: what it means, rule by rule, and its hash")
    show.add_argument("file", nargs="?", metavar="FILE")

    diff = actions.add("diff", "say what becomes reachable and what stops, from OLD to NEW")
    diff.add_argument("old", metavar="OLD")
    diff.add_argument("new", metavar="NEW")

    actions.add(
        "schema",
        "print a JSON Schema of the policy file, for editors",
        "Print a JSON Schema (draft 2020-12) of the policy file, for TOML and YAML alike. What fits it may still be no "
        "policy: `check` knows more.",
    )

    test = actions.add(
        "test",
        "decide what the policy's own tests ask, and compare",
        "Decide the attempts of [[test]] tables, in the policy or in a file beside it (NAME.tests.toml).",
    )
    test.add_argument("file", nargs="?", metavar="FILE")
    for action in (check, show, diff, test):
        action.add_argument("--json", action="store_true", help="print the answer as JSON")


def _add_explain(actions: Actions) -> None:
    explain = actions.add(
        "explain",
        "say how an attempt is decided, by which rule, and why the others don't match",
        f"Decide one attempt: {ATTEMPT}.",
    )
    explain.add_argument(
        "attempt", nargs="+", metavar="ATTEMPT", help="a URL, perhaps after a method, or host:port"
    )
    explain.add_argument("--policy", metavar="FILE", dest="file", help="the policy (default: as for `run`)")
    explain.add_argument(
        "--suggest", action="store_true", help="print the smallest rule that would allow it, if it is denied"
    )
    explain.add_argument("--json", action="store_true", help="print the answer as JSON")


def _add_writers(actions: Actions) -> None:
    fmt = actions.add("fmt", "lay policies out in the usual way, keeping comments and meaning")
    fmt.add_argument("files", nargs="*", metavar="FILE")
    fmt.add_argument("--check", action="store_true", help="change nothing; exit with 1 where something would")
    fmt.add_argument("--json", action="store_true", help="print what came of each file as JSON")

    convert = actions.add("import", "convert another tool's policy, and say what could not be said exactly")
    convert.add_argument("file", metavar="FILE", help="the other tool's file, or - for standard input")
    convert.add_argument("--from", dest="tool", choices=TOOLS, required=True, help="whose file it is")
    convert.add_argument("--output", "-o", metavar="FILE", help="write the policy here; never over anything")
    convert.add_argument("--json", action="store_true", help="print policy and notes as JSON")


def _add_reload(actions: Actions) -> None:
    reload = actions.add(
        "reload",
        "have a run that lives read its policy again",
        "Have a run that lives read its policy file again, as SIGHUP does. It takes the new policy whole, or keeps the "
        "old one; a signed receipt says which.",
    )
    reload.add_argument(
        "evidence",
        nargs="?",
        metavar="DIR",
        help="its evidence (default: of the one run in ./trio-egress-audit)",
    )
    reload.add_argument("--json", action="store_true", help="print the answer as JSON")
