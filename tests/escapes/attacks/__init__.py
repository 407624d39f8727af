"""The attacks by family. Standard library only."""

from importlib import import_module

FAMILIES = (
    "sockets",
    "direct",
    "dns",
    "names",
    "proxy",
    "unix",
    "files",
    "processes",
    "calls",
    "descriptors",
    "ends",
)


def load() -> None:
    """Fill `frame.CASES`, in the same order everywhere: the order gives the cases their numbers."""
    for family in FAMILIES:
        import_module(f"tests.escapes.attacks.{family}")
