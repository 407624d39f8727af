"""One result of SARIF 2.1.0, at a place, with fingerprints that another run gives it again."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from trio_egress.views.source import Place

ROOT_BASE = "%SRCROOT%"

Json = dict[str, object]


def render_result(rule: str, level: str, text: str, place: Place, identity: str) -> Json:
    digest = hashlib.sha256(f"{rule}\0{identity}".encode()).hexdigest()[:32]
    location = {"artifactLocation": {"uri": quote(place.path), "uriBaseId": ROOT_BASE}}
    return {
        "ruleId": rule,
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": {**location, "region": {"startLine": place.line}}}],
        # GitHub looks at the second alone, and makes it from the line's text where it is not given.
        "partialFingerprints": {"trioEgress/v1": digest, "primaryLocationLineHash": f"{digest[:16]}:1"},
    }


def make_plain(text: str) -> str:
    """As a plain text message that no reader takes for more: no link, no placeholder."""
    return text.replace("](", "] (").replace("{", "(").replace("}", ")")
