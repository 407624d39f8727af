"""What a client of git asks an SSH server to run: a service and a repository (git's pack-protocol), and nothing else.

Takes the words of an exec request; judges nothing.

Rule 1: a command has one form, `git-upload-pack 'org/repo.git'`, and what is sent on is written anew from its parts.
Rule 2: a path with anything in it that a shell, a server or a person could read in two ways is an error: quotes,
        spaces, escapes, options, dot segments, empty ones.
Rule 3: ValueError with a reason is raised, and nothing else.
"""

from __future__ import annotations

import re

from trio_egress.values import frozen

SERVICES = ("git-upload-pack", "git-receive-pack")
COMMAND_CHARS = 2048

_COMMAND = re.compile(r"git[ -]((?:upload|receive)-pack) (?:'([^']*)'|([^'\" ]*))", re.ASCII)
_WORD = re.compile(r"(?:git )?[A-Za-z0-9_.-]{1,40}", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9._~+@=,/-]+", re.ASCII)
_VERSION = re.compile(r"version=[0-2]", re.ASCII)


@frozen
class GitCommand:
    """`repository`: as it was asked for."""

    service: str
    repository: str

    @property
    def path(self) -> str:
        """With one slash in front, as rules are matched: `org/repo` and `/org/repo` are one to them."""
        return f"/{self.repository.removeprefix('/')}"

    def __str__(self) -> str:
        return f"{self.service} '{self.repository}'"


def parse_command(raw: str) -> GitCommand:
    """Raises ValueError with what it is instead."""
    if len(raw) > COMMAND_CHARS:
        raise ValueError(f"a command of more than {COMMAND_CHARS} characters")
    found = _COMMAND.fullmatch(raw)
    if found is None:
        word = _WORD.match(raw)
        if word is None:
            raise ValueError("a command that is none of git's")
        strange = (
            word[0] if word[0] not in (*SERVICES, *(name.replace("-", " ", 1) for name in SERVICES)) else ""
        )
        raise ValueError(
            f"the command {strange}" if strange else f"{word[0]} in a form that git does not use"
        )
    repository = found[2] if found[2] is not None else found[3]
    _check_repository(repository)
    return GitCommand(f"git-{found[1]}", repository)


def _check_repository(path: str) -> None:
    if not _PATH.fullmatch(path):
        raise ValueError(
            "a repository whose path has something else in it than letters, digits and . _ ~ + @ = , / -"
        )
    parts = path.removeprefix("/").split("/")
    if "" in parts:
        raise ValueError("a repository whose path has an empty segment")
    if any(not part.strip(".") for part in parts):
        raise ValueError("a repository whose path has a dot segment")
    if any(part.startswith("-") for part in parts):
        raise ValueError("a repository whose path has a segment that begins like an option")
    if parts[0] == "~" or (path.startswith("/") and parts[0].startswith("~")):
        raise ValueError("a repository whose path has a home directory in another spelling than ~user/")


def find_protocol(variables: dict[str, str]) -> str | None:
    """The one variable that git sends (GIT_PROTOCOL), if it has a value that git gives it."""
    value = variables.get("GIT_PROTOCOL", "")
    return value if _VERSION.fullmatch(value) else None
