"""The action's inputs, as its steps hand them over in the environment, read and judged before anything is done.

Rule 1: an input of one line has one, and no control character: it becomes one argument, and one line of a file.
Rule 2: no path leaves the working directory, by whatever links are on its way, and that one the workspace.
Rule 3: no message repeats what may be a key.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import attrs

from trio_egress.cli.run_parser import NEVER, read_fail_on, read_name
from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.sign import parse_private_key, parse_public_key
from trio_egress.values import frozen

PREFIX = "INPUT_"
RUN_BYTES = 120_000
"""An argument has less than 128 KiB (`man 2 execve`, MAX_ARG_STRLEN)."""

SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
"""As GitHub's own steps with `shell: bash`."""

WAYS = ("enforce", "observe")

AGENT = "github-actions-agent"

Value = TypeVar("Value")


@frozen
class Inputs:
    """`command` is run in `directory`; paths are real and absolute. `key_text`: the private key, else `key_file`."""

    directory: Path
    workspace: Path
    command: tuple[str, ...]
    agent: str
    policy: Path | None = None
    observing: bool = False
    allow: tuple[str, ...] = ()
    key_text: str = attrs.field(default="", repr=False)
    key_file: Path | None = None
    public_keys: tuple[str, ...] = ()
    packet: Path | None = None
    fail_on: tuple[str, ...] = ()
    sarif: Path | None = None
    summary: bool = True
    debug: bool = False


def read_inputs(environment: Mapping[str, str]) -> Inputs:
    """Raises UsageError, with the input's name."""
    given = _Given(environment)
    workspace = Path(os.path.realpath(environment.get("GITHUB_WORKSPACE") or "."))
    directory = _find_inside(
        workspace, given.line("working-directory") or ".", "working-directory", "the workspace"
    )
    if not directory.is_dir():
        raise UsageError(f"working-directory: {directory} is no directory")

    def path(name: str) -> Path | None:
        text = given.line(name)
        return _find_inside(directory, text, name, "working-directory") if text else None

    key_text, key_file = _read_private_key(given.text("private-key"), directory)
    packet = path("audit-packet-dir")
    if packet == directory:
        raise UsageError("audit-packet-dir: the packet needs a directory of its own")
    return Inputs(
        directory=directory,
        workspace=workspace,
        command=_read_command(given, directory),
        agent=_read("agent-identity", read_name, given.line("agent-identity") or AGENT),
        policy=path("policy"),
        observing=given.word("mode", WAYS) == "observe",
        allow=tuple(_split(given.text("allow"))),
        key_text=key_text,
        key_file=key_file,
        public_keys=tuple(_read_public_keys(given.text("public-key"), directory)),
        packet=packet,
        fail_on=_read("fail-on", read_fail_on, given.line("fail-on") or NEVER),
        sarif=path("sarif"),
        summary=given.flag("summary"),
        debug=given.flag("debug"),
    )


def _read(name: str, read: Callable[[str], Value], text: str) -> Value:
    try:
        return read(text)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"{name}: {error}") from None


def strip_inputs(environment: Mapping[str, str]) -> dict[str, str]:
    """What the run may have of the step's environment: no input, of which one is a key."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(PREFIX) and name != "TRIO_EGRESS_PYTHON"
    }


@frozen
class _Given:
    """Inputs by their names in action.yml."""

    environment: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.environment.get(PREFIX + name.upper().replace("-", "_"), "")

    def line(self, name: str) -> str:
        text = self.text(name).strip()
        if not text.isprintable():
            raise UsageError(
                f"{name}: it has a line break or another control character in it; give one line of text"
            )
        return text

    def word(self, name: str, words: tuple[str, ...]) -> str:
        text = self.line(name) or words[0]
        if text not in words:
            raise UsageError(f"{name}: {text!r} is none of {', '.join(words)}")
        return text

    def flag(self, name: str) -> bool:
        return self.word(name, ("false", "true")) == "true"


def _find_inside(base: Path, given: str, name: str, shown: str) -> Path:
    """Where it really is; what is not there yet, by the way there."""
    path = Path(os.path.realpath(base / given))
    if not path.is_relative_to(base):
        raise UsageError(f"{name}: {given} leaves {shown} ({base}), it is {path}")
    if not str(path).isprintable():
        raise UsageError(f"{name}: a link on the way leads to a name with control characters")
    return path


def _read_command(given: _Given, directory: Path) -> tuple[str, ...]:
    script, path = given.text("run"), given.line("script-path")
    if bool(script.strip()) == bool(path):
        raise UsageError(
            "give `run` or `script-path`" + (", not both" if path else ": there is nothing to run")
        )
    arguments = tuple(line.rstrip("\r") for line in given.text("script-args").splitlines() if line.strip())
    if path:
        found = _find_inside(directory, path, "script-path", "working-directory")
        if not found.is_file():
            raise UsageError(f"script-path: {path} is no file in {directory}")
        return (str(found), *arguments) if os.access(found, os.X_OK) else (*SHELL, str(found), *arguments)
    if len(script.encode()) > RUN_BYTES:
        raise UsageError(f"run: more than {RUN_BYTES} bytes; put it into a file, and give script-path")
    return (*SHELL, "-c", script, "run", *arguments)


def _split(text: str) -> Iterator[str]:
    """What stands between blanks, commas and line breaks; `#` begins a comment."""
    for line in text.splitlines():
        yield from line.partition("#")[0].replace(",", " ").split()


def _read_private_key(given: str, directory: Path) -> tuple[str, Path | None]:
    text = given.strip()
    if not text:
        return "", None
    try:
        parse_private_key(text.encode())
    except EvidenceError as error:
        # What could be a path is taken for one. A broken key is not told.
        if "\n" not in text and not text.startswith("-----") and len(text) < 256 and text.isprintable():
            found = Path(os.path.realpath(directory / text))
            if found.is_relative_to(directory) and found.is_file():
                return "", found
            raise UsageError("private-key: neither a key nor a file below working-directory") from None
        raise UsageError(f"private-key: {error}") from None
    return f"{text}\n", None


def _read_public_keys(given: str, directory: Path) -> Iterator[str]:
    text = given.strip()
    if not text:
        return
    try:
        yield parse_public_key(text.encode())
        return
    except EvidenceError:
        pass
    for word in text.split():
        try:
            yield parse_public_key(word.encode())
        except EvidenceError:
            found = (
                _find_inside(directory, word, "public-key", "working-directory")
                if word.isprintable()
                else None
            )
            if found is None or not found.is_file():
                raise UsageError(
                    f"public-key: {word[:100]!r} is neither a public key nor a file below working-directory"
                ) from None
            yield str(found)
