"""One file of a policy: its text, what it says, and where it says it.

Opens no file, and follows no include.

Rule 1: PolicyError and nothing else is raised, whatever the text.
Rule 2: every problem of the file is told, each with its line, and fit for a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import attrs
from cattrs import BaseValidationError

from trio_egress.errors import PolicyError, Problem
from trio_egress.policy.cases import PlacedCase
from trio_egress.policy.document import TABLES, Document
from trio_egress.policy.keys import structure
from trio_egress.policy.problems import find_faults
from trio_egress.policy.roots import Root
from trio_egress.policy.rule import Source
from trio_egress.policy.sought import DetectorFile
from trio_egress.texts.faults import Fault, place_faults, place_unreadable
from trio_egress.texts.positions import Path, Reading, Unreadable
from trio_egress.texts.toml_text import parse_toml
from trio_egress.values import frozen

POLICY_BYTES = 16 << 20
"""A policy with all that it includes: 100,000 rules of some 160 bytes."""

YAML_ENDINGS = (".yaml", ".yml")

_BOM = "\ufeff"


_MINIMUM = {"version": "1.0", "default_deny": True}
_NOTHING = structure(_MINIMUM)


@frozen
class Part:
    """A file that has been read. `shown` is its name in messages; `text` is without a byte order mark.

    `roots`, `detectors`: the files of those that it names, `beside` their bytes; `gather` reads them.
    """

    source: Source
    shown: str
    text: str
    reading: Reading
    document: Document
    roots: tuple[Root, ...] = ()
    detectors: tuple[DetectorFile, ...] = ()
    beside: tuple[Source, ...] = ()

    def make_problem(self, path: Path, message: str, *, on_key: bool = False) -> Problem:
        """A problem with the value at this path, or with its key."""
        return _place(self, (Fault(path, message, on_key=on_key),))[0]

    def locate(self, path: Path) -> str:
        """`file:line:column` of a value."""
        line, column = self.reading.positions.place_value(path)
        return f"{self.shown}:{line}:{column}"


def decode_policy(raw: bytes, file: str) -> str:
    """The text of a policy file, which is UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"the byte 0x{raw[error.start]:02x} is not UTF-8, in which a policy is written"
        raise PolicyError((Problem(file, line, column, message),)) from None


def read_part(source: Source, shown: str) -> Part:
    text = source.text.removeprefix(_BOM)
    reading = _read(text, shown)
    try:
        document = structure(reading.data)
    except BaseValidationError as error:
        faults = find_faults(error, TABLES)
        raise PolicyError(_place(Part(source, shown, text, reading, _NOTHING), faults)) from None
    return Part(source, shown, text, reading, document)


def place_cases(part: Part) -> Iterator[PlacedCase]:
    """The tests of one file, each with its place."""
    for number, case in enumerate(part.document.test):
        yield PlacedCase(case, part.locate(("test", number)))


def read_cases(text: str, shown: str) -> tuple[PlacedCase, ...]:
    """A file that has tests and nothing else. Raises PolicyError."""
    source = Source(shown, text, "")
    reading = _read(text.removeprefix(_BOM), shown)
    part = Part(source, shown, text.removeprefix(_BOM), reading, _NOTHING)
    faults = [
        Fault((key,), "beside a policy there are tests alone, as [[test]] tables", on_key=True)
        for key in reading.data
        if key != "test"
    ]
    if faults:
        raise PolicyError(_place(part, faults))
    try:
        document = structure({**_MINIMUM, **reading.data})
    except BaseValidationError as error:
        raise PolicyError(_place(part, find_faults(error, TABLES))) from None
    return tuple(place_cases(attrs.evolve(part, document=document)))


def has_yaml() -> bool:
    """Whether what reads YAML is loaded: where nothing may be imported any more, it can be read only then."""
    return {"yaml", "trio_egress.policy.yaml_text"} <= sys.modules.keys()


def _parse_yaml(text: str) -> Reading:
    from trio_egress.policy.yaml_text import (
        parse_yaml,  # its patterns take longer to load than a policy to read
    )

    return parse_yaml(text)


def _read(text: str, shown: str) -> Reading:
    """The kind is told by the name: what doesn't end in .yaml or .yml is TOML."""
    try:
        return _parse_yaml(text) if shown.lower().endswith(YAML_ENDINGS) else parse_toml(text)
    except Unreadable as error:
        raise PolicyError((place_unreadable(shown, text, error),)) from None


def _place(part: Part, faults: Iterable[Fault]) -> tuple[Problem, ...]:
    return place_faults(part.shown, part.text, part.reading, faults)
