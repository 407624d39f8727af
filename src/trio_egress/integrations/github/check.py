"""The policy is checked before anything runs, so that each problem is an annotation at its line.

Rule 1: the matcher that makes one of a line is the runner's only while there is no agent that could print such a line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from importlib.resources import files

from trio_egress.errors import PolicyError, UsageError
from trio_egress.integrations.github.inputs import Inputs
from trio_egress.integrations.github.outputs import quiet, say_command
from trio_egress.runtime.policy_file import find_policy, read_policy_of

MATCHER = "problem-matcher.json"
OWNER = "trio-egress-policy"


def check_policy(inputs: Inputs, environment: Mapping[str, str]) -> None:
    """In the working directory. Raises PolicyError for what was told, and UsageError."""
    try:
        path = inputs.policy or find_policy(None, environment)
    except UsageError:
        if inputs.observing or inputs.allow:  # which need none
            return
        raise
    shown = os.path.relpath(path, inputs.workspace)
    try:
        _, policy = read_policy_of(path, path.parent, shown, lambda _: None, allowed=inputs.allow)
    except PolicyError as error:
        _annotate([str(error)])
        raise
    if warnings := policy.find_warnings(time.time_ns() // 1000):
        _annotate([str(warning) for warning in warnings])


def _annotate(problems: Iterable[str]) -> None:
    say_command("add-matcher", str(files(__package__ or "").joinpath(MATCHER)))
    with quiet():  # its text may be that of a pull request; a matcher reads all the same
        print("\n".join(problems), flush=True)
    say_command("remove-matcher", owner=OWNER)
