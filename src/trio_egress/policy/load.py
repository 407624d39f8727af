"""Reads a policy: text in, a Policy out, or every problem with file, line, column and the right spelling.

Opens no file: the caller has read the bytes, and brings what reads the files that the policy includes.

Rule 1: PolicyError and nothing else is raised, whatever the text.
Rule 2: a text that is accepted in part is refused in whole.
"""

from __future__ import annotations

from trio_egress.policy.gather import Read, gather
from trio_egress.policy.join import join
from trio_egress.policy.presets import read_preset
from trio_egress.policy.rule import Policy


def load_policy(text: str, file: str, read: Read | None = None, *, presets: Read = read_preset) -> Policy:
    """`file` is only a name: for messages, for `Policy.source_file`, and for telling TOML from YAML.

    Without `read` only presets can be included. `presets` is what reads those, by their whole names.
    """
    return join(gather(text, file, read, presets))
