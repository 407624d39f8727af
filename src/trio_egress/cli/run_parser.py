"""The arguments of `trio-egress run`, and of whatever else starts a run."""

from __future__ import annotations

import argparse
from typing import Any

from trio_egress.cli.run_help import add_help

FAIL_ON = (NEVER := "never", "deny", "finding", "unverified")
"""What --fail-on takes: never, or any of the others. cli/exits.py says what they mean."""

NAME_CHARS = 128

HANDED_FILES = ("summary", "sarif", "junit", "annotations")
"""The options that name a file which is written of the verified packet."""

RUN_EPILOG = """\
exit codes:
  the agent's own code passes through; 128+N when signal N ended it, or ended the run before the agent ran
  121  the agent ended with 0, but what --fail-on names came to pass
  122  the evidence is incomplete: a receipt could not be written
  124  --timeout was over
  125  trio-egress refused, or failed before the agent ran
  126  the command is not executable      127  the command was not found
"""

MCP_EPILOG = """\
Standard output has the server's messages and nothing else; all that trio-egress says, and what the server writes to
its standard error, goes to standard error. What the server may reach is what the policy allows: nothing, by itself.

in a client's configuration (`.mcp.json` and its like), before the server's own command:
  "files": {
    "command": "trio-egress",
    "args": ["mcp", "--policy", "/etc/agents/files.toml", "--quiet", "--",
             "npx", "-y", "@modelcontextprotocol/server-filesystem", "."]
  }

exit codes: as of `trio-egress run`; 143 where the server had to be ended, because its client had gone or because it
wrote what is no message.
"""


RUN_EXAMPLES = (
    "trio-egress run -- ./agent.sh",
    "trio-egress run --allow api.example.com -- ./agent.sh",
    "trio-egress run --mode observe -- ./agent.sh",
    "trio-egress run --key ci.key --fail-on deny,unverified -- ./agent.sh",
)
LEARN_EXAMPLES = (
    "trio-egress learn -- ./agent.sh",
    "trio-egress learn --from trio-egress-audit/RUN --output agent.toml",
)
MCP_EXAMPLES = ("trio-egress mcp --policy files.toml --quiet -- files-server .",)


def add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="run a command in the sandbox",
        description="Run COMMAND in the sandbox; its only way out is what the policy allows.",
        usage="trio-egress run [options] [--] COMMAND [ARG ...]",
        epilog=RUN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    add_help(run, RUN_EXAMPLES)
    run.set_defaults(observing=False, policy_path=None, waiting=None)
    run.add_argument(
        "--fail-on",
        metavar="WHAT",
        type=read_fail_on,
        default=(),
        help="exit with 121, if the agent itself ended with 0: `deny` where anything was denied or a protected file "
        "touched, `finding` where a scan found something, `unverified` where the packet is not valid; several with "
        "commas (default: never)",
    )
    run.add_argument(
        "--mode",
        choices=["enforce", "observe"],
        default="enforce",
        help="`observe` lets everything but private addresses through and records what the policy would deny",
    )
    run.add_argument(
        "--ask",
        action="store_true",
        help="ask at the terminal about what rules with `ask` allow (without it, and where there is no terminal, that "
        "is denied)",
    )
    run.add_argument(
        "--ask-fd",
        metavar="FD",
        type=int,
        help="ask the program at the other end of this stream socket about all that the policy allows, as "
        "`trio_egress.run(decide=...)` does",
    )
    add_run_options(run)
    _add_json(run)


def add_learn(commands: Any) -> None:
    learn = commands.add_parser(
        "learn",
        help="write the least policy that allows what was seen",
        description="Run COMMAND without enforcing anything but private addresses, record what it does, and write "
        "the least policy that allows it; or learn from evidence that is there already.",
        usage="trio-egress learn [options] [--] COMMAND [ARG ...]\n"
        "       trio-egress learn [--output FILE] --from PACKET [--from PACKET ...]",
        epilog="The agent's own code passes through; 2 where nothing could be learnt or written, else as for `run`.",
        add_help=False,
    )
    add_help(learn, LEARN_EXAMPLES)
    learn.set_defaults(
        observing=True, policy_path=None, waiting=None, fail_on=(), mode="observe", ask=False, ask_fd=None
    )
    learn.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        help="where the policy goes, never over anything (default: trio-egress.toml)",
    )
    learn.add_argument(
        "--from", dest="packets", metavar="PACKET", action="append", default=[], help="evidence to learn from"
    )
    add_run_options(learn)
    _add_json(learn)


def add_mcp(commands: Any) -> None:
    mcp = commands.add_parser(
        "mcp",
        help="run an MCP server in the sandbox, and carry its standard streams",
        description="Run COMMAND, an MCP server that speaks over its standard input and output, in the sandbox, and "
        "carry what it and its client say to each other: each message is read strictly, judged and recorded. Put it "
        "before the server's command in the client's configuration.",
        usage="trio-egress mcp [options] [--] COMMAND [ARG ...]",
        epilog=MCP_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    add_help(mcp, MCP_EXAMPLES)
    mcp.set_defaults(
        waiting=None,
        observing=False,
        policy_path=None,
        json=False,
        fail_on=(),
        mode="enforce",
        ask=False,
        ask_fd=None,
    )
    add_run_options(mcp)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--policy",
        metavar="FILE",
        help="policy (default: $TRIO_EGRESS_POLICY, else ./trio-egress.toml or .yaml)",
    )
    add(
        "--allow",
        metavar="HOST[:PORT]",
        action="append",
        default=[],
        help="allow this beside what the policy says; may be repeated. The packet has the policy with it",
    )
    add("--agent", metavar="NAME", type=read_name, help="what receipts call the agent (default: its program)")
    _add_evidence_options(parser)
    _add_handover_options(parser)
    _add_outside_options(parser)
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
    add(
        "--stop-file",
        metavar="FILE",
        help="stop all egress for good once FILE exists, as `trio-egress stop` does; outside the working directory",
    )
    add("--status-file", metavar="FILE", help="write how the run ended to FILE, as JSON")
    add("--quiet", action="store_true", help="print nothing but errors")
    add("argv", nargs=argparse.REMAINDER, metavar="COMMAND", help=argparse.SUPPRESS)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print how the run ended to standard output, as JSON"
    )


def _add_evidence_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--evidence",
        metavar="DIR",
        help="where the Audit Packet goes: new or empty (default: ./trio-egress-audit/RUN)",
    )
    add(
        "--evidence-in",
        metavar="DIR",
        help="a directory of several runs: the Audit Packet goes to DIR/RUN (default: ./trio-egress-audit)",
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


def _add_handover_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--verify",
        action="store_true",
        help="verify the packet at the end, as `trio-egress verify` does, and put what came of it into the status; "
        "the next five do that, too",
    )
    add(
        "--public-key",
        metavar="KEY|FILE",
        action="append",
        default=[],
        help="a key that must have signed, or a roster (default: the public half of --key); may be repeated",
    )
    add(
        "--summary", metavar="FILE", help="append a summary in Markdown to FILE, such as $GITHUB_STEP_SUMMARY"
    )
    add("--sarif", metavar="FILE", help="write FILE for code scanning")
    add("--junit", metavar="FILE", help="write FILE for a CI's list of tests")
    add("--annotations", metavar="FILE", help="write FILE, with at most 10 annotations of a kind for GitHub")


def _add_outside_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--events",
        metavar="FILE|unix:PATH|otlp:URL",
        action="append",
        default=[],
        help="while the run lives, hand on each receipt that is on disk: append it to FILE, write it to a socket, or "
        "send it to a collector of OpenTelemetry. Never waited for; what is dropped is counted. May be repeated",
    )
    add(
        "--events-format",
        choices=["jsonl", "ocsf"],
        default="jsonl",
        help="receipts as they stand in the evidence (default), or attempts as OCSF events",
    )
    add(
        "--metrics",
        metavar="FILE|unix:PATH",
        action="append",
        default=[],
        help="figures for Prometheus: in FILE at the end, over HTTP on a socket while the run lives. May be repeated",
    )


def asks_for_handover(options: argparse.Namespace) -> bool:
    """Whether the packet is to be verified at the end."""
    return bool(
        options.verify
        or options.public_key
        or any(getattr(options, name) for name in HANDED_FILES)
        or {"finding", "unverified"} & set(options.fail_on or ())
    )


def read_fail_on(text: str) -> tuple[str, ...]:
    """Raises ArgumentTypeError."""
    words = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if not words or not set(words) <= set(FAIL_ON) or (NEVER in words and len(words) > 1):
        given = f"{NEVER}, or of {', '.join(FAIL_ON[1:])} one or several"
        raise argparse.ArgumentTypeError(f"{text!r} is not {given}")
    return tuple(word for word in words if word != NEVER)


def read_name(text: str) -> str:
    """What an agent may be called. Raises ArgumentTypeError."""
    if not text.strip() or not text.isprintable() or len(text) > NAME_CHARS:
        raise argparse.ArgumentTypeError(f"give a name of 1 to {NAME_CHARS} printable characters")
    return text


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
