"""What the action says to the runner: outputs in a file, commands on standard output, and silence for its agent.

Rule 1: an output has one line, and what ends it can't be guessed.
Rule 2: between `quiet` and its end the runner takes no line for a command, as the word that ends it can't be guessed;
standard error goes the way of standard output, or a late line of it would be read after that.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from trio_egress.texts.workflow import render_command

TITLE = "trio-egress"


def say_command(name: str, message: str = "", **properties: str) -> None:
    print(render_command(name, message, properties), flush=True)


def say(text: str) -> None:
    """A line for people, which is no command, whatever stands in it."""
    for line in text.splitlines():
        # Commands of the older kind may stand anywhere in a line.
        print(f"trio-egress: {line.replace('##[', '## [')}", flush=True)


@contextmanager
def quiet() -> Iterator[None]:
    """While somebody else writes to standard output."""
    word = secrets.token_hex(32)
    say_command("stop-commands", word)
    try:
        yield
    finally:
        # Whoever wrote may have begun a line; a command begins one.
        os.write(sys.stdout.fileno(), f"\n::{word}::\n".encode())


def write_outputs(environment: Mapping[str, str], outputs: Mapping[str, object]) -> None:
    """To $GITHUB_OUTPUT, if there is one. Raises OSError."""
    path = environment.get("GITHUB_OUTPUT")
    if not path:
        return
    word = f"end-{secrets.token_hex(16)}"
    text = "".join(
        f"{name}<<{word}\n{'' if value is None else str(value).splitlines()[0] if str(value) else ''}\n{word}\n"
        for name, value in outputs.items()
    )
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)
