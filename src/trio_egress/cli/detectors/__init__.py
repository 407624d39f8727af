"""`trio-egress detectors`: what is looked for in content, and whether it is in a text. Modules are imported late."""

from trio_egress.cli.detectors.parser import main

__all__ = ["main"]
