"""The attacks by family. Standard library only."""

from importlib import import_module

from tests.escapes.frame import CASES

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
    "resets",
    "ends",
    "modes",
)


def load() -> None:
    """Fill `frame.CASES`, in the same order everywhere: the order gives the cases their numbers."""
    for family in FAMILIES:
        import_module(f"tests.escapes.attacks.{family}")
    CASES.sort(key=lambda case: FAMILIES.index(case.family))  # whoever imported one of them first
