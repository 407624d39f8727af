"""The policy that an operator sets under those of all clients (`trio-egress serve --policy-floor`)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trio_egress.errors import UsageError
from trio_egress.policy.compiled import render_compiled
from trio_egress.policy.rule import Policy
from trio_egress.runtime.policy_file import read_policy


def read_floor(path: Path) -> Policy:
    """Raises UsageError and PolicyError.

    Where serve would look for a file by what a client has put there, or run something in its directory, it is none.
    """
    _, policy = read_policy(path)
    document = json.loads(render_compiled(policy))
    for place, source in _find_sources(document):
        if "command" in source:
            raise UsageError(
                f"{path}: {place} comes of a command, which serve does not run for a client: give a file, by its "
                "absolute path"
            )
        if not os.path.isabs(source.get("file", "/")):
            raise UsageError(
                f"{path}: {place}: {source['file']!r} would be looked for in a client's directory: give an absolute "
                "path"
            )
    for text in document["files"]["write"]:
        if not os.path.isabs(text):
            raise UsageError(
                f"{path}: [files] write {text!r}: give an absolute path, that no client can replace"
            )
    return policy


def _find_sources(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Of what a run reads by itself; what belongs to the policy is named from its directory, and read with it."""
    for table in ("secret", "canary"):
        for each in document.get(table, []):
            yield f"the {table} {each['name']}", each.get("from", {})
    yield "[upstream] password", document.get("upstream", {}).get("password", {})
    for path in document.get("scan", {}).get("files", []):
        yield "[scan] files", {"file": path}
