"""The detectors of a policy: those that come with the package, and its own; and whether it names any that are none.

Imports what reads them late: a run that looks through nothing never loads it.

Rule: what the policy names is there, or the run does not begin: a word for a detector that is misspelt would leave that
detector as it is, and nobody would notice.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from trio_egress.errors import PolicyError, Problem
from trio_egress.policy.rule import Policy
from trio_egress.policy.scan import TOOL_CHANGED, TOOL_NEW
from trio_egress.policy.sought import DetectorFile
from trio_egress.texts.faults import hint_nearest, show

if TYPE_CHECKING:
    from trio_egress.content.detector import Detector

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
"""How values of variables are called, of which each run has its own."""


def has_scans(policy: Policy) -> bool:
    """Whether a rule, or `[mcp]`, has anything looked through."""
    return bool(policy.scans)


def load_detectors(policy: Policy) -> tuple[Detector, ...]:
    """The policy's own first. Raises PolicyError with everything that is wrong with the policy's own."""
    detectors = _read_detectors(posixpath.dirname(policy.source_file), policy.sought.detector_files)
    if problems := list(find_unknown(policy, {detector.name for detector in detectors})):
        raise PolicyError(tuple(problems))
    return detectors


@functools.lru_cache(maxsize=1)
def _read_detectors(folder: str, named: tuple[DetectorFile, ...]) -> tuple[Detector, ...]:
    """Once, although they are asked for when the policy is checked and when the scanner is made."""
    from trio_egress.content.catalogue import add_to_catalogue
    from trio_egress.content.rules import RuleFile, read_rules

    files: list[RuleFile] = []
    problems: list[Problem] = []
    for file in named:
        try:
            files.append(read_rules(file.text, posixpath.join(folder, file.name)))
        except PolicyError as error:
            problems += error.problems
    if problems:
        raise PolicyError(tuple(problems))
    return add_to_catalogue(files)


def find_unknown(policy: Policy, names: set[str]) -> Iterator[Problem]:
    """Where the policy has a word for a detector that is none of these `names`, or of its own values."""
    known = names | {TOOL_CHANGED, TOOL_NEW} | {placed.secret.name for placed in policy.secrets}
    known |= {placed.canary.name for placed in policy.sought.canaries}
    for name, place in policy.named_detectors:
        if name not in known and not _VARIABLE.fullmatch(name):
            hint = hint_nearest(name, known) or "; `trio-egress detectors list` names them all"
            yield attrs.evolve(place, message=f"no detector is called {show(name)}{hint}")
