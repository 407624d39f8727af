"""`trio-egress policy`: what a policy says, does and should say. One module for each action, imported late."""

from trio_egress.cli.policy.parser import main

__all__ = ["main"]
