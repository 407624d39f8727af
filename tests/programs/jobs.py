"""A job: a shell script that real programs carry out, inside a run and, to compare, outside as the same user."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

from tests.runs.launch import AGENT, AS_ROOT, ENVIRONMENT, Ended, Place, write_policy

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The programs that every user can start: one of a home is of no use to the agent."""

JOB_SECONDS = 300.0
"""A browser's first start on a cold disk took 14 s."""

USUAL = {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"}


def run_job(
    place: Place,
    script: str,
    *arguments: object,
    policy: str = "",
    environment: Mapping[str, str] | None = None,
    seconds: float = JOB_SECONDS,
    **more: Any,
) -> Ended:
    """A whole run of a bash that stops at the first failure."""
    command = ["bash", "-euo", "pipefail", "-c", script, "job", *map(str, arguments)]
    variables = {**USUAL, **(environment or {})}
    return place.start(policy or write_policy(), *command, environment=variables, **more).wait(seconds)


def run_outside(
    place: Place,
    script: str,
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    seconds: float = JOB_SECONDS,
    **more: Any,
) -> str:
    """What the same script says without a sandbox, as the agent's user with its HOME, in the same directory."""
    user: dict[str, Any] = (
        {"user": AGENT.pw_uid, "group": AGENT.pw_gid, "extra_groups": []} if AS_ROOT else {}
    )
    own = {"HOME": "/tmp", "USER": AGENT.pw_name, "LOGNAME": AGENT.pw_name} if AS_ROOT else {}
    command = ["bash", "-euo", "pipefail", "-c", script, "job", *map(str, arguments)]
    ran = subprocess.run(
        command,
        cwd=place.work,
        env={**ENVIRONMENT, **USUAL, **own, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        timeout=seconds,
        **user,
        **more,
    )
    text: str = ran.stdout.decode()
    return text
