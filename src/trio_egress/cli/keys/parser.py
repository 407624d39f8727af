"""The arguments of `trio-egress keygen`, `signer` and `keys`, and the dispatch to each action of `keys`."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

SIGNER_EPILOG = """\
exit codes:
  0  one run, closed
  1  one run, not closed, or something was asked for that is never signed
  2  no run: the key or the socket can't be used
  64 usage
"""


def add_keys(commands: Any) -> None:
    """The commands with all their actions."""
    keygen = commands.add_parser("keygen", help="make a signing key: PATH (secret) and PATH.pub")
    keygen.add_argument("path", metavar="PATH")
    _add_signer(commands)


def main(options: argparse.Namespace) -> int:
    module = import_module(f"trio_egress.cli.keys.{options.action}")
    status: int = module.main(options)
    return status


def _add_signer(commands: Any) -> None:
    signer = commands.add_parser(
        "signer",
        help="hold a key, and sign one run for a proxy in another process",
        description="Hold a key outside the process that parses the agent's bytes, and sign the receipts of one run: "
        'started by `run --signer "trio-egress signer --key FILE"`, or waiting at a socket that --signer names.',
        epilog=SIGNER_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = signer.add_argument
    add("--key", metavar="FILE", required=True, help="the signing key, made by `trio-egress keygen`")
    add("--socket", metavar="PATH", help="wait for the run here (default: standard input is the connection)")
    add(
        "--peer",
        metavar="USER",
        action="append",
        default=[],
        help="another user than this one and root whose run is signed; may be repeated",
    )
    add("--quiet", action="store_true", help="print nothing but errors")
