"""`trio-egress packet`: what can be done with an Audit Packet. One module for each action, imported late."""

from trio_egress.cli.packet.parser import main

__all__ = ["main"]
