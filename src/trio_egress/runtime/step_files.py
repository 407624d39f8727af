"""The files by which a step of GitHub's speaks to later ones. What stands there is believed: variables, PATH, outputs.

Rule 1: the agent has neither their names (runtime/environment.py) nor a sight of them, nor of those of later steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trio_egress.runtime.environment import STEP_FILES

STEP_FOLDER = "_runner_file_commands"
"""Where the runner keeps those of all steps of a job, below RUNNER_TEMP."""


def find_step_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """What is there of them, to be hidden: the runner's directory, and each file that is elsewhere."""
    named = [Path(environment[name]) for name in STEP_FILES if environment.get(name)]
    folders = {path.parent for path in named if path.parent.name == STEP_FOLDER}
    if temporary := environment.get("RUNNER_TEMP"):
        folders.add(Path(temporary, STEP_FOLDER))
    found = (*sorted(folders), *(path for path in named if path.parent not in folders))
    return tuple(path for path in found if path.is_absolute() and path.exists())
