"""Where in a text each key and each value stands; in TOML, what no TOML library tells.

`locate` reads only a text that tomli has accepted, and so checks nothing: it steps over what is well formed.

Rule 1: a path is the way down from the root: keys, and places in arrays (from 0).
Rule 2: a table stands where it is first named, an element of an array of tables at its `[[`.
Rule 3: no recursion: the depth of the text is not the depth of our stack. And no repeated group in a
pattern: `re` keeps some hundred bytes for each turn, and a text may be megabytes long.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Mapping
from typing import Any

import tomli

from trio_egress.values import define, frozen

Path = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"#[^\n]*[ \t\r\n]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_QUOTES = re.compile(r"\"\"\"|'''|[\"']")
_INSIDE = {'"': re.compile(r'[^"\\]*'), "'": re.compile(r"[^']*")}
# A date and a time may have one space between them (TOML, "Local Date-Time").
_SCALAR = re.compile(r"[^,\]}\s#]+(?: [0-9][0-9]:[^,\]}\s#]*)?")


@frozen
class Positions:
    """Made by `locate`. Lines and columns count from 1; a column is a character."""

    _values: Mapping[Path, int]
    _keys: Mapping[Path, int]
    _line_starts: tuple[int, ...]

    def place_value(self, path: Path) -> tuple[int, int]:
        """Line and column of a value; of the nearest thing around it where it is not in the text."""
        while path and path not in self._values:
            path = path[:-1]
        return self._count(self._values.get(path, 0))

    def place_key(self, path: Path) -> tuple[int, int]:
        """Line and column of the last key of the path, or as `place_value` where there is no such key."""
        offset = self._keys.get(path)
        return self.place_value(path) if offset is None else self._count(offset)

    def _count(self, offset: int) -> tuple[int, int]:
        line = bisect.bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1


@frozen
class Reading:
    """What a text says, and where. `reword` puts a message into the words of what the text is written in."""

    data: Any
    positions: Positions
    reword: Callable[[str], str] = str


class Unreadable(ValueError):
    """A text that can't be read, at this line and column, for this reason."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message


def find_line_starts(text: str) -> tuple[int, ...]:
    return (0, *(newline.end() for newline in re.finditer("\n", text)))


def count_place(text: str, offset: int) -> tuple[int, int]:
    """Line and column of one place in a text."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def locate(text: str) -> Positions:
    """Every key and value of a text that `tomli.loads` accepts."""
    scanner = _Scanner(text)
    scanner.scan()
    return Positions(scanner.values, scanner.keys, find_line_starts(text))


@define
class _Open:
    """An array or inline table that has begun and not ended. `count` is None for a table."""

    path: Path
    count: int | None


class _Scanner:
    """One walk over the text, from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.values: dict[Path, int] = {}
        self.keys: dict[Path, int] = {}
        self.last_element: dict[Path, int] = {}

    def scan(self) -> None:
        table: Path = ()
        self._step_gap()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._read_header()
            else:
                self._read_value(self._read_pair(table))
            self._step_gap()

    def _step(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self.text, self.at)
        assert match is not None, f"tomli accepts at {self.at} what positions does not"
        self.at = match.end()
        return match

    def _step_gap(self) -> None:
        self._step(_GAP)
        while self.text.startswith("#", self.at):
            self._step(_COMMENT)

    def _step_string(self) -> None:
        """A multi-line string may end in up to five quotes, of which the first two are its own (TOML, "String")."""
        quotes = self._step(_QUOTES)[0]
        inside = _INSIDE[quotes[0]]
        self._step(inside)
        while not self.text.startswith(quotes, self.at):
            self.at += 2 if self.text[self.at] == "\\" else 1
            self._step(inside)
        self.at += len(quotes)
        for _ in range(2 if len(quotes) == 3 else 0):
            self.at += self.text.startswith(quotes[0], self.at)

    def _read_header(self) -> Path:
        """`[a.b]` or `[[a.b]]`: gives the path of the table that the next lines fill."""
        start = self.at
        brackets = 2 if self.text.startswith("[[", start) else 1
        self.at += brackets
        *parents, (name, offset) = self._read_key()
        self.at += brackets
        path: Path = ()
        for parent, parent_offset in parents:
            path = self._enter((*path, parent), parent_offset)
        path = (*path, name)
        if brackets == 2:
            element = self.last_element.get(path, -1) + 1
            self.last_element[path] = element
            self.values.update({(*path, element): start})
        return self._enter(path, offset)

    def _enter(self, path: Path, offset: int) -> Path:
        """Notes a table where it is first named. Of an array of tables the last element is meant."""
        self.values.setdefault(path, offset)
        self.keys.setdefault(path, offset)
        element = self.last_element.get(path)
        return path if element is None else (*path, element)

    def _read_pair(self, table: Path) -> Path:
        """Steps over `key =` and gives the path of the value that comes."""
        path = table
        for name, offset in self._read_key():
            path = self._enter((*path, name), offset)
        self.at += 1
        self._step(_BLANK)
        return path

    def _read_key(self) -> list[tuple[str, int]]:
        """The parts of a dotted key, each with its offset."""
        parts = []
        while True:
            self._step(_BLANK)
            start = self.at
            if self.text[start] in "\"'":
                self._step_string()
                parts.append((_unquote(self.text[start : self.at]), start))
            else:
                parts.append((self._step(_BARE)[0], start))
            self._step(_BLANK)
            if not self.text.startswith(".", self.at):
                return parts
            self.at += 1

    def _read_value(self, path: Path) -> None:
        """Steps over one value with everything in it."""
        within: list[_Open] = []
        following: Path | None = path
        while following is not None:
            self.values[following] = self.at
            opener = self.text[self.at]
            if opener in "[{":
                within.append(_Open(following, 0 if opener == "[" else None))
                self.at += 1
            else:
                self._step_string() if opener in "\"'" else self._step(_SCALAR)
            following = self._read_separator(within)

    def _read_separator(self, within: list[_Open]) -> Path | None:
        """Steps over what stands between values; gives the path of the next one, None if all is closed."""
        while within:
            innermost = within[-1]
            self._step_gap()
            if self.text[self.at] == ",":
                self.at += 1
                self._step_gap()
            if self.text[self.at] in "]}":
                self.at += 1
                within.pop()
            elif innermost.count is None:
                return self._read_pair(innermost.path)
            else:
                innermost.count += 1
                return (*innermost.path, innermost.count - 1)
        return None


def _unquote(quoted: str) -> str:
    name = tomli.loads(f"name={quoted}")["name"]
    assert isinstance(name, str)
    return name
