"""The arguments of `trio-egress packet` and the dispatch to the module of each action."""

from __future__ import annotations

import argparse
from typing import Any

from trio_egress.cli.actions import Actions, add_expected, run_action
from trio_egress.cli.packet.views import add_views

EXIT_CODES = """\
exit codes:
  0  done
  1  not so: what was asked for is not in the packet, or does not hold together
  2  a file could not be read or written
  64 usage
"""


def add_packet(commands: Any) -> None:
    """The command with all its actions."""
    said = "pack, prove, timestamp, export, show and compare Audit Packets"
    description = "Work with Audit Packets, offline and without any privilege."
    actions = Actions(commands, "packet", said, description, EXIT_CODES)
    _add_pack(actions)
    _add_prove(actions)
    _add_timestamp(actions)
    add_views(actions)
    _add_report(actions)
    _add_reveal(actions)


def main(options: argparse.Namespace) -> int:
    return run_action("packet", options)


def _add_pack(actions: Actions) -> None:
    pack = actions.add(
        "pack",
        "make one zip of a packet, with the same bytes every time",
        "Make one zip of a packet's directory. The same packet gives the same bytes on every machine; `verify` reads "
        "them as they are.",
    )
    pack.add_argument("packet", metavar="PACKET", help="the packet's directory")
    pack.add_argument(
        "--output", "-o", metavar="FILE", help="the zip, never over anything (default: PACKET.zip)"
    )
    pack.add_argument("--json", action="store_true", help="print name, size and SHA-256 of the zip as JSON")


def _add_prove(actions: Actions) -> None:
    prove = actions.add(
        "prove",
        "prove that a receipt is in the log, or that the log only grew",
        "Make a proof that needs nothing of the log but its public key: of one receipt (C2SP tlog-proof), or that the "
        "log begins with what an older checkpoint said (as C2SP tlog-witness takes it). --check checks either.",
    )
    add = prove.add_argument
    add(
        "packet",
        metavar="PACKET",
        nargs="?",
        help="the packet's directory, also of a run that still lives, or its zip",
    )
    add(
        "seq",
        metavar="SEQ",
        nargs="?",
        type=_number,
        help="the receipt's line, counted from 0: its chain_seq",
    )
    add("--since", metavar="CHECKPOINT", help="a checkpoint.txt of the same log that was kept earlier")
    add("--output", "-o", metavar="FILE", help="where the proof goes, never over anything (default: printed)")
    add("--check", metavar="PROOF", help="check this proof, with --public-key")
    add("--public-key", metavar="KEY|FILE", action="append", help="a key that you trust; may be repeated")
    add("--line", metavar="FILE", help="with --check: the stored line that must be the proven one")
    add("--json", action="store_true", help="with --check: print what is proven as JSON")


def _add_timestamp(actions: Actions) -> None:
    timestamp = actions.add(
        "timestamp",
        "ask for a timestamp of a packet's checkpoint, and check the answer",
        "Write the request for an RFC 3161 timestamp of checkpoint.txt, or check a time-stamping authority's answer "
        "(which needs the extra `timestamp`). Nothing is sent anywhere.",
    )
    add = timestamp.add_argument
    add("packet", metavar="PACKET", help="the packet's directory, or its zip")
    add("--output", "-o", metavar="FILE", help="where the request goes, never over anything")
    add("--check", metavar="FILE", help="the authority's answer to that request")
    add(
        "--authority",
        metavar="FILE",
        help="with --check: certificates (PEM) of the authorities that you trust",
    )
    add("--json", action="store_true", help="with --check: print what is proven as JSON")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise argparse.ArgumentTypeError(f"{text!r} is not a line's number, counted from 0")
    return int(text)


def _add_report(actions: Actions) -> None:
    report = actions.add(
        "report",
        "make a page for people of a packet, with the verifier's verdict",
        "Verify a packet and make one HTML page of it, which runs no script and loads nothing. The exit code is that "
        "of `verify`; 2 also where the page can't be written.",
    )
    report.add_argument(
        "packet", metavar="PACKET", help="the packet's directory or zip, or its evidence.jsonl"
    )
    report.add_argument(
        "--output", "-o", metavar="FILE", help="the page, never over anything (default: standard output)"
    )
    report.add_argument(
        "--markdown", action="store_true", help="one screen of Markdown instead, as for a CI summary"
    )
    add_expected(report)


def _add_reveal(actions: Actions) -> None:
    reveal = actions.add(
        "reveal",
        "show that a value is the one behind a commitment",
        "Show which commitments of a packet are to the value that stands on standard input. One line end at its end "
        "does not count; at a terminal it is asked for. Whether the packet holds together is for `verify` to say.",
    )
    reveal.add_argument(
        "packet", metavar="PACKET", help="the packet's directory or zip, or its evidence.jsonl"
    )
    reveal.add_argument(
        "--commitment-key",
        metavar="FILE",
        required=True,
        help="what `run --commitment-key` wrote for this run",
    )
    reveal.add_argument("--json", action="store_true", help="print what was found as JSON")
