"""What was found before and is known: a file of fingerprints with their paths, that a repository can keep.

It holds no secret, though one that can be guessed can be guessed from its fingerprint too.

Rule 1: an entry is for one value that one detector found in one file, wherever in it that now stands.
Rule 2: written twice, it is the same bytes; reasons that people put into it stay.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import attrs

from trio_egress.errors import UsageError
from trio_egress.static.look import Hit
from trio_egress.values import define, frozen

VERSION = 1
_KEYS = ("path", "detector", "fingerprint")


@frozen
class Entry:
    """By these three a hit is known."""

    path: str
    detector: str
    fingerprint: str

    @classmethod
    def of(cls, hit: Hit) -> Entry:
        return cls(hit.path, hit.detector.name, hit.fingerprint)


@define
class Baseline:
    """The entries with their reasons, and those that were met."""

    reasons: Mapping[Entry, str] = attrs.field(factory=dict)
    met: set[Entry] = attrs.field(factory=set)

    def find(self, hit: Hit) -> str | None:
        """The reason, perhaps empty, for which this hit is known; None: it is new."""
        entry = Entry.of(hit)
        if entry not in self.reasons:
            return None
        self.met.add(entry)
        return self.reasons[entry]

    def list_stale(self, looked_at: set[str]) -> list[Entry]:
        """Entries of files that were looked through whole, and in which that is no longer found."""
        return [entry for entry in self.reasons if entry not in self.met and entry.path in looked_at]


def read_baseline(place: str) -> Baseline:
    """A file that `write_baseline` wrote, and people may have put reasons into."""
    try:
        with open(place, "rb") as file:
            document = json.loads(file.read())
    except OSError as error:
        raise UsageError(f"cannot read the baseline {place}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place}: a baseline is JSON, as --write-baseline writes it: {error}") from None
    if not isinstance(document, dict) or document.get("version") != VERSION or "findings" not in document:
        raise UsageError(f"{place}: no baseline of version {VERSION}: it has `version` and `findings`")
    entries = document["findings"]
    if not isinstance(entries, list):
        raise UsageError(f"{place}: `findings` is a list")
    return Baseline(dict(_read_entry(place, number, entry) for number, entry in enumerate(entries)))


def write_baseline(place: str, hits: Iterable[Hit], known: Baseline) -> int:
    """All that was found, and nothing else; how many entries that is."""
    entries = sorted({Entry.of(hit) for hit in hits}, key=attrs.astuple)
    found = []
    for entry in entries:
        reason = known.reasons.get(entry, "")
        found.append({**attrs.asdict(entry), **({"reason": reason} if reason else {})})
    _replace(place, json.dumps({"version": VERSION, "findings": found}, indent=1) + "\n")
    return len(entries)


def _read_entry(place: str, number: int, entry: Any) -> tuple[Entry, str]:
    at = f"{place}: findings[{number}]"
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in _KEYS):
        raise UsageError(f"{at}: expected an object with {', '.join(_KEYS)}")
    unknown = sorted(set(entry) - {*_KEYS, "reason"})
    if unknown:
        raise UsageError(f"{at}: unknown key {unknown[0]!r}")
    reason = entry.get("reason", "")
    if not isinstance(reason, str):
        raise UsageError(f"{at}: `reason` is a text")
    return Entry(*(entry[key] for key in _KEYS)), reason


def _replace(place: str, text: str) -> None:
    """Whole or not at all: what stood there before was perhaps the only list of reasons."""
    folder = os.path.dirname(os.path.abspath(place))
    try:
        descriptor, passing = tempfile.mkstemp(dir=folder, prefix=".baseline-")
        try:
            with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.chmod(passing, 0o644)
            os.replace(passing, place)
        except BaseException:
            with suppress(OSError):
                os.unlink(passing)
            raise
    except OSError as error:
        raise UsageError(f"cannot write {place}: {error.strerror}") from None
