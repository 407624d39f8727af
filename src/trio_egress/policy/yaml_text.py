"""A policy's text in YAML: the part of it that every reader of YAML reads alike.

The YAML library is an extra, imported when it is needed. Of it scanner and parser
are used, in Python, never their C twins: one text must not have two meanings. What a scalar is, is decided here.

Rule 1: no anchors, aliases, merge keys, tags, directives; one document; each key once; DEPTH_MAX levels.
Rule 2: a plain scalar is `true`, `false`, a decimal number or a text. What YAML 1.1 or 1.2 takes for something else
        (`yes`, `012`, `0x1`, `1:30`, `~`, a date) is refused: it must be quoted, or written plainly.
Rule 3: Unreadable, with the place, and nothing else is raised.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from trio_egress.texts.faults import show
from trio_egress.texts.positions import Path, Positions, Reading, Unreadable, count_place, find_line_starts
from trio_egress.values import define

DEPTH_MAX = 16
"""Levels of lists and mappings; a policy needs five."""

NOT_INSTALLED = "reading YAML needs a library: pip install 'trio-egress[yaml]'; or write the policy in TOML"

# What PyYAML takes for a line break besides LF and CRLF, what it refuses without saying where, a byte order mark; and
# tabs, of which each reader has its own opinion.
_FORBIDDEN = re.compile(
    r"\r(?!\n)|[^\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_DOCUMENT_END = re.compile(r"^\.\.\.(?=\s|$)", re.ASCII | re.MULTILINE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+", re.ASCII)
_DIGITS_MAX = 18
# The implicit types of YAML 1.1 (yaml.org/type) and of the core schema of 1.2 (10.3.2), but for what is allowed here.
_AMBIGUOUS = re.compile(
    r"y|n|yes|no|on|off|true|false|null|~||<<|="
    r"|[-+]?0b[01_]+|[-+]?0o[0-7_]+|[-+]?0x[0-9a-f_]+"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
    r"|[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:e[-+]?[0-9]+)?"
    r"|[-+]?\.inf|\.nan"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[ t].*)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_IN_ALIAS = "while scanning an alias"
_WORD = re.compile(r"[^\s\"',\[\]{}]+")
_BOOLEANS = {"true": True, "false": False}
_MEANT = {"yes": "true", "on": "true", "y": "true", "true": "true"} | dict.fromkeys(
    ["no", "off", "n", "false"], "false"
)


def parse_yaml(text: str) -> Reading:
    """What the text says, and where. Raises Unreadable."""
    try:
        import yaml
    except ImportError:
        raise Unreadable(1, 1, NOT_INSTALLED) from None
    if bad := _FORBIDDEN.search(text):
        raise _refuse(text, bad.start(), _explain_character(bad[0]))
    if end := _DOCUMENT_END.search(text):
        raise _refuse(
            text, end.start(), "the end of a document (...) is not allowed: a policy is the whole file"
        )
    builder = _Builder(text)
    try:
        builder.build(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise _refuse(text, _find_place(error).index, _explain(error, text)) from None
    except (ValueError, OverflowError) as error:
        if isinstance(error, Unreadable):
            raise
        # PyYAML 6.0 gives "\U00110000" to chr() as it is.
        raise _refuse(text, builder.at, "after this, an escape names no character of Unicode") from None
    return Reading(builder.root, Positions(builder.values, builder.keys, find_line_starts(text)), in_yaml)


def in_yaml(message: str) -> str:
    """A message about tables and keys in the words of YAML."""
    for toml, yaml in _IN_YAML:
        message = message.replace(toml, yaml)
    return _EXAMPLE.sub(r"\1\2: ", message)


_TABLES = ("resolve", "files", "env", "limits", "tls", "upstream", "scan", "mcp")
_IN_YAML = (
    *(
        (f'; did you mean "[[{key}]]"?', f'; begin each {one} with "- "')
        for key, one in (
            *(("egress", "rule"), ("test", "test"), ("secret", "secret")),
            *(("canary", "canary"), ("scan.suppress", "suppression")),
        )
    ),
    ("an [[egress]] table", 'a rule of "egress"'),
    ("a [[test]] table", 'a test of "test"'),
    ("a [[secret]] table", 'a secret of "secret"'),
    ("a [[canary]] table", 'a canary of "canary"'),
    ("a [[scan.suppress]] table", 'a suppression of "scan.suppress"'),
    *((f'; did you mean "[{key}]"?', "") for key in _TABLES),
    *((f"the [{key}] table", f'"{key}"') for key in _TABLES),
)
_EXAMPLE = re.compile(r"(\{ ?|write |as in |`)([a-z_0-9A-Z]+) = (?=[\[\"{tf0-9])")
"""How a message says what to write: `write version = "1.0"`, `{ fetch = ["org/*"] }`."""


@define
class _Open:
    """A list or mapping that has begun and not ended; of a mapping, the key whose value comes."""

    path: Path
    content: Any
    key: str | None = None


class _Builder:
    """Makes values out of events, and notes where each began."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root: Any = {}
        self.values: dict[Path, int] = {}
        self.keys: dict[Path, int] = {}
        self.within: list[_Open] = []
        self.documents = 0
        self.at = 0

    def build(self, events: Iterable[Any]) -> None:
        for event in events:
            self.at = event.start_mark.index
            match type(event).__name__:
                case "DocumentStartEvent":
                    self._start_document()
                case "AliasEvent":
                    raise self._refuse(f"an alias is not allowed; {_quoted(self.text, self.at)}")
                case "ScalarEvent":
                    self._check_properties(event)
                    self._take_scalar(event)
                case "SequenceStartEvent":
                    self._check_properties(event)
                    self._open([])
                case "MappingStartEvent":
                    self._check_properties(event)
                    self._open({})
                case "SequenceEndEvent" | "MappingEndEvent":
                    self.within.pop()

    def _refuse(self, message: str) -> Unreadable:
        return _refuse(self.text, self.at, message)

    def _start_document(self) -> None:
        self.documents += 1
        if self.text.startswith("%", self.at):
            raise self._refuse("a directive is not allowed")
        if self.documents > 1:
            raise self._refuse("a policy is one document, and here a second one begins")

    def _check_properties(self, event: Any) -> None:
        if event.anchor is not None:
            raise self._refuse("an anchor (&) is not allowed: write what is meant where it is meant")
        if event.tag is not None:
            raise self._refuse("a tag (!) is not allowed: a text that begins with it must be quoted")

    def _open(self, content: Any) -> None:
        if len(self.within) == DEPTH_MAX:
            raise self._refuse("something in it is nested too deeply")
        if not self.within and not isinstance(content, dict):
            raise self._refuse('a policy begins with keys, such as version: "1.0", and not with a list')
        path = self._place(content)
        self.within.append(_Open(path, content))

    def _take_scalar(self, event: Any) -> None:
        value = self._resolve(event.value) if event.style is None else event.value
        if isinstance(value, str) and _SURROGATE.search(value):
            raise self._refuse("an escape in this text names half of a character")
        if not self.within:
            raise self._refuse('a policy has keys, such as version: "1.0", and this is none')
        innermost = self.within[-1]
        if isinstance(innermost.content, dict) and innermost.key is None:
            self._take_key(innermost, value)
        else:
            self._place(value)

    def _take_key(self, mapping: _Open, key: object) -> None:
        if not isinstance(key, str):
            raise self._refuse(f'a key is a text; did you mean "{show(key)}"?')
        path = (*mapping.path, key)
        if path in self.keys:
            line, _ = count_place(self.text, self.keys[path])
            raise self._refuse(f"the key {show(key)} stands twice: it is in line {line}, too")
        self.keys[path] = self.at
        mapping.key = key

    def _place(self, value: Any) -> Path:
        """Puts a value where it belongs, and gives the path to it."""
        if not self.within:
            self.root = value
            return ()
        innermost = self.within[-1]
        path: Path
        if isinstance(innermost.content, list):
            path = (*innermost.path, len(innermost.content))
            innermost.content.append(value)
        elif innermost.key is None:
            raise self._refuse("a key is a text, and this is a list or mapping")
        else:
            path = (*innermost.path, innermost.key)
            innermost.content[innermost.key] = value
            innermost.key = None
        self.values[path] = self.at
        return path

    def _resolve(self, plain: str) -> object:
        """What a scalar without quotes is."""
        if plain in _BOOLEANS:
            return _BOOLEANS[plain]
        if _NUMBER.fullmatch(plain):
            if len(plain) > _DIGITS_MAX:
                raise self._refuse("a number has too many digits")
            return int(plain)
        if _DECIMAL.fullmatch(plain) and len(plain) <= _DIGITS_MAX:
            return float(plain)
        if _AMBIGUOUS.fullmatch(plain):
            raise self._refuse(_explain_ambiguous(plain))
        return plain


def _explain_character(character: str) -> str:
    if character == "\t":
        return 'a tab is not allowed: YAML is indented with spaces, and in a text it is written as "\\t"'
    return f"the character U+{ord(character):04X} is not allowed here"


def _explain_ambiguous(plain: str) -> str:
    if not plain:
        return 'a value is missing here; for an empty text write ""'
    if meant := _MEANT.get(plain.lower()):
        return f"readers of YAML don't agree on what {plain} is: write {meant}, or quote the text"
    if plain == "<<":
        return "a merge key (<<) is not allowed: write what is meant where it is meant"
    return f"readers of YAML don't agree on what {show(plain)[1:-1]} is: write it plainly, or quote the text"


def _find_place(error: Any) -> Any:
    """A quote that is never closed is told where it was opened, and an alias where it begins."""
    unclosed = error.context == "while scanning a quoted scalar" and "end of stream" in str(error.problem)
    return error.context_mark if unclosed or error.context == _IN_ALIAS else error.problem_mark


def _explain(error: Any, text: str) -> str:
    """What the parser says, and what is usually meant."""
    problem = str(error.problem)
    if error.context == _IN_ALIAS:
        return f"an alias is not allowed; {_quoted(text, error.context_mark.index)}"
    if "cannot start any token" in problem:
        return f"{problem}; {_quoted(text, error.problem_mark.index)}"
    return f"{problem} ({error.context})" if error.context else problem


def _quoted(text: str, at: int) -> str:
    word = _WORD.match(text, at)
    return f'a text that begins so must be quoted; did you mean "{word[0]}"?' if word else "quote the text"


def _refuse(text: str, at: int, message: str) -> Unreadable:
    return Unreadable(*count_place(text, at), message)
