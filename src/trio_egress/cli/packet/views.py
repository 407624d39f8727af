"""The arguments of the actions of `trio-egress packet` that show a packet: `export`, `ls`, `show` and `diff`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

FORMATS = ("sarif", "ocsf", "junit")

AddAction = Callable[..., argparse.ArgumentParser]

VERIFIED = """\
exit codes, which are those of `trio-egress verify`:
  0  exported, and valid
  1  exported, and the packet does not verify
  2  it could not be read, or the file not be written
  3  exported, and not proven: no key pinned, or the end of the chain is missing
  64 usage
"""

SHOWN = """\
exit codes:
  0  shown
  1  there is no such receipt, or no packet
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


def add_views(add_action: AddAction, actions: Any) -> None:
    """`add_action` makes one action as all of them are made."""
    _add_export(add_action, actions)


def _add_export(add_action: AddAction, actions: Any) -> None:
    export = add_action(
        actions,
        "export",
        "verify a packet and write it in another program's format",
        "Verify a packet and write what it tells as SARIF (code scanning), OCSF (a SIEM) or JUnit XML (a CI's list of "
        "tests). A packet that does not verify is exported, too, and says so.",
    )
    export.epilog = VERIFIED
    export.add_argument("packet", metavar="PACKET", help="the packet's directory, or its evidence.jsonl")
    export.add_argument("--format", choices=FORMATS, required=True, help="what to write")
    export.add_argument(
        "--output", "-o", metavar="FILE", help="where, never over anything (default: standard output)"
    )
    export.add_argument(
        "--public-key",
        metavar="KEY|FILE",
        action="append",
        default=[],
        help="a key that you trust; may be repeated",
    )
    export.add_argument(
        "--source-root",
        metavar="DIR",
        help="the repository that paths are given from (default: $GITHUB_WORKSPACE, $CI_PROJECT_DIR, or where you are)",
    )
