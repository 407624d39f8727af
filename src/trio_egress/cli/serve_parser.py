"""The arguments of `trio-egress serve`."""

from __future__ import annotations

import argparse
from typing import Any

SERVE_EPILOG = """\
A program asks for its sandboxes with `trio_egress.Sandbox(..., backend="helper")`, or by naming the socket in
$TRIO_EGRESS_SOCKET. As root, each agent is its client's user and group, in no other group; as an ordinary user,
programs of that user alone are served.

on SIGTERM or SIGINT it takes nobody any more, ends all sandboxes in good order, and goes when they are closed and
signed.

exit codes:
  0  it was ended
  1  it could not listen, or something that it was given can't be used
  64 usage

example:
  trio-egress serve --socket /run/trio-egress.sock --policy-floor /etc/trio-egress/floor.toml \\
      --key /etc/trio-egress/serve.key --evidence-in /var/lib/trio-egress --allow-group agents
"""


def add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="open sandboxes for programs of other users, without the key",
        description="Wait at a socket for programs that want a sandbox, and supervise one for each of them. Their "
        "policy can only narrow the operator's; the key never leaves the supervisors.",
        epilog=SERVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = serve.add_argument
    add(
        "--socket",
        metavar="PATH",
        help="where programs connect (default: the one socket that systemd has passed on)",
    )
    add(
        "--policy-floor",
        metavar="FILE",
        required=True,
        help="what a client's policy may only narrow; a client without one has this. Read again for each client",
    )
    add("--key", metavar="FILE", required=True, help="signing key, made by `trio-egress keygen`")
    add(
        "--evidence-in",
        metavar="DIR",
        required=True,
        help="Audit Packets go to DIR/UID/RUN; DIR/UID is closed to everybody but the operator",
    )
    add(
        "--allow-user",
        metavar="USER",
        action="append",
        default=[],
        help="who is served (default: nobody but the user that serve runs as); may be repeated",
    )
    add(
        "--allow-group",
        metavar="GROUP",
        action="append",
        default=[],
        help="whose members are served, beside those; may be repeated",
    )
    add("--quiet", action="store_true", help="print nothing but errors")
    _add_limits(serve)


def _add_limits(serve: argparse.ArgumentParser) -> None:
    add = serve.add_argument
    add("--most", metavar="N", type=_count, default=64, help="sandboxes at once (default: 64)")
    add("--most-per-user", metavar="N", type=_count, default=8, help="of one user (default: 8)")
    add(
        "--per-minute",
        metavar="N",
        type=_count,
        default=60,
        help="how often a user may ask for one within a minute (default: 60)",
    )
    add(
        "--patience",
        metavar="SECONDS",
        type=_count,
        default=10,
        help="how long a client may take to say what it wants (default: 10)",
    )
    add(
        "--idle",
        metavar="SECONDS",
        type=_count,
        help="close a sandbox in which nothing lives when its client has said nothing for so long (default: never)",
    )
    add(
        "--open-files",
        metavar="N",
        type=_count,
        default=4096,
        help="descriptors of one client's supervisor (default: 4096)",
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 999999")
    return int(text)
