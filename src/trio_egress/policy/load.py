"""Reads a policy: text in, a Policy out, or every problem with file, line, column and the right spelling.

Opens no file: the caller has read the bytes.

Rule 1: PolicyError and nothing else is raised, whatever the text.
Rule 2: a text that is accepted in part is refused in whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import tomli
from cattrs import BaseValidationError

from trio_egress.errors import PolicyError, Problem
from trio_egress.model import RuleRef
from trio_egress.policy.compiled import number_rules
from trio_egress.policy.keys import TABLES, structure
from trio_egress.policy.positions import Positions, locate
from trio_egress.policy.problems import Fault, find_faults
from trio_egress.policy.rule import Policy

POLICY_BYTES = 1 << 20
PROBLEMS_MAX = 50
LINE_CHARS = 200
MESSAGE_CHARS = 500

_BOM = "\ufeff"
_WORD = re.compile(r"[^\s\"'#,\[\]{}=]+")


def decode_policy(raw: bytes, file: str) -> str:
    """The text of a policy file, which is UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"the byte 0x{raw[error.start]:02x} is not UTF-8, in which a policy is written"
        raise PolicyError((Problem(file, line, column, message),)) from None


def load_policy(text: str, file: str) -> Policy:
    """`file` is only a name, for messages and for `Policy.source_file`."""
    text = text.removeprefix(_BOM)
    if len(text) > POLICY_BYTES or len(text.encode("utf-8", "surrogatepass")) > POLICY_BYTES:
        raise PolicyError((Problem(file, 1, 1, f"a policy has at most {POLICY_BYTES} bytes"),))
    data = _parse_toml(text, file)
    positions = locate(text)
    try:
        document = structure(data)
    except BaseValidationError as error:
        raise _refuse(find_faults(error, TABLES), positions, text, file) from None
    rules = number_rules(
        (
            RuleRef(index, str(terms.destination), positions.place_value(("egress", index))[0], terms.name),
            terms,
        )
        for index, terms in enumerate(document.egress)
    )
    return Policy(
        rules, document.resolve, file, files=document.files, env=document.env, limits=document.limits
    )


def _parse_toml(text: str, file: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        line = _split_lines(text)[error.lineno - 1]
        hint = _hint_value(line[error.colno - 1 :]) if error.msg == "Invalid value" else ""
        raise PolicyError((_make_problem(file, error.lineno, error.colno, error.msg + hint, line),)) from None
    # Neither of these says where; and what int() says is for programmers (sys.set_int_max_str_digits).
    except RecursionError:
        raise PolicyError((Problem(file, 1, 1, "something in it is nested too deeply"),)) from None
    except ValueError:
        raise PolicyError((Problem(file, 1, 1, "a number in it has too many digits"),)) from None


def _hint_value(rest: str) -> str:
    """What was meant by a value that is not TOML: a boolean, or a text without its quotes."""
    word = _WORD.match(rest)
    if word is None:
        return ""
    meant = word[0].lower() if word[0] in ("True", "False") else f'"{word[0]}"'
    return f"; did you mean {meant}?"


def _refuse(faults: Iterable[Fault], positions: Positions, text: str, file: str) -> PolicyError:
    lines = _split_lines(text)
    placed = sorted(
        (
            positions.place_key(fault.path) if fault.on_key else positions.place_value(fault.path),
            fault.message,
        )
        for fault in faults
    )
    problems = [
        _make_problem(file, line, column, message, lines[line - 1])
        for (line, column), message in placed[:PROBLEMS_MAX]
    ]
    if left := len(placed) - len(problems):
        line, column = placed[PROBLEMS_MAX][0]
        problems.append(Problem(file, line, column, f"and {left} more problems from here on"))
    return PolicyError(tuple(problems))


def _make_problem(file: str, line: int, column: int, message: str, source_line: str) -> Problem:
    """A problem fit for a terminal: no control characters, no line so long that the caret is lost."""
    shown = _clean(source_line[:LINE_CHARS]) if column <= LINE_CHARS else ""
    return Problem(file, line, column, _clean(message[:MESSAGE_CHARS]), shown)


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _split_lines(text: str) -> list[str]:
    """Lines as TOML has them, not as `str.splitlines` does: U+2028 in a string ends no line."""
    return [line.removesuffix("\r") for line in text.split("\n")]
