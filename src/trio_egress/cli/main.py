"""`trio-egress`: arguments in, one call, an exit status out.

Each command's work is in a module of its own, imported only when the command is given: `--help` and `verify` must not
pay for a runtime that they don't use.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from trio_egress import __version__
from trio_egress.cli.actions import add_expected
from trio_egress.cli.detectors.parser import add_detectors
from trio_egress.cli.keys.parser import add_keys
from trio_egress.cli.packet.parser import add_packet
from trio_egress.cli.platforms import SANDBOXED, explain_absence
from trio_egress.cli.policy.parser import add_policy
from trio_egress.cli.scan_parser import add_scan
from trio_egress.cli.streams import explain_failure, open_closed

REFUSED = 125
INTERRUPTED = 130
USAGE = 64

RUN_EPILOG = """\
exit codes:
  the agent's own code passes through; 128+N when signal N ended it, or ended the run before the agent ran
  121  the agent ended with 0, but something was denied, or a protected file touched (with --fail-on deny)
  122  the evidence is incomplete: a receipt could not be written
  124  --timeout was over
  125  trio-egress refused, or failed before the agent ran
  126  the command is not executable      127  the command was not found
"""

VERIFY_EPILOG = """\
exit codes:
  0  valid, and signed by a key given with --public-key
  1  invalid: at least one finding
  2  the packet could not be read
  3  nothing wrong so far, but not proven: no key pinned, the end of the chain is missing, or --quick
  64 usage
"""

WATCH_EPILOG = """\
exit codes:
  0  the chain was closed, and holds together
  1  it was closed, and does not hold together
  2  it could not be read, or was taken away
  64 usage
  130 interrupted
"""


RECOVER_EPILOG = """\
exit codes:
  0  recovered
  1  not one to be recovered: the run lives, its log is closed or does not hold together, or it was recovered before
  2  something could not be read or written
  64 usage
"""


class _Parser(argparse.ArgumentParser):
    """Exits with 125 or 64 on a usage error, since 2 is an agent's code or a verdict here."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        code = REFUSED if self.prog.endswith((" run", " learn")) else USAGE
        self.exit(code, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the process's exit status."""
    open_closed()
    try:
        try:
            return _dispatch(arguments)
        finally:
            sys.stdout.flush()
    except OSError as error:  # whoever read standard output has enough (`… | head`), or its disk is full
        if (code := explain_failure(error)) is None:
            raise
        return code
    except KeyboardInterrupt:
        return INTERRUPTED


def _dispatch(arguments: Sequence[str] | None) -> int:
    parser, commands = build_parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:  # told by the command's own parser, which knows its exit code
        commands.get(options.command, parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    if options.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    sandboxed = options.command in SANDBOXED and not getattr(options, "packets", None)
    if sandboxed and (reason := explain_absence(sys.platform)):
        print(f"trio-egress {options.command}: {reason}", file=sys.stderr)
        return REFUSED
    given: list[object] = [options]
    if options.command in ("run", "learn"):
        from trio_egress.runtime.signals import Inbox

        inbox = Inbox()
        inbox.open()
        given.append(inbox)
    module = import_module(f"trio_egress.cli.{options.command}")
    status: int = module.main(*given)
    return status


def build_parser() -> tuple[_Parser, Mapping[str, argparse.ArgumentParser]]:
    """The parser, and those of the commands by name."""
    parser = _Parser(
        prog="trio-egress",
        description="Run an AI agent in a sandbox whose only way out is a policy proxy that signs what it saw.",
    )
    parser.add_argument("--version", action="version", version=f"trio-egress {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_run(commands)
    _add_learn(commands)
    _add_verify(commands)
    _add_watch(commands)
    add_scan(commands)
    add_policy(commands)
    add_detectors(commands)
    add_packet(commands)
    add_keys(commands)
    _add_small(commands)
    return parser, commands.choices


def _add_run(commands: argparse._SubParsersAction[_Parser]) -> None:
    run = commands.add_parser(
        "run",
        help="run a command in the sandbox",
        description="Run COMMAND in the sandbox; its only way out is what the policy allows.",
        usage="trio-egress run [options] [--] COMMAND [ARG ...]",
        epilog=RUN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.set_defaults(observing=False, policy_path=None)
    run.add_argument(
        "--fail-on",
        choices=["deny"],
        help="exit with 121 if anything was denied, or a protected file touched, and the agent itself ended with 0",
    )
    _add_run_options(run)


def _add_learn(commands: argparse._SubParsersAction[_Parser]) -> None:
    learn = commands.add_parser(
        "learn",
        help="write the least policy that allows what was seen",
        description="Run COMMAND without enforcing anything but private addresses, record what it does, and write "
        "the least policy that allows it; or learn from evidence that is there already.",
        usage="trio-egress learn [options] [--] COMMAND [ARG ...]\n"
        "       trio-egress learn [--output FILE] --from PACKET [--from PACKET ...]",
        epilog="The agent's own code passes through; 2 where nothing could be learnt or written, else as for `run`.",
    )
    learn.set_defaults(observing=True, policy_path=None, fail_on=None)
    learn.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        help="where the policy goes, never over anything (default: trio-egress.toml)",
    )
    learn.add_argument(
        "--from", dest="packets", metavar="PACKET", action="append", default=[], help="evidence to learn from"
    )
    _add_run_options(learn)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--policy",
        metavar="FILE",
        help="policy (default: $TRIO_EGRESS_POLICY, else ./trio-egress.toml or .yaml)",
    )
    _add_evidence_options(parser)
    add("--timeout", metavar="SECONDS", type=_seconds, help="end the agent after this long")
    add(
        "--user",
        metavar="USER",
        help="as root: the user that the agent runs as (default: the one behind sudo, else nobody); else: "
        "`subordinate`, an id that /etc/subuid lends you (default: you)",
    )
    add(
        "--proxy-user",
        metavar="USER",
        help="as root: the user that the proxy becomes, and that the evidence belongs to (default: an unused id)",
    )
    add(
        "--proxy-port",
        metavar="PORT",
        type=_port,
        default=8888,
        help="port of the HTTP proxy inside (default: 8888)",
    )
    add("--proxy-variables", action="store_true", help="also set http_proxy and its like; nothing needs them")
    add("--status-file", metavar="FILE", help="write how the run ended to FILE, as JSON")
    add("--json", action="store_true", help="print how the run ended to standard output, as JSON")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("argv", nargs=argparse.REMAINDER, metavar="COMMAND", help=argparse.SUPPRESS)


def _add_evidence_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--evidence",
        metavar="DIR",
        help="where the Audit Packet goes: new or empty (default: ./trio-egress-audit/RUN)",
    )
    add(
        "--key",
        metavar="FILE",
        help="signing key made by `trio-egress keygen` (default: one for this run only)",
    )
    add(
        "--rotate-key-to",
        metavar="FILE",
        action="append",
        default=[],
        help="a key to go on with when `trio-egress keys rotate` asks for it; the one before endorses it in the log. "
        "May be repeated, for one change each",
    )
    add(
        "--signer",
        metavar="SOCKET|COMMAND",
        help="sign by another process instead, which alone has the key: `trio-egress signer`, or one of yours",
    )
    add(
        "--commitment-key",
        metavar="FILE",
        help="write here, with mode 0600, the key by which `trio-egress packet reveal` can show later that a value was "
        "the secret behind a commitment (default: nobody ever can)",
    )
    add(
        "--anchor-file",
        metavar="FILE",
        help="append the state of the log to FILE, at its start and end and with each heartbeat",
    )


def _add_verify(commands: argparse._SubParsersAction[_Parser]) -> None:
    verify = commands.add_parser(
        "verify",
        help="check an Audit Packet, offline",
        description="Check an Audit Packet, or a bare chain of receipts, without any network or privilege.",
        epilog=VERIFY_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = verify.add_argument
    add(
        "packet",
        nargs="?",
        metavar="PACKET",
        help="the packet's directory, its zip (`packet pack`), or its evidence.jsonl",
    )
    add_expected(verify)
    add(
        "--receipt-chain",
        metavar="FILE",
        help="a bare chain instead of PACKET: lines, or a JSON array of receipts",
    )
    add(
        "--quick",
        action="store_true",
        help="follow hashes and links alone; the receipts' signatures are NOT checked, so never valid (exit 3)",
    )
    add("--no-decide", action="store_true", help="don't decide the attempts again by the packaged policy")
    add(
        "--jobs",
        metavar="N",
        type=_count,
        help="check signatures by N processes (default: as many as there are cores)",
    )
    add(
        "--anchor",
        metavar="FILE",
        action="append",
        default=[],
        help="what `run --anchor-file` wrote, or a checkpoint.txt kept earlier, that the log must agree with; may be "
        "repeated",
    )
    add("--output", "-o", metavar="FILE", help="write the report to FILE as well, as JSON")
    add("--json", action="store_true", help="print the report as JSON")


def _add_watch(commands: argparse._SubParsersAction[_Parser]) -> None:
    watch = commands.add_parser(
        "watch",
        help="follow a live run, a line for each attempt",
        description="Follow a run's evidence as it grows, a line for each attempt, until its chain is closed. Each "
        "line is verified as it comes.",
        epilog=WATCH_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = watch.add_argument
    add(
        "directory",
        nargs="?",
        default="trio-egress-audit",
        metavar="DIR",
        help="the run's evidence, or the directory of several runs, of which the newest is followed; it need not be "
        "there yet (default: ./trio-egress-audit)",
    )
    add(
        "--public-key",
        metavar="KEY|FILE",
        action="append",
        default=[],
        help="a key that must have signed; may be repeated",
    )
    add("--json", action="store_true", help="print one JSON object a line")


def _add_small(commands: argparse._SubParsersAction[_Parser]) -> None:
    doctor = commands.add_parser(
        "doctor", help="say what this machine allows, and the cure for what it does not"
    )
    doctor.add_argument("--user", metavar="USER", help="the user that the agent would run as")
    doctor.add_argument("--proxy-user", metavar="USER", help="as root: the user that the proxy would become")
    doctor.add_argument(
        "--attack", action="store_true", help="attack a real sandbox from inside, and say what came of it"
    )
    doctor.add_argument("--json", action="store_true", help="print the answers as JSON")

    demo = commands.add_parser("demo", help="see it work: a sample agent, its packet, and the verdict")
    demo.add_argument(
        "--evidence", metavar="DIR", help="keep the packet here (default: a new temporary directory)"
    )

    recover = commands.add_parser(
        "recover",
        help="close a log that its run has abandoned",
        description="Close a log whose run was killed, with a signed note beside it that it was abandoned and where. "
        "Its end stays unproven. The start of a line that was being written is set aside.",
        epilog=RECOVER_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    recover.add_argument("evidence", metavar="DIR", help="the run's evidence directory")
    recover.add_argument(
        "--key",
        metavar="FILE",
        help="sign with this key (default: one for this note only, which vouches for nothing)",
    )
    recover.add_argument(
        "--signer",
        metavar="SOCKET|COMMAND",
        help="have the note signed by another process, which alone has the key, as `run --signer` does",
    )
    recover.add_argument("--json", action="store_true", help="print what was found as JSON")

    init = commands.add_parser("init", help="write a commented starter policy")
    init.add_argument(
        "path", nargs="?", default="trio-egress.toml", metavar="FILE", help="default: trio-egress.toml"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < len(text) < 4 or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 999")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return seconds


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1024 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1024 to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
