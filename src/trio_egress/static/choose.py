"""Which detectors look, and what becomes of what they find: trio-egress's own, files of rules, a policy."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trio_egress.content.catalogue import read_catalogue
from trio_egress.content.detector import Detector, Way
from trio_egress.content.rules import RuleFile, join_rules, read_rules
from trio_egress.content.scanner import Scanner
from trio_egress.errors import UsageError
from trio_egress.model import Action
from trio_egress.policy.rule import Policy
from trio_egress.policy.scan import NO_SCAN, merge_scan, resolve_action
from trio_egress.static.look import Hit
from trio_egress.static.outcome import Decide

OpenScanner = Callable[[tuple[Detector, ...]], Scanner]


def make_scanner(rules: Iterable[str], open_scanner: OpenScanner = Scanner) -> tuple[Scanner, list[str]]:
    """With the rules of these files as well; and what is to be told of them. PolicyError: one of them can't be used."""
    files = [_read_file(place) for place in rules]
    detectors = join_rules([RuleFile(read_catalogue()), *files])
    warnings = [str(problem) for file in files for problem in file.warnings]
    return open_scanner(detectors), warnings


def decide_by_detector(hit: Hit) -> Action:
    """Where no policy says otherwise."""
    return hit.detector.action


def decide_by(policy: Policy, now_us: int) -> Decide:
    """As for what a rule with `scan = true` of that policy lets through."""
    terms = merge_scan(NO_SCAN, policy.scan)

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


def _read_file(place: str) -> RuleFile:
    try:
        with open(place, encoding="utf-8") as file:
            return read_rules(file.read(), place)
    except OSError as error:
        raise UsageError(f"cannot read the rules {place}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read the rules {place}: it is not UTF-8") from None
