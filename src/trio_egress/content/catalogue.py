"""The detectors that come with trio-egress: rule files beside this module, so that a reviewer can read them.

Rule: a test reads each file like an operator's, and holds that it has no problem; a run only takes what is in it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib.resources import files

from trio_egress.content.detector import Detector
from trio_egress.content.rules import RuleFile, join_rules, read_rules

CATALOGUE = ("secrets", "instructions", "languages")
"""In this order: of two finds of one value the first file's counts."""


@functools.cache
def read_catalogue() -> tuple[Detector, ...]:
    """All of them, in the order of the files and of their rules."""
    return join_rules(read_catalogue_file(name) for name in CATALOGUE)


def add_to_catalogue(files: Iterable[RuleFile]) -> tuple[Detector, ...]:
    """With the detectors of these files, which come first. Raises PolicyError where one has a name that is taken."""
    packaged = read_catalogue()
    joined = join_rules([RuleFile(packaged), *files])
    return (*joined[len(packaged) :], *packaged)


def read_catalogue_file(name: str) -> RuleFile:
    """One of CATALOGUE."""
    text = files("trio_egress.content").joinpath(f"catalogue/{name}.toml").read_text(encoding="utf-8")
    return read_rules(text, f"catalogue/{name}.toml", tested=True)
