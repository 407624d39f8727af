"""`trio-egress keys`, and the parsers of `keygen` and `signer`. One module for each action, imported late."""

from trio_egress.cli.keys.parser import main

__all__ = ["main"]
