"""`trio-egress`: arguments in, one call, an exit status out.

Each command's work is in a module of its own, imported only when the command is given: `--help` and `verify` must not
pay for a runtime that they don't use.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from trio_egress import __version__
from trio_egress.cli.actions import add_expected
from trio_egress.cli.garbage import hold_collecting, leave_all, start_collecting
from trio_egress.cli.platforms import SANDBOXED, explain_absence
from trio_egress.cli.run_parser import add_learn, add_mcp, add_run
from trio_egress.cli.streams import explain_failure, open_closed
from trio_egress.cli.usage import explain_usage

REFUSED = 125
INTERRUPTED = 130
USAGE = 64

EXAMPLES = """\
examples:
  trio-egress init
  trio-egress run -- ./agent.sh
  trio-egress verify trio-egress-audit/RUN --public-key ci.key.pub
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
        code = REFUSED if self.prog.endswith((" run", " learn", " mcp")) else USAGE
        self.exit(code, f"{self.prog}: {explain_usage(self, message)}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the process's exit status.

    Without `arguments` the process is ours alone, and ends here.
    """
    open_closed()
    if arguments is not None:
        return _run(arguments)
    hold_collecting()
    return leave_all(_run(None))


def _run(arguments: Sequence[str] | None) -> int:
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
    first, *_ = (*(sys.argv[1:] if arguments is None else arguments), "")
    parser, commands = build_parser(first)
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
    if options.command in ("run", "learn", "mcp"):
        from trio_egress.runtime.signals import Inbox

        inbox = Inbox()
        inbox.open()
        given.append(inbox)
    if options.command == "run" and arguments is None:
        from trio_egress.kernel.waiting import start_early

        options.waiting = start_early()
    try:
        module = import_module(f"trio_egress.cli.{options.command}")
        if len(given) == 1:  # a run has more to load
            start_collecting()
        status: int = module.main(*given)
    finally:
        if (waiting := getattr(options, "waiting", None)) is not None:
            waiting.dismiss()
    return status


def build_parser(command: str = "") -> tuple[_Parser, Mapping[str, argparse.ArgumentParser]]:
    """The parser, and those of the commands by name; where `command` is one, that alone: all of them take 12 ms."""
    parser = _Parser(
        prog="trio-egress",
        description="Run an AI agent in a sandbox whose only way out is a policy proxy that signs\nwhat it saw.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"trio-egress {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for add in (_COMMANDS[command],) if command in _COMMANDS else dict.fromkeys(_COMMANDS.values()):
        add(commands)
    return parser, commands.choices


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


def _add_stop(commands: argparse._SubParsersAction[_Parser]) -> None:
    stop = commands.add_parser(
        "stop",
        help="end all egress of a run that lives, for good",
        description="End all egress of a run that lives: open connections are cut, and nothing is allowed for the "
        "rest of the run. The agent lives on. A signed receipt says so, and nothing takes it back.",
        epilog="exit codes: 0 stopped; 2 there is no such run, or it could not be; 64 usage",
    )
    stop.add_argument(
        "evidence",
        nargs="?",
        metavar="DIR",
        help="its evidence (default: of the one run in ./trio-egress-audit)",
    )
    stop.add_argument("--json", action="store_true", help="print the answer as JSON")


def _add_small(commands: argparse._SubParsersAction[_Parser]) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="say what this machine allows, and the cure for what it does not",
        epilog="exit codes: 0 nothing is in the way (--attack: all was refused); 1 something is (--attack: a hole); "
        "125 --attack had no sandbox; 64 usage",
    )
    doctor.add_argument("--user", metavar="USER", help="the user that the agent would run as")
    doctor.add_argument("--proxy-user", metavar="USER", help="as root: the user that the proxy would become")
    doctor.add_argument(
        "--attack", action="store_true", help="attack a real sandbox from inside, and say what came of it"
    )
    doctor.add_argument("--json", action="store_true", help="print the answers as JSON")

    demo = commands.add_parser(
        "demo",
        help="see it work: a sample agent, its packet, and the verdict",
        epilog="exit codes: 0 all was as expected; 1 something was not; 125 no sandbox can be had here; 64 usage",
    )
    demo.add_argument(
        "--evidence", metavar="DIR", help="keep the packet here (default: a new temporary directory)"
    )
    demo.add_argument("--json", action="store_true", help="print what came of each attempt as JSON")

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

    init = commands.add_parser(
        "init",
        help="write a policy to begin with, for the project that is here",
        description="Write a policy to begin with: a short one by the lock files and known agents here, or where "
        "there are none, one with every key, commented.",
        epilog="exit codes: 0 written; 2 it could not be, or is there already; 64 usage",
    )
    init.add_argument("--full", action="store_true", help="write the one with every key, whatever is here")
    init.add_argument("--json", action="store_true", help="print what was written, and by what, as JSON")
    init.add_argument(
        "path", nargs="?", default="trio-egress.toml", metavar="FILE", help="default: trio-egress.toml"
    )


def _add_scan(commands: argparse._SubParsersAction[_Parser]) -> None:
    from trio_egress.cli.scan_parser import add_scan

    add_scan(commands)


def _add_serve(commands: argparse._SubParsersAction[_Parser]) -> None:
    from trio_egress.cli.serve_parser import add_serve

    add_serve(commands)


def _add_policy(commands: argparse._SubParsersAction[_Parser]) -> None:
    from trio_egress.cli.policy.parser import add_policy

    add_policy(commands)


def _add_detectors(commands: argparse._SubParsersAction[_Parser]) -> None:
    from trio_egress.cli.detectors.parser import add_detectors

    add_detectors(commands)


def _add_packet(commands: argparse._SubParsersAction[_Parser]) -> None:
    from trio_egress.cli.packet.parser import add_packet

    add_packet(commands)


def _add_keys(commands: argparse._SubParsersAction[_Parser]) -> None:
    from trio_egress.cli.keys.parser import add_keys

    add_keys(commands)


_COMMANDS: Mapping[str, Callable[[argparse._SubParsersAction[_Parser]], None]] = {
    "run": add_run,
    "learn": add_learn,
    "mcp": add_mcp,
    "verify": _add_verify,
    "watch": _add_watch,
    "stop": _add_stop,
    "serve": _add_serve,
    "scan": _add_scan,
    "policy": _add_policy,
    "detectors": _add_detectors,
    "packet": _add_packet,
    "keys": _add_keys,
    **dict.fromkeys(("doctor", "demo", "recover", "init"), _add_small),
}
"""What adds the parser of each, in the order of --help."""


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < len(text) < 4 or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 999")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
