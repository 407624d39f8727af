"""What a policy includes, in one file: so that whoever has the policy's text and this file can read the policy again.

Opens no file. Presets are in it, too: what a name stands for may be another thing in a later release.

Rule: `load_packaged` raises PolicyError, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from trio_egress.errors import PolicyError, Problem
from trio_egress.policy.load import load_policy
from trio_egress.policy.part import decode_policy
from trio_egress.policy.rule import Policy

INCLUDES_FILE = "policy-includes.json"


def render_includes(policy: Policy) -> bytes:
    """JSON in UTF-8: the name of the policy's file, and name, SHA-256 and text of each file that it includes.

    Empty where the policy includes nothing.
    """
    if len(policy.sources) < 2:
        return b""
    root, *included = policy.sources
    document = {
        "policy": root.name,
        "includes": [
            {"name": source.name, "sha256": source.sha256, "text": source.text} for source in included
        ],
    }
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def load_packaged(raw_policy: bytes, file: str, raw_includes: bytes = b"") -> Policy:
    """The policy of these bytes; `raw_includes` are as `render_includes` gave them. `file` tells TOML from YAML."""
    if not raw_includes:
        return load_policy(decode_policy(raw_policy, file), file)
    name, texts = _parse_includes(raw_includes)

    def read(included: str) -> bytes:
        if included not in texts:
            raise FileNotFoundError(f"it is not in {INCLUDES_FILE}")
        return texts[included]

    return load_policy(decode_policy(raw_policy, name), name, read, presets=read)


def _parse_includes(raw: bytes) -> tuple[str, Mapping[str, bytes]]:
    try:
        document: Any = json.loads(raw.decode("utf-8"))
        name, includes = document["policy"], document["includes"]
        texts = {include["name"]: include["text"].encode("utf-8") for include in includes}
        wrong = [
            include["name"]
            for include in includes
            if hashlib.sha256(texts[include["name"]]).hexdigest() != include["sha256"]
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _refuse("it is not what a policy includes") from None
    if not isinstance(name, str) or not all(isinstance(key, str) for key in texts):
        raise _refuse("it is not what a policy includes")
    if wrong:
        raise _refuse(f"the text of {wrong[0]} is not the one that its sha256 names")
    return name, texts


def _refuse(message: str) -> PolicyError:
    return PolicyError((Problem(INCLUDES_FILE, 1, 1, message),))
