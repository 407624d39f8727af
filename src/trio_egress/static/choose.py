"""Which detectors look, and what becomes of what they find: trio-egress's own, files of rules, a policy."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from trio_egress.content.catalogue import list_others, warn_of_replaced
from trio_egress.content.detector import Detector, Way
from trio_egress.content.rules import RuleFile, join_rules, read_rules
from trio_egress.content.scanner import Scanner
from trio_egress.errors import UsageError
from trio_egress.model import Action
from trio_egress.policy.scan import NO_SCAN, merge_scan, resolve_action
from trio_egress.static.look import Hit
from trio_egress.static.outcome import Decide

if TYPE_CHECKING:
    from trio_egress.policy.rule import Policy

FEW = 20
"""Detectors of one's own that are compiled each time: to change one costs little. More are kept with the others."""

OpenScanner = Callable[[tuple[Detector, ...], tuple[Detector, ...]], Scanner]
"""Those that come with trio-egress are the same each time, and compiled once; others are few."""


def make_scanner(files: Iterable[RuleFile], open_scanner: OpenScanner = Scanner) -> tuple[Scanner, list[str]]:
    """With what comes with trio-egress; and what is to be told of the files. PolicyError: two rules have one name."""
    read = list(files)
    own = join_rules(read)
    warnings = (*(problem for file in read for problem in file.warnings), *warn_of_replaced(read))
    told = [str(problem) for problem in warnings]
    if len(own) > FEW:
        return open_scanner((*own, *list_others(own)), ()), told
    return open_scanner(list_others(own), own), told


def decide_by_detector(hit: Hit) -> Action:
    """Where no policy says otherwise."""
    return hit.detector.action


def decide_by(policy: Policy, now_us: int) -> Decide:
    """As for what a rule with `scan = true` of that policy lets through."""
    suppressed = {one.finding: one for placed in policy.suppressions for one in (placed.suppression,)}
    terms = merge_scan(NO_SCAN, policy.scan, suppressed)

    def decide(hit: Hit) -> Action:
        detector = hit.detector
        return resolve_action(
            terms,
            detector.kind,
            detector.name,
            detector.action,
            outward=bool(detector.ways & Way.OUT),
            finding=hit.fingerprint,
            now_us=now_us,
        )

    return decide


def read_rules_of(policy: Policy) -> list[RuleFile]:
    """The files of detectors that it names. PolicyError: one of them can't be used."""
    folder = posixpath.dirname(policy.source_file)
    return [read_rules(file.text, posixpath.join(folder, file.name)) for file in policy.sought.detector_files]


def read_rule_file(place: str) -> RuleFile:
    """PolicyError: it can't be used."""
    try:
        with open(place, encoding="utf-8") as file:
            return read_rules(file.read(), place)
    except OSError as error:
        raise UsageError(f"cannot read the rules {place}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read the rules {place}: it is not UTF-8") from None
