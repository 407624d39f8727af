"""`trio-egress mcp`: an MCP server in the sandbox, with its client on standard input and output.

Standard output is the client's alone, from the first moment: whatever else is said goes to standard error.
"""

from __future__ import annotations

import argparse

from trio_egress.cli.run import main as run
from trio_egress.runtime.signals import Inbox
from trio_egress.runtime.stdio import take_client


def main(options: argparse.Namespace, inbox: Inbox) -> int:
    """Exit codes as of `run`."""
    return run(options, inbox, client=take_client())
