"""Workflow commands of GitHub: lines of a step's output by which it speaks to the runner.

Rule 1: whatever stands in a property or a message, it ends no command and begins none (as @actions/core escapes).
"""

from __future__ import annotations

from collections.abc import Mapping

ANNOTATIONS_SHOWN = 10
"""GitHub shows no more of a kind and a step."""


def render_command(name: str, message: str = "", properties: Mapping[str, object] | None = None) -> str:
    """One line, without its end. Properties that are empty are left out."""
    given = {key: str(value) for key, value in (properties or {}).items() if value not in ("", None)}
    told = ",".join(f"{key}={_escape_property(value)}" for key, value in given.items())
    return f"::{name}{f' {told}' if told else ''}::{_escape(message)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
