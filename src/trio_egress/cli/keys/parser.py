"""The arguments of `trio-egress keygen`, `signer` and `keys`, and the dispatch to each action of `keys`."""

from __future__ import annotations

import argparse
from typing import Any

from trio_egress.cli.actions import Actions, run_action

SIGNER_EPILOG = """\
exit codes:
  0  one run, closed
  1  one run, not closed, or something was asked for that is never signed
  2  no run: the key or the socket can't be used
  64 usage
"""


EXIT_CODES = """\
exit codes:
  0  done, or as it must be
  1  not so: refused, revoked, not valid now
  2  a file, a key or a run could not be used
  64 usage
"""


def add_keys(commands: Any) -> None:
    """The commands with all their actions."""
    keygen = commands.add_parser(
        "keygen",
        help="make a signing key: PATH (secret) and PATH.pub",
        epilog="exit codes: 0 made; 2 it could not be, or is there already; 64 usage",
    )
    keygen.add_argument("path", metavar="PATH")
    keygen.add_argument(
        "--format",
        choices=["pipelock", "pem", "openssh"],
        default="pipelock",
        help="of both files: two lines (default), what openssl reads, or what ssh-keygen reads",
    )
    keygen.add_argument("--json", action="store_true", help="print paths, public key and fingerprint as JSON")
    _add_signer(commands)
    said = "work with keys: a roster of trusted ones, and that of a run"
    actions = Actions(commands, "keys", said, "Work with keys.", EXIT_CODES)
    _add_rotate(actions)
    _add_rosters(actions)
    _add_shows(actions)


def main(options: argparse.Namespace) -> int:
    return run_action("keys", options, _MODULES)


_MODULES = {"check": "ls", "fingerprint": "show"}
"""Actions that share a module."""


def _add_rotate(actions: Actions) -> None:
    rotate = actions.add(
        "rotate",
        "have a run that lives sign with its next key",
        "Have a run that lives sign with the key of its --rotate-key-to, which the key so far endorses in its log.",
    )
    rotate.add_argument(
        "evidence",
        nargs="?",
        metavar="DIR",
        help="evidence directory of the run (default: the only one below ./trio-egress-audit that lives)",
    )
    rotate.add_argument("--json", action="store_true", help="print what the run answered as JSON")


def _add_rosters(actions: Actions) -> None:
    add = actions.add("add", "trust one more key, in a roster that is made if need be")
    add.add_argument("roster", metavar="ROSTER")
    add.add_argument("key", metavar="KEY|FILE", help="the public key")
    add.add_argument("--name", required=True, help="what to call it")
    add.add_argument(
        "--valid-from", metavar="TIME", help="believe no receipt of an earlier time (2026-01-31)"
    )
    add.add_argument("--valid-until", metavar="TIME", help="believe no receipt of this time or a later one")
    add.add_argument("--note", default="", metavar="TEXT", help="whose it is, say")
    add.add_argument("--json", action="store_true", help="print the key as JSON")
    for name, help_ in (
        ("ls", "list the keys of a roster, and what each is worth"),
        ("check", "the same; and fail unless every key is valid"),
    ):
        action = actions.add(name, help_)
        action.add_argument("roster", metavar="ROSTER")
        action.add_argument("--at", metavar="TIME", help="what they are worth then (default: now)")
        action.add_argument("--json", action="store_true", help="print the keys as JSON")
    revoke = actions.add(
        "revoke",
        "believe a key no longer",
        "Say in a roster that a key is revoked. What a compromised key signed is not believed at all, whatever time it "
        "says; what a retired or superseded one signed stays believed up to then.",
    )
    revoke.add_argument("roster", metavar="ROSTER")
    revoke.add_argument("key", metavar="NAME", help="the key's name, or its 64 hex digits")
    revoke.add_argument("--reason", required=True, choices=["compromised", "retired", "superseded"])
    revoke.add_argument("--at", metavar="TIME", help="from when on (default: now)")
    revoke.add_argument("--note", default="", metavar="TEXT", help="what happened")
    revoke.add_argument("--json", action="store_true", help="print the key as JSON")


def _add_shows(actions: Actions) -> None:
    for name, help_ in (
        ("fingerprint", "say the fingerprints of a key, ours and OpenSSH's"),
        ("show", "show a public key in another form"),
    ):
        action = actions.add(name, help_)
        action.add_argument(
            "key", metavar="KEY|FILE", help="64 hex digits, or the file of a public or a private key"
        )
        if name == "show":
            action.add_argument(
                "--format",
                choices=["hex", "pipelock", "pem", "ssh", "allowed-signers"],
                default="hex",
                help="the form (default: hex); allowed-signers is for `ssh-keygen -Y verify` of a manifest",
            )
        else:
            action.add_argument("--json", action="store_true", help="print key and fingerprints as JSON")


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
