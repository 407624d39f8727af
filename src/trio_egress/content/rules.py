"""Rule files of detectors: TOML in the form that gitleaks reads, and keys of our own.

Opens no file. A path in a rule is that of a file, for `trio-egress scan`; traffic has none.

Rule 1: PolicyError with every problem at its place, and nothing else, is raised.
Rule 2: what gitleaks reads and we don't is an error that says so; but a rule that finds files by their names alone
finds nothing in content, and is left out with a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from trio_egress.content.detector import Allowed, Detector, Way
from trio_egress.content.loose import expand, make_sign
from trio_egress.content.rule_keys import (
    LIST_KEYS,
    RULE_KEYS,
    SHARED_LIST_KEYS,
    SPELLINGS,
    TOP_KEYS,
    UNSUPPORTED,
    Reader,
    check_pattern,
    count_groups,
)
from trio_egress.errors import PolicyError, Problem
from trio_egress.model import Action, Kind
from trio_egress.texts.faults import Fault, Faults, hint_nearest, place_faults, place_unreadable, show
from trio_egress.texts.positions import Path, Reading, Unreadable
from trio_egress.texts.toml_text import parse_toml
from trio_egress.values import frozen

_BOM = "\ufeff"

_QUIET = frozenset({Kind.ENTROPY, Kind.INSTRUCTION, Kind.HIDDEN})
"""Kinds whose finds are only warned of, unless the rule says otherwise."""


@frozen
class RuleFile:
    """What one file of rules gives. `warnings` are of what in it does nothing here."""

    detectors: tuple[Detector, ...]
    warnings: tuple[Problem, ...] = ()


@frozen
class _Table:
    """A table that has been read: its values by their keys in lower case, and where each key stands."""

    path: Path
    values: dict[str, Any]
    keys: Mapping[str, str]

    def find(self, key: str) -> Path:
        return (*self.path, self.keys[key])


@frozen
class _Shared:
    """An allowlist for all rules of the file, or for those that it names."""

    allowed: Allowed
    names: tuple[str, ...] | None
    path: Path


def read_rules(text: str, shown: str, *, tested: bool = False) -> RuleFile:
    """The detectors of a file, in its order; `shown` is its name in messages.

    `tested`: one that comes with the package, whose patterns are known to be some: compiling takes most of the time.
    """
    text = text.removeprefix(_BOM)
    try:
        reading = parse_toml(text)
    except Unreadable as error:
        raise PolicyError((place_unreadable(shown, text, error),)) from None
    document = _Document(shown, reading, tested=tested)
    detectors = document.read()
    if document.faults:
        raise PolicyError(place_faults(shown, text, reading, document.faults))
    warnings = place_faults(shown, text, reading, document.warnings)
    return RuleFile(detectors, tuple(attrs.evolve(problem, warning=True) for problem in warnings))


def join_rules(files: Iterable[RuleFile]) -> tuple[Detector, ...]:
    """The detectors of several files, the first file's first. Raises PolicyError where two have one name."""
    sources: dict[str, str] = {}
    problems = []
    detectors = tuple(detector for file in files for detector in file.detectors)
    for detector in detectors:
        if detector.name in sources:
            file, _, line = detector.source.rpartition(":")
            said = f"the id {show(detector.name)} is taken, by {sources[detector.name]}; give this rule another one"
            problems.append(Problem(file, int(line), 1, said))
        sources.setdefault(detector.name, detector.source)
    if problems:
        raise PolicyError(tuple(problems))
    return detectors


class _Document:
    """One reading of a file; what is wrong in it is gathered on the way."""

    def __init__(self, shown: str, reading: Reading, *, tested: bool) -> None:
        self.shown = shown
        self.reading = reading
        self.tested = tested
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []

    def read(self) -> tuple[Detector, ...]:
        top = self._read_table(self.reading.data, (), TOP_KEYS, "at the top")
        names: set[str] = set()
        rules = [self._read_rule(path, table, names) for path, table in self._find_tables(top, "rules")]
        shared = list(self._read_shared(top, names))
        return tuple(_widen(detector, shared) for detector in rules if detector is not None)

    def _read_table(
        self, table: Mapping[str, Any], path: Path, readers: Mapping[str, Reader], where: str
    ) -> _Table:
        values, keys = {}, {}
        for key, value in table.items():
            name = key.lower()
            if name not in readers:
                self.faults.append(Fault((*path, key), _explain_unknown(key, readers, where), on_key=True))
                continue
            try:
                values[name] = readers[name](value)
            except Faults as error:
                self.faults += (attrs.evolve(each, path=(*path, key, *each.path)) for each in error.faults)
            except ValueError as error:
                self.faults.append(Fault((*path, key), f"{key}: {error}"))
            keys[name] = key
        return _Table(path, values, keys)

    def _find_tables(self, table: _Table, name: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """The tables of an array of them, each with its path."""
        if name not in table.keys:
            return
        tables = table.values[name]
        if not isinstance(tables, list):
            self.faults.append(Fault(table.find(name), f"{name} are tables, each written as [[{name}]]"))
            return
        for place, each in enumerate(tables):
            if isinstance(each, dict):
                yield (*table.find(name), place), each
            else:
                self.faults.append(Fault((*table.find(name), place), f"it must be a table, not {show(each)}"))

    def _find_lists(self, table: _Table) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """Tables of what is allowed; there was one for each rule before gitleaks 8.21."""
        if "allowlist" in table.keys:
            single = table.values["allowlist"]
            if isinstance(single, dict):
                yield table.find("allowlist"), single
            else:
                self.faults.append(
                    Fault(table.find("allowlist"), "it must be a table; several are allowlists")
                )
        yield from self._find_tables(table, "allowlists")

    def _read_list(
        self, path: Path, table: Mapping[str, Any], readers: Mapping[str, Reader]
    ) -> tuple[Allowed, _Table]:
        read = self._read_table(table, path, readers, "in an allowlist")
        values = read.values
        if not any(values.get(name) for name in ("regexes", "stopwords", "paths")) and not self._is_wrong(
            path
        ):
            self.faults.append(Fault(path, "nothing is allowed by it; it needs regexes, stopwords or paths"))
        allowed = Allowed(
            regexes=values.get("regexes", ()),
            words=values.get("stopwords", ()),
            paths=values.get("paths", ()),
            target=values.get("regextarget", "secret"),
            every=values.get("condition", False),
        )
        return allowed, read

    def _read_shared(self, top: _Table, names: set[str]) -> Iterator[_Shared]:
        for path, table in self._find_lists(top):
            allowed, read = self._read_list(path, table, SHARED_LIST_KEYS)
            targets = read.values.get("targetrules")
            for place, target in enumerate(targets or ()):
                if target not in names:
                    said = f"there is no rule {show(target)} in this file{hint_nearest(target, names)}"
                    self.faults.append(Fault((*read.find("targetrules"), place), said))
            yield _Shared(allowed, targets, path)

    def _read_rule(self, path: Path, table: Mapping[str, Any], names: set[str]) -> Detector | None:
        read = self._read_table(table, path, RULE_KEYS, "in a rule")
        allowed = tuple(self._read_list(*each, LIST_KEYS)[0] for each in self._find_lists(read))
        name = read.values.get("id")
        if "id" not in read.keys:
            self.faults.append(
                Fault(path, 'the key "id" is missing in a rule; write id = "my-service-token"')
            )
        elif name in names:
            self.faults.append(Fault(read.find("id"), f"an earlier rule has the id {show(name)}, too"))
        names.add(str(name))
        if "regex" not in read.keys and "path" in read.keys:
            self.warnings.append(Fault(path, "a rule with a path alone finds files by name; it is left out"))
            return None
        if "regex" not in read.keys:
            self.faults.append(
                Fault(path, 'the key "regex" is missing in a rule; write regex = "my_[a-z0-9]{32}"')
            )
        if "regex" in read.values:
            self._check_regex(read)
        return None if self._is_wrong(path) else self._make_detector(read, allowed)

    def _is_wrong(self, path: Path) -> bool:
        """Whether a fault has been found at this path, or below it."""
        return any(fault.path[: len(path)] == path for fault in self.faults)

    def _check_regex(self, read: _Table) -> None:
        if read.values.get("loose"):
            read.values["regex"] = expand(read.values["regex"])
        if self.tested:
            return
        try:
            check_pattern(read.values["regex"])
        except ValueError as error:
            self.faults.append(Fault(read.find("regex"), f"regex: {error}"))
            return
        group, groups = read.values.get("secretgroup", 0), count_groups(read.values["regex"])
        if group > groups:
            said = f"secretGroup is {group}, and the regex has {groups or 'no'} group{'' if groups == 1 else 's'}"
            self.faults.append(Fault(read.find("secretgroup"), said))

    def _make_detector(self, read: _Table, allowed: tuple[Allowed, ...]) -> Detector:
        values = read.values
        kind = values.get("kind", Kind.SECRET)
        detector = Detector(
            name=values["id"],
            description=values.get("description") or values["id"],
            kind=kind,
            pattern=values["regex"],
            group=values.get("secretgroup", 0),
            keywords=values.get("keywords", ()),
            entropy=values.get("entropy"),
            check=values.get("check"),
            allowed=allowed,
            home=values.get("home", ()),
            path=values.get("path"),
            ways=values.get("ways", Way.IN if kind in (Kind.INSTRUCTION, Kind.HIDDEN) else Way.OUT),
            action=values.get("action", Action.WARN if kind in _QUIET else Action.BLOCK),
            sign=make_sign(values["keywords"]) if values.get("loose") and values.get("keywords") else "",
            source=f"{self.shown}:{self.reading.positions.place_value(read.path)[0]}",
        )
        return attrs.evolve(detector, severity=values["severity"]) if "severity" in values else detector


def _explain_unknown(key: str, readers: Mapping[str, Reader], where: str) -> str:
    if reason := UNSUPPORTED.get(key.lower()):
        return f"gitleaks reads {show(key)}, and it is not supported here: {reason}"
    known = [SPELLINGS.get(name, name) for name in readers]
    return f"unknown key {show(key)} {where}" + (
        hint_nearest(key, known) or f"; the keys there are {', '.join(known)}"
    )


def _widen(detector: Detector, shared: Iterable[_Shared]) -> Detector:
    """With what the file allows everywhere, or for this rule."""
    more = tuple(each.allowed for each in shared if each.names is None or detector.name in each.names)
    return attrs.evolve(detector, allowed=(*detector.allowed, *more)) if more else detector
