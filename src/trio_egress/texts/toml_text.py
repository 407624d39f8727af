"""A text in TOML 1.1, on every Python by the same parser.

Rule: Unreadable, with the place, and nothing else is raised.
"""

from __future__ import annotations

import re

import tomli

from trio_egress.texts.faults import find_nearest
from trio_egress.texts.positions import Reading, Unreadable, locate

_WORD = re.compile(r"[^\s\"'#,\[\]{}=]+")

_MESSAGES = {"Cannot overwrite a value": "this key stands there already, with a value"}
"""What tomli says for those who know TOML."""

_BOOLEANS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
"""What people write for a boolean, in YAML for instance, and what TOML has for it."""

_YAML = re.compile(r"(?:- +)?[A-Za-z_]+:(?:\s|$)")
"""How a line begins that no TOML has, and most of a text in YAML."""


def parse_toml(text: str) -> Reading:
    """What the text says, and where. Raises Unreadable."""
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        line = text.split("\n")[error.lineno - 1]
        hint = _hint_value(line[error.colno - 1 :]) if error.msg == "Invalid value" else ""
        if _YAML.match(line):
            hint = "; YAML is read from a file whose name ends in .yaml"
        message = _MESSAGES.get(error.msg, error.msg)
        # tomli steps over a backslash and what follows it, be there anything or not.
        column = min(error.colno, len(line) + 1)
        raise Unreadable(error.lineno, column, message + hint) from None
    # Neither of these says where; and what int() says is for programmers (sys.set_int_max_str_digits).
    except RecursionError:
        raise Unreadable(1, 1, "something in it is nested too deeply") from None
    except ValueError:
        raise Unreadable(1, 1, "a number in it has too many digits") from None
    return Reading(data, locate(text))


def _hint_value(rest: str) -> str:
    """What was meant by a value that is not TOML: a boolean, or a text without its quotes."""
    word = _WORD.match(rest)
    if word is None:
        return ""
    boolean = find_nearest(word[0].lower(), _BOOLEANS)
    return f"; did you mean {_BOOLEANS[boolean]}?" if boolean else f'; did you mean "{word[0]}"?'
