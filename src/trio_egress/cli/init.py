"""`trio-egress init`: write a policy to begin with, never over anything: a short one for the project that is here, else
the starter with every key, commented.

Rule 1: what it allows is said where it is written, with the file that it was read from: who runs it reads ten lines.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from trio_egress.cli.project import Project, look_at
from trio_egress.policy.part import YAML_ENDINGS
from trio_egress.policy.starter import starter_policy

NEXT = {
    "GitHub": "in a workflow: uses: OWNER/trio-egress@COMMIT (docs/ci.md)",
    "GitLab": "in .gitlab-ci.yml: examples/ci/gitlab.yml shows a job",
    "Buildkite": "in a pipeline: examples/ci/buildkite.yml shows the steps",
}


def main(options: argparse.Namespace) -> int:
    """0 written; 2 it could not be."""
    ending = ".yaml" if options.path.lower().endswith(YAML_ENDINGS) else ".toml"
    project = look_at(Path())
    short = project.is_known and not options.full
    text = (_render_yaml if ending == ".yaml" else _render_toml)(project) if short else starter_policy(ending)
    try:
        with open(options.path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        print(f"trio-egress init: {options.path} exists already and is left as it is", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"trio-egress init: cannot write {options.path}: {error.strerror}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(_describe(options.path, project, short=short), indent=2))
        return 0
    for line in (*_tell(options.path, project, short=short), *(NEXT[system] for system in project.systems)):
        print(f"trio-egress: {line}", file=sys.stderr)
    return 0


def _describe(path: str, project: Project, *, short: bool) -> dict[str, object]:
    return {
        "policy": path,
        "short": short,
        "hosts": dict(project.hosts) if short else {},
        "presets": dict(project.agents) if short else {},
        "silent": list(project.silent) if short else [],
        "ci": list(project.systems),
    }


def _tell(path: str, project: Project, *, short: bool) -> Iterator[str]:
    if short:
        allowed = [*(f"preset:{preset}" for preset in project.agents.values()), *project.hosts]
        yield f"wrote {path}, which allows {', '.join(allowed) or 'nothing yet'}: read it, as the files here named it"
    else:
        yield f"wrote {path}, which allows nothing yet"
    yield "edit it, then: trio-egress run -- COMMAND"
    yield "or let one be learnt: trio-egress learn --output learnt.toml -- COMMAND"


def _render_head(project: Project) -> Iterator[str]:
    yield "# What the agent may reach. Everything else is denied, and recorded. docs/policy.md has every key;"
    yield "# `trio-egress init --full FILE` writes them all, commented."
    for name in project.silent:
        yield f"# {name} says of no package where it comes from: add the host that your tools use."


def _render_toml(project: Project) -> str:
    lines = [*_render_head(project), "", 'version = "1.0"', "default_deny = true"]
    if project.agents:
        files = ", ".join(project.agents)
        presets = ", ".join(f'"preset:{preset}"' for preset in project.agents.values())
        lines += ["", f"# What the agent itself speaks to ({files}).", f"include = [{presets}]"]
    for host, lock in project.hosts.items():
        lines += ["", f"# Packages, as {lock} names their place.", "[[egress]]", f'destination = "{host}"']
    return "\n".join([*lines, ""])


def _render_yaml(project: Project) -> str:
    lines = [*_render_head(project), "", 'version: "1.0"', "default_deny: true"]
    if project.agents:
        lines += ["", f"# What the agent itself speaks to ({', '.join(project.agents)}).", "include:"]
        lines += [f'  - "preset:{preset}"' for preset in project.agents.values()]
    if project.hosts:
        lines += ["", "egress:"]
    for host, lock in project.hosts.items():
        lines += [f"  # Packages, as {lock} names their place.", f'  - destination: "{host}"']
    return "\n".join([*lines, ""])
