"""A packet as SARIF 2.1.0, for code scanning: what the verifier found, what a scan found in what passed, and what was
denied, these at the policy's lines.

Rule 1: texts that an agent or a peer chose are plain text: they make no link and no placeholder (SARIF 3.11).
Rule 2: equal denials are one result with a count, and each has a fingerprint that another run gives it again.
Rule 3: bounded: at most RESULTS results, small enough for GitHub (25,000 results, 10 MB compressed); what is left out
is counted in the last of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping

from trio_egress import __version__
from trio_egress.evidence.attempts import Told
from trio_egress.evidence.findings import CODES, Finding
from trio_egress.evidence.report import Verdict
from trio_egress.model import Layer
from trio_egress.values import define
from trio_egress.views.census import cut
from trio_egress.views.layers import explain_layer, name_layer
from trio_egress.views.picture import Picture
from trio_egress.views.sarif_found import DETECTED, Detections, explain_detector
from trio_egress.views.sarif_result import ROOT_BASE, Json, make_plain, render_result
from trio_egress.views.source import Place

RESULTS = 25_000
TARGET_CHARS = 160
REASON_CHARS = 240
FINDING_CHARS = 1000
ID_CHARS = 64

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
DENIED, FOUND = "denied/", "evidence/"
VERDICT_RULE = "evidence/verdict"
OMITTED_RULE = "evidence/left-out"
VERDICT_HELP = (
    "`trio-egress verify PACKET --public-key KEY` says what holds, what does not, and what is not proven."
)


@define
class _Denial:
    """Equal denials: what the last receipt of the first of them says, cut, and where its reason stands."""

    layer: str
    observed: bool
    what: str
    why: str
    place: Place
    seq: int
    action_id: str
    count: int = 0

    @classmethod
    def of(cls, last: Told, place: Place) -> _Denial:
        return cls(
            layer=name_layer(last.layer),
            observed=last.observed,
            what=cut(f"{last.method} {last.target}".strip(), TARGET_CHARS),
            why=cut(last.reason, REASON_CHARS) or explain_layer(last.layer).short,
            place=place,
            seq=last.seq,
            action_id=cut(last.action_id, ID_CHARS),
        )


def render_sarif(picture: Picture) -> Iterator[str]:
    """One JSON document, in pieces."""
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_render_run(picture)]}
    yield from json.JSONEncoder(ensure_ascii=True, indent=1).iterencode(log)
    yield "\n"


def _render_run(picture: Picture) -> Json:
    report = picture.report
    results = [*_render_verdict(picture), *(_render_finding(picture, finding) for finding in report.findings)]
    detections = Detections(picture)
    denials, omitted = _gather(picture, RESULTS - 1 - len(results), detections)
    results += [*detections.render(), *(_render_denial(key, denial) for key, denial in denials.items())]
    if omitted or report.finding_count > len(report.findings):
        results.append(_render_omitted(picture, omitted))
    rules = sorted({str(result["ruleId"]) for result in results})
    for result in results:
        result["ruleIndex"] = rules.index(str(result["ruleId"]))
    return {
        "tool": {
            "driver": {
                "name": "trio-egress",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_render_rule(name) for name in rules],
            }
        },
        "automationDetails": {"id": "trio-egress/"},
        "invocations": [_render_invocation(picture)],
        "originalUriBaseIds": {ROOT_BASE: {"description": {"text": "The root of the repository."}}},
        "results": results,
        "columnKind": "unicodeCodePoints",
        "properties": {
            "verdict": report.verdict.value,
            "runId": report.run_id,
            "head": report.head,
            "policyHash": report.policy_hash,
            "receipts": report.receipt_count,
        },
    }


def _render_invocation(picture: Picture) -> Json:
    report = picture.report
    told: list[Json] = []
    if picture.warning:
        level = "error" if report.verdict in (Verdict.INVALID, Verdict.UNREADABLE) else "warning"
        text = f"{picture.warning}. {report.error}" if report.error else f"{picture.warning}."
        told.append(_render_notification(level, text))
    told += [_render_notification("note", f"{note}.") for note in report.notes]
    return {
        "executionSuccessful": report.verdict is not Verdict.UNREADABLE,
        **({"toolExecutionNotifications": told} if told else {}),
    }


def _render_notification(level: str, text: str) -> Json:
    return {
        "level": level,
        "descriptor": {"id": VERDICT_RULE},
        "message": {"text": make_plain(cut(text, FINDING_CHARS))},
    }


# results


def _render_verdict(picture: Picture) -> list[Json]:
    if not picture.warning:
        return []
    level = {Verdict.SELF_CONSISTENT: "note", Verdict.PREFIX: "warning"}.get(picture.report.verdict, "error")
    return [render_result(VERDICT_RULE, level, f"{picture.warning}.", picture.locate(), VERDICT_RULE)]


def _render_finding(picture: Picture, finding: Finding) -> Json:
    where = picture.locate(finding.file, finding.line)
    identity = f"{finding.file}\0{finding.line}\0{finding.place}"
    return render_result(
        f"{FOUND}{finding.code}", "error", make_plain(cut(finding.message, FINDING_CHARS)), where, identity
    )


def _gather(picture: Picture, most: int, detections: Detections) -> tuple[Mapping[str, _Denial], int]:
    """Denials by what makes them equal, and how many more there were than could be kept, of findings too.

    A denial for what was found in it is told as that finding.
    """
    denials: dict[str, _Denial] = {}
    omitted = 0
    for attempt in picture.attempts():
        last = attempt.last
        omitted += detections.add(attempt, most - len(denials))
        by_scan = last.layer == Layer.SCAN.value and attempt.findings
        if by_scan or not (attempt.denied or last.observed):
            continue
        identity = (last.layer, last.transport, last.method, last.target, last.fact("detail"))
        key = hashlib.sha256("\0".join(identity).encode()).hexdigest()
        if key in denials or len(denials) + len(detections) < most:
            denial = denials.setdefault(key, _Denial.of(last, picture.locate_reason(last)))
            denial.count += last.count
        else:
            omitted += last.count
    return denials, omitted


def _render_denial(key: str, denial: _Denial) -> Json:
    times = f" ({denial.count} times)" if denial.count > 1 else ""
    text = f"{'Observed' if denial.observed else 'Denied'}{times}: {denial.what}: {denial.why}."
    level = "note" if denial.observed else _find_level(denial.layer)
    result = render_result(f"{DENIED}{denial.layer}", level, make_plain(text), denial.place, key)
    result["occurrenceCount"] = denial.count
    result["properties"] = {"receipt": denial.seq, "actionId": denial.action_id}
    return result


def _find_level(layer: str) -> str:
    """A secret that is asked for by somebody else is more than an attempt that found no rule."""
    return "error" if layer == Layer.SECRET.value else "warning"


def _render_omitted(picture: Picture, omitted: int) -> Json:
    more = picture.report.finding_count - len(picture.report.findings)
    text = (
        f"{more} more findings of the verifier and {omitted} more denials and finds are in the evidence, and are left "
        "out here."
    )
    return render_result(OMITTED_RULE, "warning", text, picture.locate(), OMITTED_RULE)


# rules


def _render_rule(name: str) -> Json:
    short, help_, level = _explain(name)
    subject = "secrets" if name.startswith(DETECTED) else "policy" if name.startswith(DENIED) else "evidence"
    return {
        "id": name,
        "name": _camel(name),
        "shortDescription": {"text": f"{short}."},
        "fullDescription": {"text": help_},
        "help": {"text": help_, "markdown": help_},
        "defaultConfiguration": {"level": level},
        "properties": {
            "tags": ["security", "egress", subject],
            "precision": "high" if name.startswith(DETECTED) else "very-high",
            "problem.severity": level if level == "error" else "warning",
            "security-severity": "9.0" if level == "error" else "5.0",
        },
    }


def _explain(name: str) -> tuple[str, str, str]:
    """A phrase, a help and the usual level."""
    if name.startswith(DENIED):
        meaning = explain_layer(name.removeprefix(DENIED))
        return meaning.short, meaning.help, _find_level(name.removeprefix(DENIED))
    if name.startswith(DETECTED):
        return explain_detector(name)
    if name == VERDICT_RULE:
        return "What the evidence is worth", VERDICT_HELP, "error"
    if name == OMITTED_RULE:
        return "Not everything is shown", "`trio-egress packet show` shows every receipt.", "warning"
    code = CODES.get(name.removeprefix(FOUND), "something does not hold together")
    return code[:1].upper() + code[1:], f"The verifier found in the packet: {code}. {VERDICT_HELP}", "error"


def _camel(name: str) -> str:
    """`denied/default_deny` as `DeniedDefaultDeny`."""
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name))
