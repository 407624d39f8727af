"""The arguments of `trio-egress scan`; its work is in cli/scan.py, imported only when it is given."""

from __future__ import annotations

from typing import Any

EPILOG = "exit codes: 0 nothing that counts, 1 findings, 2 something could not be looked through, 64 usage"


def add_scan(commands: Any) -> None:
    """The command's parser."""
    scan = commands.add_parser(
        "scan",
        help="look for secrets and planted instructions in files or a change",
        description="Look through files, what a change adds, or standard input, with a run's detectors.",
        usage="trio-egress scan [options] [--diff REF | --staged] [PATH ...]\n"
        "       ... | trio-egress scan [options] - | --diff -",
        epilog=EPILOG,
    )
    add = scan.add_argument
    add(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files and directories (default: .), without what git ignores; - for standard input",
    )
    what = scan.add_mutually_exclusive_group()
    what.add_argument(
        "--diff",
        metavar="REF",
        help="only lines added since this branch left REF, committed or not; - for a diff on standard input",
    )
    what.add_argument("--staged", action="store_true", help="only lines that the next commit would add")
    add(
        "--archives",
        action="store_true",
        help="also what is in zip, tar, gz, bz2, xz, zst",
    )
    add("--ignored", action="store_true", help="also what git ignores")
    add(
        "--exclude",
        metavar="GLOB",
        action="append",
        default=[],
        help="leave out such paths; may be repeated",
    )
    _add_terms(add)
    _add_outputs(add)


def _add_terms(add: Any) -> None:
    add(
        "--rules",
        metavar="FILE",
        action="append",
        default=[],
        help="more detectors, as gitleaks has them; may be repeated",
    )
    add(
        "--policy",
        metavar="FILE",
        help="what its [scan] says holds here, too",
    )
    add("--baseline", metavar="FILE", help="findings in it don't count")
    add("--write-baseline", metavar="FILE", help="write what is found, and end with 0")
    add(
        "--no-allow-comments",
        action="store_true",
        help="`trio-egress:allow DETECTOR REASON` allows nothing",
    )
    add(
        "--fail-on",
        choices=["block", "warn"],
        default="block",
        help="the least that ends with 1: what a run would block (default), or warn of",
    )


def _add_outputs(add: Any) -> None:
    add("--json", action="store_true", help="print the findings as one JSON document")
    add("--sarif", metavar="FILE", help="write them as SARIF 2.1.0, too")
    add(
        "--github",
        action="store_true",
        help="print annotations (default: where GITHUB_ACTIONS is set)",
    )
    add("--quiet", action="store_true", help="print findings alone, no sum")
