"""The lines that a change adds: since a commit up to the working tree, or to the index.

A line is added if the file's version before has fewer lines like it: what was only moved within a file is not. Its
whole file is looked through, so that what began in a line that stood there before is found, and keeps its place.

Rule 1: git compares names, hashes and objects alone (git.py); attributes of the repository (`-diff`, `binary`,
        `filter`, `textconv`) have no say in what is looked at.
Rule 2: a file whose bytes stood elsewhere before is no change; one that git takes for a renamed one is held against it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator

from trio_egress.static.git import Objects, Repository, split_names
from trio_egress.static.source import Source, Unread, read_file, say_reason
from trio_egress.static.walk import Walk
from trio_egress.values import frozen

_FILES = ("100644", "100755")
"""Modes; links and submodules are others."""

_SHA1_DIGITS = 40
LINE_BYTES = 1 << 20
"""What of a line is held at a time."""


@frozen
class _Change:
    """`before`: the object that it was, if there was one; `after`: the object in the index; None: not in the index."""

    path: str
    before: str | None
    after: str | None


def open_staged(repository: Repository, walk: Walk, before: str) -> Iterator[Source | Unread]:
    """What the next commit would add to `before`."""
    with repository.open_objects() as objects:
        for change in _list_changes(repository, before):
            told = walk.tell(_join(repository.top, change.path))
            if change.after is None or walk.is_excluded(told):
                continue
            yield from _open_change(told, objects, change.before, objects.read(change.after))


def open_tree(repository: Repository, walk: Walk, before: str) -> Iterator[Source | Unread]:
    """What the working tree adds to `before`: committed, staged, neither, or not even known to git."""
    changed = {change.path: change for change in _list_changes(repository, before)}
    tracked = _list_index(repository)
    names, warned = repository.list_files()
    yield from (Unread(walk.tell(repository.top), f"git: {line}") for line in warned)
    with repository.open_objects() as objects:
        for name in sorted(names):
            place = _join(repository.top, name.rstrip("/"))
            told = walk.tell(place)
            if walk.is_excluded(told) or not walk.is_plain(place, repository.top):
                continue
            yield from _open_file(told, place, objects, changed.get(name), tracked.get(name))


def _open_file(
    told: str, place: str, objects: Objects, change: _Change | None, indexed: str | None
) -> Iterator[Source | Unread]:
    try:
        mode = os.lstat(place).st_mode
        if not stat.S_ISREG(mode):
            return
        before = change.before if change else indexed
        if before is not None and _hash(place, before) == before:
            return
    except FileNotFoundError:
        return
    except OSError as error:
        yield Unread(told, say_reason(error))
        return
    yield from _open_change(told, objects, before, read_file(place), place)


def _open_change(
    told: str, objects: Objects, before: str | None, after: Iterable[bytes], place: str | None = None
) -> Iterator[Source | Unread]:
    """`place`: where what is looked at can be read again; else it is held."""
    if before is None:
        yield Source(told, after, place=place)
        return
    try:
        counts = Counter(hash_lines(objects.read(before)))
        if place is None:
            after = list(after)
        added = {number for number, line in enumerate(hash_lines(after), 1) if _take(counts, line)}
    except OSError as error:
        yield Unread(told, say_reason(error))
        return
    if added:
        again = read_file(place) if place else after
        yield Source(told, again, added=added, whole=False, place=place)


def _take(counts: Counter[int], line: int) -> bool:
    """Whether this line is one more than there were."""
    counts[line] -= 1
    return counts[line] < 0


def hash_lines(pieces: Iterable[bytes]) -> Iterator[int]:
    """A number for each line, whatever its end, LF or CRLF, and the pieces that it comes in."""
    rest, carried = b"", 0
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield hash(_fold(line.removesuffix(b"\r"), carried, LINE_BYTES))
            carried = 0
        rest, carried = _fold(rest, carried, LINE_BYTES + 1)  # the last may be a CR that doesn't count
    if rest or carried:
        yield hash(_fold(rest.removesuffix(b"\r"), carried, LINE_BYTES))


def _fold(line: bytes, carried: int, most: int) -> tuple[bytes, int]:
    while len(line) > most:
        carried, line = hash((carried, line[:LINE_BYTES])), line[LINE_BYTES:]
    return line, carried


def _list_changes(repository: Repository, before: str) -> Iterator[_Change]:
    """Between a commit and the index. Renames are git's to see, from objects alone."""
    told = ("--raw", "-z", "--no-abbrev", "-M", "--ignore-submodules=all")
    raw = repository.ask("diff-index", "--cached", *told, before)
    fields = iter(split_names(raw))
    for head in fields:
        old_mode, new_mode, old, new, kind = head.removeprefix(":").split(" ")
        path = next(fields)
        if kind[0] in "RC":
            path = next(fields)
        had = old_mode in _FILES and old.strip("0")
        has = new_mode in _FILES and new.strip("0")
        if old != new or not had:
            yield _Change(path, old if had else None, new if has else None)


def _list_index(repository: Repository) -> dict[str, str]:
    """Regular files by path. Of a conflict, our side."""
    found: dict[str, str] = {}
    for record in split_names(repository.ask("ls-files", "-z", "--stage")):
        head, _, path = record.partition("\t")
        mode, digest, stage = head.split(" ")
        if mode in _FILES and stage in "02":
            found[path] = digest
    return found


def _hash(place: str, like: str) -> str:
    """As git names a file's content (`git help hash-object`), by the hash that `like` is one of."""
    size = os.lstat(place).st_size
    digest = hashlib.new("sha1" if len(like) == _SHA1_DIGITS else "sha256", usedforsecurity=False)
    digest.update(b"blob %d\0" % size)
    for piece in read_file(place):
        digest.update(piece)
    return digest.hexdigest()


def _join(top: str, name: str) -> str:
    return os.path.join(top, *name.split("/"))
