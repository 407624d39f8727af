"""What was meant by an argument that there is not, and where it is said what there is."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

_WRONG = re.compile(r"invalid choice: (?:'([^']*)'|(\S+))|unrecognized arguments: (\S+)")


def explain_usage(parser: argparse.ArgumentParser, message: str) -> str:
    """argparse's message, with the nearest that is right in place of a long list, and the next step."""
    from difflib import get_close_matches

    if found := _WRONG.search(message):
        word = next(filter(None, found.groups()), "").partition("=")[0]
        if near := get_close_matches(word, list(_list_words(parser)), 1):
            message = f"{re.sub(r' [(]choose from .*[)]', '', message)}; did you mean {near[0]}?"
    return f"{message}\n{parser.prog} --help says what there is"


def _list_words(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        yield from map(str, action.choices or ())
