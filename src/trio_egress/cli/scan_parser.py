"""The arguments of `trio-egress scan`; its work is in cli/scan.py, imported only when it is given."""

from __future__ import annotations

import argparse
from typing import Any

EPILOG = """\
exit codes:
  0  nothing found, or nothing that counts at --fail-on
  1  findings
  2  something could not be looked through, or it could not run
  64 usage
"""


def add_scan(commands: Any) -> None:
    """The command's parser."""
    scan = commands.add_parser(
        "scan",
        help="look for secrets and planted instructions in files, or in a change",
        description="Look through files, the added lines of a change, or standard input, with the detectors of a "
        "run's scanning. Nothing is run, and nothing leaves the machine.",
        usage="trio-egress scan [options] [PATH ...]\n"
        "       trio-egress scan [options] --diff REF [PATH ...]\n"
        "       trio-egress scan [options] --staged [PATH ...]\n"
        "       ... | trio-egress scan [options] - | --diff -",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = scan.add_argument
    add(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files and directories; of these what git would track, where there is a repository; - for standard input "
        "(default: .)",
    )
    what = scan.add_mutually_exclusive_group()
    what.add_argument(
        "--diff",
        metavar="REF",
        help="only lines that were added since this branch left REF, committed or not; - for a unified diff on "
        "standard input",
    )
    what.add_argument("--staged", action="store_true", help="only lines that the next commit would add")
    add(
        "--archives",
        action="store_true",
        help="also what is in archives (zip, tar, gz, bz2, xz, zst), and in those in them",
    )
    add("--ignored", action="store_true", help="also what git ignores")
    add(
        "--exclude",
        metavar="GLOB",
        action="append",
        default=[],
        help="leave out paths that match, as they are shown; may be repeated",
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
        help="the actions, detectors and suppressions of its [scan] hold here, too",
    )
    add("--baseline", metavar="FILE", help="what --write-baseline wrote: findings in it don't count")
    add("--write-baseline", metavar="FILE", help="write what is found to FILE, and end with 0")
    add(
        "--no-allow-comments",
        action="store_true",
        help="a comment `trio-egress:allow DETECTOR REASON` allows nothing",
    )
    add(
        "--fail-on",
        choices=["block", "warn"],
        default="block",
        help="the least that ends with 1: what would be blocked on its way out of a run, or what would be warned of "
        "(default: block)",
    )


def _add_outputs(add: Any) -> None:
    add("--json", action="store_true", help="print the findings as one JSON document")
    add("--sarif", metavar="FILE", help="write them to FILE as SARIF 2.1.0 as well")
    add(
        "--github",
        action="store_true",
        help="print annotations for a GitHub workflow (default: where GITHUB_ACTIONS is set)",
    )
    add("--quiet", action="store_true", help="print findings alone, no sum")
