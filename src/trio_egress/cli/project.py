"""What a project is, by the files at its top: whose agent works in it, where its packages come from, which CI runs it.

Reads lock files for the hosts that they name, and nothing else of the project; runs nothing.

Rule 1: bounded: LOCK_BYTES of a file, HOSTS_MAX hosts; what is no plain file is left alone.
Rule 2: only a public-looking name of a host is told, never an address and never a port.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from trio_egress.policy.hosts import parse_host
from trio_egress.values import frozen

LOCK_BYTES = 8 << 20
HOSTS_MAX = 10

LOCKS = (
    *("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml"),
    *("uv.lock", "pdm.lock", "poetry.lock", "Pipfile.lock", "requirements.txt"),
    *("Cargo.lock", "Gemfile.lock", "composer.lock", "go.sum"),
)
AGENTS: Mapping[str, str] = {"CLAUDE.md": "anthropic", ".claude": "anthropic", ".codex": "openai"}
"""Files of known agents, and the preset of what each speaks to."""

SYSTEMS: Mapping[str, str] = {
    ".github/workflows": "GitHub",
    ".gitlab-ci.yml": "GitLab",
    ".buildkite": "Buildkite",
}

_PLACE = re.compile(
    rb"""(?:resolved|tarball|registry|url|remote|source)["'\s:=-]{1,8}(?:registry\+|sparse\+|git\+)?"""
    rb"https://([A-Za-z0-9.-]{1,253})[/\"'\s?]"
)


@frozen
class Project:
    """`agents`: file and preset. `hosts`: each with the lock file that names it. `silent`: those that name none."""

    agents: Mapping[str, str]
    hosts: Mapping[str, str]
    silent: tuple[str, ...]
    systems: tuple[str, ...]

    @property
    def is_known(self) -> bool:
        return bool(self.agents or self.hosts or self.silent)


def look_at(directory: Path) -> Project:
    presets: dict[str, str] = {}
    for name, preset in AGENTS.items():
        if preset not in presets.values() and os.path.lexists(directory / name):
            presets[name] = preset
    hosts: dict[str, str] = {}
    silent = []
    for name in LOCKS:
        raw = _read(directory / name)
        if raw is None:
            continue
        found = list(_find_hosts(raw))
        if not found:
            silent.append(name)
        for host in found:
            if len(hosts) < HOSTS_MAX:
                hosts.setdefault(host, name)
    systems = tuple(word for name, word in SYSTEMS.items() if os.path.lexists(directory / name))
    return Project(presets, hosts, tuple(silent), systems)


def _find_hosts(raw: bytes) -> Iterator[str]:
    for match in dict.fromkeys(match[1] for match in _PLACE.finditer(raw)):
        try:
            host = parse_host(match.decode("ascii"))
        except ValueError:
            continue
        if isinstance(host, str) and "." in host:
            yield host


def _read(path: Path) -> bytes | None:
    """None where there is no such plain file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        try:
            return file.read(LOCK_BYTES)
        except OSError:
            return None
