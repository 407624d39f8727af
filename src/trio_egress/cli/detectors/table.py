"""`trio-egress detectors list`: one detector a line, or all that is known of each as JSON."""

from __future__ import annotations

import argparse
import json
import sys

from trio_egress.cli.detectors.rules import read_detectors
from trio_egress.content.detector import Detector
from trio_egress.errors import PolicyError, UsageError


def main(options: argparse.Namespace) -> int:
    """0; 2 a rule file can't be read, or has an error."""
    try:
        detectors = read_detectors(options.rules, options.kind)
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 2
    except UsageError as error:
        print(f"trio-egress detectors list: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([render_detector(detector) for detector in detectors], indent=2))
        return 0
    width = max((len(detector.name) for detector in detectors), default=0)
    for detector in detectors:
        check = "checked" if detector.check else ""
        print(
            f"{detector.name:<{width}}  {detector.action.value:<5}  {detector.kind.value:<11}  {check:<7}  "
            f"{detector.description}"
        )
    return 0


def render_detector(detector: Detector) -> dict[str, object]:
    ways = [way.name.lower() for way in detector.ways.__class__ if way in detector.ways and way.name]
    return {
        "name": detector.name,
        "description": detector.description,
        "kind": detector.kind.value,
        "action": detector.action.value,
        "severity": detector.severity.value,
        "ways": [way for way in ways if way != "both"],
        "check": detector.check,
        "home": list(detector.home),
        "pattern": detector.pattern,
        "entropy": detector.entropy,
        "keywords": list(detector.keywords),
        "source": detector.source,
    }
