"""A file of another tool as data: JSON, or YAML with every scalar as the text that it is.

Rule 1: what the other tool reads is read: unlike in a policy, an alias or a bare `on` is no fault here.
Rule 2: Unreadable, and nothing else, is raised.
"""

from __future__ import annotations

import json

from trio_egress.policy.foreign.draft import Unreadable
from trio_egress.policy.yaml_text import NOT_INSTALLED


def parse_document(text: str) -> object:
    """What the text says; JSON begins with a brace."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"it is not JSON: {error}") from None
    try:
        import yaml
    except ImportError:
        raise Unreadable(NOT_INSTALLED) from None
    try:
        return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  it makes texts, lists and tables alone
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = " ".join(str(error).split())
        raise Unreadable(f"it is not YAML: {first}") from None
