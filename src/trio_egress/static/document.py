"""An outcome as one JSON document. No field of it holds a secret, nor a line of text unmasked."""

from __future__ import annotations

import json

import attrs

from trio_egress.static.excerpt import escape_name
from trio_egress.static.outcome import Outcome, Told

Json = dict[str, object]


def render_document(outcome: Outcome) -> str:
    """`findings` has those that don't count, too, with their `state`."""
    counts = outcome.count()
    document = {
        "findings": [_render(told) for told in outcome.told],
        "unread": [{"path": escape_name(each.path), "reason": each.reason} for each in outcome.unread],
        "stale": [{**attrs.asdict(entry), "path": escape_name(entry.path)} for entry in outcome.stale],
        "notes": outcome.notes,
        "files": outcome.sources,
        "counts": {word: counts[word] for word in ("block", "warn", "baseline", "comment")},
    }
    return json.dumps(document, indent=1)


def _render(told: Told) -> Json:
    hit, place = told.hit, told.hit.place
    return {
        "path": escape_name(hit.path),
        "line": place.line,
        "column": place.column,
        "end_line": place.end_line,
        "end_column": place.end_column,
        "detector": hit.detector.name,
        "description": hit.detector.description,
        "kind": hit.detector.kind.value,
        "severity": hit.detector.severity.value,
        "action": told.action.value,
        "via": list(hit.via),
        "value": hit.excerpt.value,
        "excerpt": hit.excerpt.text,
        "fingerprint": hit.fingerprint,
        "state": told.state.value,
        **({"reason": told.reason} if told.reason else {}),
    }
