"""The files of a tree: what git would have in it, where there is a repository; else all of them.

Rule 1: `.gitignore` is git's to read: it is asked. Outside of a repository it means nothing, as to git; without git all
        files are looked through, and that is told.
Rule 2: no link is followed, neither a file's nor a directory's above it; devices, pipes and sockets are not opened.
Rule 3: what is named itself is looked through even if it is ignored.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

import attrs

from trio_egress.static.git import GitError, Repository, find_git, find_top
from trio_egress.static.source import Source, Unread, read_file, say_reason
from trio_egress.values import define

Note = Callable[[str], None]

NO_GIT = "git is not installed, so nothing is left out for .gitignore"


@define
class Walk:
    """`base`: the real directory that paths are told from. `exclude`: globs of told paths; `*` matches `/` as well."""

    base: str
    exclude: tuple[str, ...] = ()
    ignored: bool = False
    """Also what git ignores."""
    note: Note = lambda _: None
    _only: list[str] | None = attrs.field(default=None, init=False)
    _plain: dict[str, bool] = attrs.field(factory=dict, init=False)
    _seen: set[str] = attrs.field(factory=set, init=False)

    def open_paths(self, paths: list[str]) -> Iterator[Source | Unread]:
        """Each file once, in the order of `paths`, and below each of them by name."""
        for path in paths:
            try:
                yield from self._open(path)
            except RecursionError:
                yield Unread(path, "its directories are nested too deeply")

    def tell(self, place: str) -> str:
        """A path as it is told: from `base`, with `/`; one outside of it in full."""
        inside = os.path.relpath(place, self.base) if _is_below(place, self.base) else place
        return inside.replace(os.sep, "/")

    def limit(self, paths: list[str]) -> None:
        """Exclude all but these and what is below them; none: nothing."""
        told = [self.tell(os.path.realpath(path)) for path in paths]
        self._only = None if not told or "." in told else told

    def is_excluded(self, told: str) -> bool:
        if self._only is not None and not any(
            told == only or told.startswith(f"{only}/") for only in self._only
        ):
            return True
        return any(fnmatchcase(told, glob) for glob in self.exclude)

    def is_plain(self, place: str, root: str) -> bool:
        """Whether no directory from `root` down to this file is a link."""
        above = os.path.dirname(place)
        if above == root or not _is_below(above, root):
            return True
        if above not in self._plain:
            self._plain[above] = not _is_link(above) and self.is_plain(above, root)
        return self._plain[above]

    def _open(self, path: str) -> Iterator[Source | Unread]:
        try:
            real = os.path.realpath(path, strict=True)
            mode = os.stat(real).st_mode
        except OSError as error:
            yield Unread(path, say_reason(error))
            return
        if stat.S_ISDIR(mode):
            yield from self._open_tree(real)
        elif stat.S_ISREG(mode):
            yield from self._open_file(real)
        else:
            yield Unread(path, "it is neither a file nor a directory")

    def _open_tree(self, root: str) -> Iterator[Source | Unread]:
        for place in self._list(root):
            if isinstance(place, Unread):
                yield place
                continue
            if not self.is_plain(place, root):
                continue
            try:
                mode = os.lstat(place).st_mode
            except FileNotFoundError:
                continue  # removed, and still in the index
            except OSError as error:
                yield Unread(self.tell(place), say_reason(error))
                continue
            if stat.S_ISDIR(mode):
                yield from self._open_tree(place)  # a submodule, or a repository that nobody added
            elif stat.S_ISREG(mode):
                yield from self._open_file(place)

    def _open_file(self, place: str) -> Iterator[Source | Unread]:
        told = self.tell(place)
        if place not in self._seen and not self.is_excluded(told):
            self._seen.add(place)
            yield Source(told, read_file(place), place=place)

    def _list(self, root: str) -> Iterator[str | Unread]:
        top = None if self.ignored else find_top(root)
        if top is None:
            return self._list_all(root)
        program = find_git()
        if program is None:
            self.note(NO_GIT)
            return self._list_all(root)
        below = "" if root == top else os.path.relpath(root, top)
        try:
            names, warned = Repository(program, top).list_files(below)
        except GitError as error:
            self.note(f"{self.tell(top)}: {error}; nothing is left out for .gitignore")
            return self._list_all(root)
        return self._join(top, names, warned)

    def _join(self, top: str, names: list[str], warned: list[str]) -> Iterator[str | Unread]:
        yield from (Unread(self.tell(top), f"git: {line}") for line in warned)
        for name in sorted(names):
            place = os.path.join(top, *name.rstrip("/").split("/"))
            if os.path.isdir(place) and not os.path.lexists(os.path.join(place, ".git")):
                yield from self._list_all(place)  # a submodule that was never fetched, and what stands there
            else:
                yield place

    def _list_all(self, root: str) -> Iterator[str | Unread]:
        refused: list[Unread] = []

        def refuse(error: OSError) -> None:
            refused.append(Unread(self.tell(str(error.filename)), say_reason(error)))

        for folder, folders, files in os.walk(root, onerror=refuse):
            folders[:] = sorted(name for name in folders if name != ".git")
            yield from (os.path.join(folder, name) for name in sorted(files))
        yield from refused


def _is_below(place: str, root: str) -> bool:
    return place == root or place.startswith(root.rstrip(os.sep) + os.sep)


def _is_link(place: str) -> bool:
    """A junction of Windows is one as well."""
    try:
        found = os.lstat(place)
    except OSError:
        return False
    return stat.S_ISLNK(found.st_mode) or bool(getattr(found, "st_reparse_tag", 0))
