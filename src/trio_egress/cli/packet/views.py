"""The arguments of the actions of `trio-egress packet` that show a packet: `export`, `ls`, `show` and `diff`."""

from __future__ import annotations

from trio_egress.cli.actions import Actions, add_expected

FORMATS = ("sarif", "ocsf", "junit")
SUBJECTS = ("end", "policy", "command", "posture", "places", "denials", "findings", "counts", "bytes")
"""Of a difference, as `views.compare` has them, which a help must not load."""

VERIFIED = """\
exit codes, which are those of `trio-egress verify`:
  0  exported, and valid
  1  exported, and the packet does not verify
  2  it could not be read, or the file not be written
  3  exported, and not proven: no key pinned, or the end of the chain is missing
  64 usage
"""

LISTED = """\
exit codes:
  0  listed
  1  there is no packet; or, with --verify, one is not valid
  2  a packet could not be read
  64 usage
"""

SHOWN = """\
exit codes:
  0  shown
  1  there is no such receipt or attempt
  2  a file could not be read
  64 usage
"""

COMPARED = """\
exit codes:
  0  no difference
  1  a difference
  2  a packet could not be read
  64 usage
"""


def add_views(actions: Actions) -> None:
    """All four."""
    _add_export(actions)
    _add_list(actions)
    _add_show(actions)
    _add_diff(actions)


def _add_export(actions: Actions) -> None:
    export = actions.add(
        "export",
        "verify a packet and write it in another program's format",
        "Verify a packet and write what it tells as SARIF (code scanning), OCSF (a SIEM) or JUnit XML (a CI's list of "
        "tests). A packet that does not verify is exported, too, and says so.",
    )
    export.epilog = VERIFIED
    export.add_argument(
        "packet", metavar="PACKET", help="the packet's directory or zip, or its evidence.jsonl"
    )
    export.add_argument("--format", choices=FORMATS, required=True, help="what to write")
    export.add_argument(
        "--output", "-o", metavar="FILE", help="where, never over anything (default: standard output)"
    )
    add_expected(export)
    export.add_argument(
        "--source-root",
        metavar="DIR",
        help="the repository that paths are given from (default: $GITHUB_WORKSPACE, $CI_PROJECT_DIR, or where you are)",
    )


def _add_list(actions: Actions) -> None:
    ls = actions.add(
        "ls",
        "list the runs in directories of packets",
        "List the packets in each DIR (default: where you are, or ./trio-egress-audit): when, how the agent ended, how "
        "many attempts were let out and how many denied, and what each packet says of itself.",
    )
    ls.epilog = LISTED
    ls.add_argument("directories", nargs="*", metavar="DIR")
    ls.add_argument("--verify", action="store_true", help="verify each, and tell the verdicts")
    ls.add_argument(
        "--public-key",
        metavar="KEY|FILE",
        action="append",
        default=[],
        help="with --verify, a key that you trust, or a roster of them; may be repeated",
    )
    ls.add_argument("--json", action="store_true", help="print the list as JSON")


def _add_show(actions: Actions) -> None:
    show = actions.add(
        "show",
        "show the attempts of a packet, or one receipt in full",
        "Show the attempts that a packet tells of, a line each; or a receipt with all its members and facts.",
    )
    show.epilog = SHOWN
    show.add_argument("packet", metavar="PACKET", help="the packet's directory or zip, or its evidence.jsonl")
    show.add_argument(
        "which",
        nargs="?",
        metavar="SEQ|KEY:SEQ|line:N|ACTION_ID",
        help="a receipt: its number as it is listed (2:7 is number 7 under the log's second key), its line in "
        "evidence.jsonl, or its action_id",
    )
    show.add_argument("--denied", action="store_true", help="only what was denied")
    show.add_argument("--found", action="store_true", help="only that in which a scan found something")
    show.add_argument("--host", metavar="HOST", help="only what names this host or one below it")
    show.add_argument("--json", action="store_true", help="print one JSON object a line")


def _add_diff(actions: Actions) -> None:
    diff = actions.add(
        "diff",
        "compare two runs",
        "Say what run NEW did and run OLD did not, and the other way round: places, denials, what scans found, "
        "counts, bytes, policy, boundary, and how they ended.",
    )
    diff.epilog = COMPARED
    diff.add_argument("old", metavar="OLD")
    diff.add_argument("new", metavar="NEW")
    diff.add_argument(
        "--ignore",
        metavar="WHAT",
        choices=SUBJECTS,
        action="append",
        default=[],
        help=f"no difference in this counts; may be repeated: {', '.join(SUBJECTS)}",
    )
    diff.add_argument("--json", action="store_true", help="print the differences as JSON")
