"""What a tool of MCP may be called with: `arguments = { "read_*" = { path = "/src/**" } }`.

Rule 1: a tool that a key names may have no argument but those that are named for it, by name or pattern. One that is
        named without `*` must be there: what a server does without it is anybody's guess.
Rule 2: every value under a name must match, those inside a list or another value too (`a.b`).
Rule 3: where a pattern has a slash, the value is a path: `*` stays in its segment, `**` is any number of segments, and
        what a server could read as another path (dot segments, backslashes, escapes, look-alikes) matches nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

import attrs

from trio_egress.model import UNTOLD_ARGUMENTS, Call
from trio_egress.policy.globs import MANY, Glob, PathGlob
from trio_egress.policy.values import ITEMS_MAX
from trio_egress.texts.faults import Fault, Faults, show
from trio_egress.values import frozen

WORD_CHARS = 200
EXAMPLE = '{ "read_*" = { path = "/src/**" } }'
_ESCAPE = re.compile(r"%(?:2e|2f|5c|25|[01][0-9a-f])", re.IGNORECASE)


@frozen
class ValueGlob:
    """Over one value, as a text."""

    text: str
    _glob: Glob | PathGlob = attrs.field(init=False, repr=False, eq=False)

    @_glob.default
    def _read(self) -> Glob | PathGlob:
        if "/" not in self.text:
            return Glob(self.text)
        runs: list[list[tuple[str, ...]]] = [[]]
        for segment in self.text.split("/"):
            if segment == MANY:
                runs.append([])
            else:
                runs[-1].append(tuple(segment.split("*")))
        return PathGlob(self.text, tuple(map(tuple, runs)))

    def matches(self, value: str) -> bool:
        return (isinstance(self._glob, Glob) or self._is_path(value)) and self._glob.matches(value)

    def touches(self, value: str) -> bool:
        """Whether some server could take it for what is meant."""
        folded = unicodedata.normalize("NFKC", value).casefold()
        if isinstance(self._glob, Glob):
            return Glob(self.text.casefold()).matches(folded)
        return not self._is_path(value) or self._glob.folded().matches(folded)

    def _is_path(self, value: str) -> bool:
        """Rule 3."""
        plain = value if value.isascii() else unicodedata.normalize("NFKC", value)
        if any(value.count(sign) != plain.count(sign) for sign in "./\\%"):
            return False
        if not value.isprintable() or "\\" in value or _ESCAPE.search(value):
            return False
        inner = value.split("/")[1:-1]
        if inner.count("") != self.text.split("/")[1:-1].count(""):
            return False
        return all(segment.strip(". ") or not segment for segment in value.split("/"))


@frozen
class ToolArguments:
    """One tool, or several by a pattern, and what each of their arguments may be."""

    tool: Glob
    arguments: tuple[tuple[Glob, tuple[ValueGlob, ...]], ...]

    def matches(self, said: Iterable[tuple[str, str]]) -> bool:
        found = tuple(said)
        needed = {glob.text for glob, _ in self.arguments if "*" not in glob.text}
        return needed <= {name for name, _ in found} and all(
            self._allows(name, value) for name, value in found
        )

    def _allows(self, name: str, value: str) -> bool:
        """One name that means it is enough; one that is named exactly is not also whatever a pattern allows."""
        exact = [values for glob, values in self.arguments if glob.text == name]
        meant = exact or [values for glob, values in self.arguments if glob.matches(name)]
        return any(glob.matches(value) for values in meant for glob in values)

    def touches(self, said: Iterable[tuple[str, str]]) -> bool:
        """Whether one of them is meant."""
        return any(
            Glob(glob.text.casefold()).matches(name.casefold())
            and any(each.touches(value) for each in values)
            for name, value in said
            for glob, values in self.arguments
        )


Arguments = tuple[ToolArguments, ...]


def fits(arguments: Arguments, call: Call) -> bool:
    """Whether a tool is called with nothing but what each key says that names it."""
    if call.arguments == UNTOLD_ARGUMENTS:
        return True
    named = _find(arguments, call)
    return not named or (call.arguments is not None and all(each.matches(call.arguments) for each in named))


def touches(arguments: Arguments, call: Call) -> bool:
    """Whether it is called with something that a key names; a tool that none names is meant whatever it is given."""
    if call.arguments == UNTOLD_ARGUMENTS:
        return False
    named = _find(arguments, call)
    return not named or call.arguments is None or any(each.touches(call.arguments) for each in named)


def names_tool(arguments: Arguments, call: Call) -> bool:
    return bool(_find(arguments, call))


def _find(arguments: Arguments, call: Call) -> list[ToolArguments]:
    return [each for each in arguments if each.tool.matches(call.name or "")]


def read_arguments(value: object) -> Arguments:
    """Raises Faults or ValueError."""
    tools = _expect_table("arguments", value, EXAMPLE)
    found: list[ToolArguments] = []
    faults: list[Fault] = []
    for tool in sorted(tools):
        try:
            table = _expect_table(
                f"what {show(tool)} may be called with", tools[tool], '{ path = "/src/**" }'
            )
            _check_word(tool)
        except ValueError as error:
            faults.append(Fault((tool,), str(error)))
            continue
        names: list[tuple[Glob, tuple[ValueGlob, ...]]] = []
        for name in sorted(table):
            try:
                names.append((Glob(_check_word(name)), _read_values(table[name])))
            except ValueError as error:
                faults.append(Fault((tool, name), str(error)))
        found.append(ToolArguments(Glob(tool), tuple(names)))
    if faults:
        raise Faults(faults)
    return tuple(found)


def _read_values(value: object) -> tuple[ValueGlob, ...]:
    texts = value if isinstance(value, list) and value else [value]
    if not all(isinstance(text, str) for text in texts) or len(texts) > ITEMS_MAX:
        raise ValueError(
            f'an argument has a pattern, or a list of some, such as "/src/**", not {show(value)}'
        )
    return tuple(ValueGlob(_check_value(text)) for text in sorted(set(map(str, texts))))


def _check_value(text: str) -> str:
    if not text.isprintable() or len(text) > WORD_CHARS:
        raise ValueError(f"{show(text)} is not a pattern of up to {WORD_CHARS} printable characters")
    segments = text.split("/")
    if len(segments) > 1 and any(MANY in segment and segment != MANY for segment in segments):
        raise ValueError(f'"{MANY}" stands for whole segments, as in "/a/{MANY}" or "/a/{MANY}/b"')
    if len(segments) > 1 and any(segment and not segment.strip(". ") for segment in segments):
        raise ValueError("a path with a dot segment never matches")
    return text


def _check_word(text: str) -> str:
    if not text or not text.isprintable() or len(text) > WORD_CHARS:
        raise ValueError(f"{show(text)} is not a name of 1 to {WORD_CHARS} printable characters")
    return text


def _expect_table(what: str, value: object, example: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a table such as {example}, not {show(value)}")
    if len(value) > ITEMS_MAX or (not value and what == "arguments"):
        raise ValueError(f"{what} names 1 to {ITEMS_MAX} of them: {example}")
    return value


def render_arguments(arguments: Arguments) -> dict[str, dict[str, list[str]]]:
    """As the compiled form has it."""
    return {
        each.tool.text: {glob.text: [value.text for value in values] for glob, values in each.arguments}
        for each in arguments
    }
