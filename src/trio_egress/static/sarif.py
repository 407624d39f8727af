"""An outcome as SARIF 2.1.0, for code scanning: each finding at its place, those that don't count as suppressed.

Rule 1: texts of files are plain text: they make no link and no placeholder (SARIF 3.11).
Rule 2: a finding has a fingerprint that does not hang on its line.
Rule 3: bounded: at most RESULTS results; what is left out is counted in the last of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote

from trio_egress import __version__
from trio_egress.content.detector import Detector, Severity
from trio_egress.static.excerpt import escape_name
from trio_egress.static.outcome import Outcome, State, Told
from trio_egress.static.text import describe

RESULTS = 25_000
"""The most that GitHub takes."""

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT_BASE = "%SRCROOT%"
OMITTED = "left-out"

Json = dict[str, object]

_SCORES = {Severity.LOW: "3.0", Severity.MEDIUM: "5.0", Severity.HIGH: "8.0", Severity.CRITICAL: "9.5"}


def render_sarif(outcome: Outcome) -> Iterator[str]:
    """One JSON document, in pieces."""
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_render_run(outcome)]}
    yield from json.JSONEncoder(ensure_ascii=True, indent=1).iterencode(log)
    yield "\n"


def _render_run(outcome: Outcome) -> Json:
    chosen = sorted(outcome.told, key=lambda told: told.state is not State.NEW)
    shown = chosen if len(chosen) <= RESULTS else chosen[: RESULTS - 1]
    detectors = {told.hit.detector.name: told.hit.detector for told in shown}
    rules = sorted(detectors)
    seen: Counter[str] = Counter()
    results = [_render_result(told, rules.index(told.hit.detector.name), seen) for told in shown]
    described = [_render_rule(detectors[name]) for name in rules]
    if len(shown) < len(chosen):
        described.append(_render_omitted_rule())
        results.append(_render_omitted(len(chosen) - len(shown), len(rules)))
    driver: Json = {"name": "trio-egress scan", "version": __version__, "semanticVersion": __version__}
    return {
        "tool": {"driver": {**driver, "rules": described}},
        "automationDetails": {"id": "trio-egress-scan/"},
        "invocations": [_render_invocation(outcome)],
        "originalUriBaseIds": {ROOT_BASE: {"description": {"text": "The root of the repository."}}},
        "results": results,
        "columnKind": "unicodeCodePoints",
    }


def _render_invocation(outcome: Outcome) -> Json:
    told = [f"{escape_name(each.path)} was not looked through: {each.reason}" for each in outcome.unread]
    notifications = [{"level": "error", "message": {"text": _plain(text)}} for text in told[:RESULTS]]
    return {
        "executionSuccessful": not outcome.unread,
        **({"toolExecutionNotifications": notifications} if notifications else {}),
    }


def _render_result(told: Told, index: int, seen: Counter[str]) -> Json:
    hit, place = told.hit, told.hit.place
    identity = f"{hit.detector.name}\0{hit.path}\0{hit.fingerprint}".encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(identity).hexdigest()[:32]
    seen[digest] += 1
    region = {
        "startLine": place.line,
        "startColumn": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    }
    within = f" in {escape_name(hit.path)}, line {place.line}" if hit.archive else ""
    # A member's lines are none of its archive's.
    located = {
        "artifactLocation": _locate(hit.archive or hit.path),
        **({} if hit.archive else {"region": region}),
    }
    return {
        "ruleId": hit.detector.name,
        "ruleIndex": index,
        "level": "error" if told.blocks else "warning",
        "message": {"text": _plain(f"{describe(told)}: {hit.excerpt.value}{within}")},
        "locations": [{"physicalLocation": located}],
        "partialFingerprints": {
            "trioEgressScan/v1": digest,
            "primaryLocationLineHash": f"{digest[:16]}:{seen[digest]}",
        },
        **_render_suppression(told),
    }


def _locate(path: str) -> Json:
    """Outside of the repository there is no base."""
    uri = quote(path.encode("utf-8", "surrogateescape"))
    return {"uri": f"file://{uri}"} if path.startswith("/") else {"uri": uri, "uriBaseId": ROOT_BASE}


def _render_suppression(told: Told) -> Json:
    if told.state is State.NEW:
        return {}
    kind = "inSource" if told.state is State.ALLOWED else "external"
    reason = {"justification": _plain(told.reason)} if told.reason else {}
    return {"suppressions": [{"kind": kind, **reason}]}


def _render_rule(detector: Detector) -> Json:
    text = _plain(f"{detector.description.rstrip('.')}.")
    return {
        "id": detector.name,
        "name": "".join(map(str.capitalize, (detector.kind.value, *re.split(r"[-_.]+", detector.name)))),
        "shortDescription": {"text": text},
        "fullDescription": {"text": text},
        "help": {"text": f"{text} What was found is masked here; revoke what has been published."},
        "defaultConfiguration": {"level": "error"},
        "properties": {
            "tags": ["security", detector.kind.value],
            "security-severity": _SCORES[detector.severity],
        },
    }


def _render_omitted_rule() -> Json:
    text = "Not everything is shown."
    return {
        "id": OMITTED,
        "name": "LeftOut",
        "shortDescription": {"text": text},
        "fullDescription": {"text": text},
    }


def _render_omitted(count: int, index: int) -> Json:
    return {
        "ruleId": OMITTED,
        "ruleIndex": index,
        "level": "warning",
        "message": {"text": f"{count} more findings are left out here; `trio-egress scan --json` has them."},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": ".", "uriBaseId": ROOT_BASE}}}],
    }


def _plain(text: str) -> str:
    return text.replace("](", "] (").replace("{", "(").replace("}", ")")
