"""The arguments of `trio-egress packet` and the dispatch to the module of each action."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

EXIT_CODES = """\
exit codes:
  0  done
  1  not so: what was asked for is not in the packet, or does not hold together
  2  a file could not be read or written
  64 usage
"""


def add_packet(commands: Any) -> None:
    """The command with all its actions."""
    packet = commands.add_parser(
        "packet",
        help="pack an Audit Packet",
        description="Work with Audit Packets, offline and without any privilege.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = packet.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_pack(actions)


def main(options: argparse.Namespace) -> int:
    module = import_module(f"trio_egress.cli.packet.{options.action}")
    status: int = module.main(options)
    return status


def _add_action(actions: Any, name: str, help_: str, description: str = "") -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(
        name,
        help=help_,
        description=description or help_[:1].upper() + help_[1:] + ".",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return action


def _add_pack(actions: Any) -> None:
    pack = _add_action(
        actions,
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
