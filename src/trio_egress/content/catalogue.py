"""The detectors that come with trio-egress: rule files beside this module, so that a reviewer can read them.

Rule: a test reads each file like an operator's, and holds that it has no problem; a run only takes what is in it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from importlib.resources import files

from trio_egress.content.detector import Detector
from trio_egress.content.rules import RuleFile, join_rules, read_rules
from trio_egress.errors import Problem

CATALOGUE = ("secrets", "instructions", "languages")
"""In this order: of two finds of one value the first file's counts."""


@functools.cache
def read_catalogue() -> tuple[Detector, ...]:
    """All of them, in the order of the files and of their rules."""
    return join_rules(read_catalogue_file(name) for name in CATALOGUE)


def add_to_catalogue(files: Iterable[RuleFile]) -> tuple[Detector, ...]:
    """With the detectors of these files, which come first. Raises PolicyError where two of them have one name."""
    own = join_rules(files)
    return (*own, *list_others(own))


def list_others(own: Iterable[Detector]) -> tuple[Detector, ...]:
    """What is left of the packaged ones beside these: one of the same name takes the packaged one's place."""
    names = {detector.name for detector in own}
    return tuple(detector for detector in read_catalogue() if detector.name not in names)


def warn_of_replaced(files: Iterable[RuleFile]) -> Iterator[Problem]:
    """At each rule that stands for a packaged one."""
    packaged = {detector.name for detector in read_catalogue()}
    for detector in (detector for file in files for detector in file.detectors if detector.name in packaged):
        place, _, line = detector.source.rpartition(":")
        said = f"this rule takes the place of trio-egress's own {detector.name}"
        yield Problem(place, int(line), 1, said, warning=True)


def read_catalogue_file(name: str) -> RuleFile:
    """One of CATALOGUE."""
    text = files("trio_egress.content").joinpath(f"catalogue/{name}.toml").read_text(encoding="utf-8")
    return read_rules(text, f"catalogue/{name}.toml", tested=True)
