"""A policy of another tool as a policy of ours, with all that could not be said exactly.

Opens no file. Each tool's words are read by the file of its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from trio_egress.errors import PolicyError, Problem
from trio_egress.policy.conflicts import find_conflicts
from trio_egress.policy.foreign import awf, pipelock, sandbox_runtime, squid, workflow
from trio_egress.policy.foreign.documents import parse_document
from trio_egress.policy.foreign.draft import Draft, Unreadable
from trio_egress.policy.part import read_part
from trio_egress.policy.rule import Source
from trio_egress.policy.writing import render_policy
from trio_egress.values import frozen

_OF_DOCUMENT: Mapping[str, Callable[[Mapping[str, Any]], Draft]] = {
    "pipelock": pipelock.read,
    "awf": awf.read,
    "harden-runner": workflow.read_harden_runner,
    "bullfrog": workflow.read_bullfrog,
    "srt": sandbox_runtime.read,
}
_OF_TEXT: Mapping[str, Callable[[str], Draft]] = {"squid": squid.read, "awf": awf.read_list}

_KEY = re.compile(r"^\s*(?:\{|[A-Za-z$]+:(?:\s|$))", re.MULTILINE)
"""What a document has and a plain list of domains has not."""


@frozen
class Converted:
    """A policy as TOML, how many rules it has, and what it does not say as the other tool did."""

    text: str
    rules: int
    notes: tuple[str, ...]


def convert(tool: str, text: str, file: str) -> Converted:
    """`tool` is one of `foreign.TOOLS`. Raises PolicyError for a file that the tool itself would not read."""
    try:
        draft = _read(tool, text)
    except Unreadable as error:
        raise PolicyError((Problem(file, 1, 1, f"this is no configuration of {tool}: {error}"),)) from None
    _leave_out_denied(draft)
    notes = draft.all_notes()
    comment = (f"Converted from {file} ({tool}).", *(f"Not said here: {note}" for note in notes))
    files = {"write": draft.write, "hide": draft.hide, "protect": draft.protect}
    return Converted(render_policy(draft.rules, {"files": files}, comment), len(draft.rules), notes)


def _leave_out_denied(draft: Draft) -> None:
    """A rule that another denies whole is no fault for the other tools, and is one here."""
    terms = read_part(Source("", render_policy(draft.rules, {}), ""), "").document.egress
    dead = {conflict.place for conflict in find_conflicts(terms) if not conflict.warning}
    for rule in (rule for place, rule in enumerate(draft.rules) if place in dead):
        draft.note(f"{rule.destination}: left out, since another rule denies all that it would allow")
    draft.rules = [rule for place, rule in enumerate(draft.rules) if place not in dead]


def _read(tool: str, text: str) -> Draft:
    read_text = _OF_TEXT.get(tool)
    if read_text is not None and (tool not in _OF_DOCUMENT or not _KEY.search(text)):
        return read_text(text)
    document = parse_document(text)
    if not isinstance(document, Mapping):
        raise Unreadable("it is not a table")
    return _OF_DOCUMENT[tool](document)
