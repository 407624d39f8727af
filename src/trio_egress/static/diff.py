"""Unified diffs, as git and `diff -u` write them: of each hunk the text after it, and which of its lines are added.

Rule 1: lines are counted as the hunk's head says, so no text passes for a head; what then stands between hunks and is
        neither a head nor git's own is an error, as a head that counts too few lines would hide the others.
Rule 2: DiffError says the line, and nothing else is raised. Whatever came before it has been given.
Rule 3: bounded: a hunk is held, the diff is not; a hunk of more than HUNK_BYTES is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import attrs

from trio_egress.errors import UsageError
from trio_egress.values import define, frozen

HUNK_BYTES = 64 << 20

_HEAD = re.compile(rb"(@@+) (-[0-9]+(?:,[0-9]+)? )+\+([0-9]{1,9})(?:,([0-9]{1,9}))? \1")
_OLD = re.compile(rb"-[0-9]{1,9}(?:,([0-9]{1,9}))? ")
_PREFIXES = ("a/", "b/", "c/", "i/", "o/", "w/", "1/", "2/")
"""git's, by `diff.mnemonicPrefix` and for files outside of a repository."""
_PREFIX_BYTES = tuple(prefix.encode() for prefix in _PREFIXES)
_SIGNATURE = b"-- "
"""What ends a mailed patch: no removed line, though it begins like one."""
_OCTAL = re.compile(r"\\([0-7]{3}|.)")
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


class DiffError(UsageError):
    """It is no unified diff, or a broken one."""


@frozen
class Hunk:
    """`text` stands in the file after the change from `first_line` on; `added` are the numbers of its added lines."""

    path: str
    first_line: int
    text: bytes
    added: frozenset[int]


@define
class _Reader:
    """Where the reading has got to: which file, and how many lines the hunk still has."""

    path: str | None = None
    prefixed: bool = False
    parents: int = 1
    olds: list[int] = attrs.field(factory=list)
    new: int = 0
    first: int = 0
    lines: list[bytes] = attrs.field(factory=list)
    added: list[int] = attrs.field(factory=list)
    held: int = 0
    after_hunk: bool = False
    seen: bool = False


def read_diff(pieces: Iterable[bytes]) -> Iterator[Hunk]:
    """The hunks that add something, in their order."""
    reader = _Reader()
    number = 0
    for number, line in enumerate(split_lines(pieces, HUNK_BYTES), 1):
        if _is_open(reader):
            _read_line(reader, line, number)
            if not _is_open(reader):
                yield from _close(reader)
        elif line.startswith(b"@@"):
            _open(reader, line, number)
            if not _is_open(reader):
                yield from _close(reader)
        else:
            _read_between(reader, line, number)
    if _is_open(reader):
        raise DiffError(f"line {number}: the diff ends within a hunk")
    if number and not reader.seen:
        raise DiffError("it is no unified diff: it has neither a file nor a hunk")


def split_lines(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Lines without their LF. One that is longer than `most` bytes is an error."""
    rest = b""
    for piece in pieces:
        *lines, last = piece.split(b"\n")
        if lines:
            lines[0] = rest + lines[0]
            yield from lines
            rest = last
        else:
            rest += last
        if len(rest) > most:
            raise DiffError(f"a line of it has more than {most} bytes")
    if rest:
        yield rest


def _is_open(reader: _Reader) -> bool:
    return reader.new > 0 or any(reader.olds)


def _open(reader: _Reader, line: bytes, number: int) -> None:
    """`@@ -1,2 +3,4 @@`; of a merge with an @ and a range for each parent."""
    head = _HEAD.match(line)
    if head is None and reader.path is None:
        return  # of a message above the diff
    if head is None:
        raise DiffError(f"line {number}: expected the head of a hunk, as `@@ -1,2 +3,4 @@`")
    counts = [int(count or 1) for count in _OLD.findall(line[: head.end()])]
    if len(counts) != len(head[1]) - 1:
        raise DiffError(
            f"line {number}: the hunk's head has {len(counts)} ranges for {len(head[1]) - 1} parents"
        )
    if reader.path is None:
        raise DiffError(f"line {number}: a hunk of no file: `+++ FILE` must stand before it")
    reader.parents, reader.olds = len(counts), counts
    reader.first, reader.new = int(head[3]), int(head[4] or 1)
    reader.lines, reader.added, reader.held = [], [], 0
    reader.seen, reader.after_hunk = True, True


def _read_line(reader: _Reader, line: bytes, number: int) -> None:
    marks = line[: reader.parents].ljust(reader.parents)  # an empty line of context may have lost its blank
    if marks[:1] == b"\\":
        return
    if marks.strip(b" +-"):
        raise DiffError(
            f"line {number}: in a hunk each line begins with a blank, + or -; does its head count too many?"
        )
    for parent, mark in enumerate(marks):
        if mark != ord("+") and (mark == ord("-") or b"-" not in marks):
            reader.olds[parent] -= 1
    if b"-" not in marks:
        if b"+" in marks:
            reader.added.append(reader.first + len(reader.lines))
        reader.lines.append(line[reader.parents :])
        reader.new -= 1
        reader.held += len(line)
    if reader.new < 0 or min(reader.olds) < 0:
        raise DiffError(f"line {number}: the hunk has more lines than its head says")
    if reader.held > HUNK_BYTES:
        raise DiffError(f"line {number}: a hunk of more than {HUNK_BYTES} bytes")


def _close(reader: _Reader) -> Iterator[Hunk]:
    if reader.path is not None and reader.added:
        text = b"\n".join(reader.lines) + b"\n"
        yield Hunk(reader.path, reader.first, text, frozenset(reader.added))
    reader.lines, reader.added = [], []


def _read_between(reader: _Reader, line: bytes, number: int) -> None:
    if line.startswith(b"diff "):
        reader.path, reader.after_hunk, reader.seen = None, False, True
        reader.prefixed = _has_prefixes(line.rstrip(b"\r"))
    elif line.startswith(b"--- "):
        reader.path, reader.after_hunk = None, False
    elif line.startswith(b"+++ ") and not reader.after_hunk:
        reader.path, reader.seen = _read_path(line[4:], prefixed=reader.prefixed), True
    elif reader.after_hunk and line.startswith((b"+", b"-", b" ")) and line.rstrip(b"\r") != _SIGNATURE:
        raise DiffError(f"line {number}: a line behind the end of its hunk, whose head counts too few")
    elif not line.startswith(b"\\"):
        reader.after_hunk = False


def _has_prefixes(line: bytes) -> bool:
    """`diff --git a/x b/x`, and not `diff --git x x`; of a merge the line has one path, without."""
    names = line.removeprefix(b"diff --git ")
    if names == line:
        return line.startswith((b"diff --cc ", b"diff --combined "))
    half = len(names) // 2
    return names.lstrip(b'"').startswith(_PREFIX_BYTES) and names[:half] != names[half + 1 :]


def _read_path(raw: bytes, *, prefixed: bool) -> str:
    """After `+++ `: perhaps quoted as C, with a time behind a tab, with git's prefix."""
    text = raw.rstrip(b"\r").decode("utf-8", "surrogateescape")
    if text.startswith('"') and text.rstrip().endswith('"') and len(text) > 1:
        text = _unquote(text.rstrip()[1:-1])
    else:
        text = text.partition("\t")[0]
    return text[2:] if prefixed and text.startswith(_PREFIXES) else text


def _unquote(text: str) -> str:
    def put(found: re.Match[str]) -> str:
        what = found[1]
        code = int(what, 8) & 255 if len(what) == 3 else _ESCAPES.get(what, ord(what))
        return chr(code) if code < 256 else what

    spelt = _OCTAL.sub(put, text.encode("utf-8", "surrogateescape").decode("latin-1"))
    return spelt.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
