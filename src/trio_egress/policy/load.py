"""Reads a policy: text in, a Policy out, or every problem with file, line, column and the right spelling.

Opens no file: the caller has read the bytes.

Rule 1: PolicyError and nothing else is raised, whatever the text.
Rule 2: a text that is accepted in part is refused in whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from cattrs import BaseValidationError

from trio_egress.errors import PolicyError, Problem
from trio_egress.model import RuleRef
from trio_egress.policy.compiled import number_rules
from trio_egress.policy.keys import TABLES, structure
from trio_egress.policy.positions import Reading, Unreadable
from trio_egress.policy.problems import Fault, find_faults
from trio_egress.policy.rule import Policy
from trio_egress.policy.toml_text import parse_toml
from trio_egress.policy.yaml_text import parse_yaml

POLICY_BYTES = 1 << 20
PROBLEMS_MAX = 50
LINE_CHARS = 200
MESSAGE_CHARS = 500

YAML_ENDINGS = (".yaml", ".yml")

_BOM = "\ufeff"


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
    reading = _read(text, file)
    try:
        document = structure(reading.data)
    except BaseValidationError as error:
        raise _refuse(find_faults(error, TABLES), reading, text, file) from None
    place_value = reading.positions.place_value
    rules = number_rules(
        (
            RuleRef(index, str(terms.destination), place_value(("egress", index))[0], terms.name),
            terms,
        )
        for index, terms in enumerate(document.egress)
    )
    return Policy(
        rules, document.resolve, file, files=document.files, env=document.env, limits=document.limits
    )


def _read(text: str, file: str) -> Reading:
    """The kind is told by the name: what doesn't end in .yaml or .yml is TOML."""
    parse = parse_yaml if file.lower().endswith(YAML_ENDINGS) else parse_toml
    try:
        return parse(text)
    except Unreadable as error:
        shown = _split_lines(text)[error.line - 1]
        problem = _make_problem(file, error.line, error.column, error.message, shown)
        raise PolicyError((problem,)) from None


def _refuse(faults: Iterable[Fault], reading: Reading, text: str, file: str) -> PolicyError:
    lines = _split_lines(text)
    place_key, place_value = reading.positions.place_key, reading.positions.place_value
    placed = sorted(
        (
            place_key(fault.path) if fault.on_key else place_value(fault.path),
            reading.reword(fault.message),
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
