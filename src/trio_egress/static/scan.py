"""One scan: sources, with what is in archives, looked through one after the other, into an outcome."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from itertools import chain

import attrs

from trio_egress.content.scanner import Scanner
from trio_egress.static.archives import INSIDE, NESTED_BYTES, is_archive, open_archive
from trio_egress.static.baseline import Baseline
from trio_egress.static.look import look, look_at_name
from trio_egress.static.outcome import Decide, Outcome, Told, judge
from trio_egress.static.source import Source, Unread, open_regular, say_reason
from trio_egress.values import frozen


@frozen
class Scan:
    """How sources are looked through."""

    scanner: Scanner
    decide: Decide
    known: Baseline
    comments: bool = True
    """Whether a comment in a file may allow what is found in it."""
    archives: bool = False

    def run(self, sources: Iterable[Source | Unread], outcome: Outcome) -> None:
        """Until the last; what could not be read is told in the outcome, and the rest is looked through."""
        for source in sources:
            for each in self._expand(source):
                self._look(each, outcome)
        if self.archives:
            outcome.told = list(_leave_out_twins(outcome.told))
        outcome.stale = self.known.list_stale(outcome.whole)

    def _look(self, source: Source | Unread, outcome: Outcome) -> None:
        path, named = look_at_name(source.path, self.scanner)
        if isinstance(source, Unread):
            outcome.unread.append(attrs.evolve(source, path=path))
            return
        if path != source.path:
            archive = source.archive and look_at_name(source.archive, self.scanner)[0]
            source = attrs.evolve(source, path=path, archive=archive)
        outcome.sources += 1
        unread = False
        for hit in chain(named, look(source, self.scanner)):
            if isinstance(hit, Unread):
                outcome.unread.append(hit)
                unread = True
            elif told := judge(hit, self.decide, self.known, comments=self.comments):
                outcome.told.append(told)
        if source.whole and not unread:
            outcome.whole.add(source.path)

    def _expand(self, source: Source | Unread) -> Iterator[Source | Unread]:
        if not self.archives or isinstance(source, Unread):
            yield source
        elif source.place is not None:
            yield source
            yield from _name_archive(_open_place(source.path, source.place), source.path)
        else:
            yield from _open_held(source)


def _leave_out_twins(found: list[Told]) -> Iterator[Told]:
    """What was found in a member stands in an archive that isn't compressed, too: there it is left out."""
    inner = {
        (outer, told.state, told.hit.fingerprint)
        for told in found
        if told.hit.archive is not None
        for outer in _list_outer(told.hit.path, told.hit.archive)
    }
    return (told for told in found if (told.hit.path, told.state, told.hit.fingerprint) not in inner)


def _list_outer(path: str, archive: str) -> Iterator[str]:
    """The archives that a member is in, from the outermost."""
    names = path[len(archive) :].split(INSIDE)
    yield from (archive + INSIDE.join(names[:count]) for count in range(1, len(names)))


def _open_place(path: str, place: str) -> Iterator[Source | Unread]:
    try:
        with open_regular(place) as file:
            yield from open_archive(path, file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        yield Unread(path, say_reason(error))


def _name_archive(members: Iterable[Source | Unread], path: str) -> Iterator[Source | Unread]:
    for each in members:
        yield attrs.evolve(each, archive=path) if isinstance(each, Source) else each


def _open_held(source: Source) -> Iterator[Source | Unread]:
    """Bytes that are in no file: held where they are an archive."""
    pieces = iter(source.pieces)
    try:
        first = next(pieces, b"")
        if not is_archive(first):
            yield attrs.evolve(source, pieces=_chain(first, pieces))
            return
        held = io.BytesIO(first)
        held.seek(0, io.SEEK_END)
        for piece in pieces:
            if held.tell() + len(piece) > NESTED_BYTES:
                yield Unread(source.path, f"it is an archive of more than {NESTED_BYTES} bytes, and no file")
                return
            held.write(piece)
    except OSError as error:
        yield Unread(source.path, say_reason(error))
        return
    yield attrs.evolve(source, pieces=[held.getvalue()])
    held.seek(0)
    yield from _name_archive(open_archive(source.path, held, len(held.getvalue())), source.path)


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
