"""Which protected files there are in a directory that the agent may write, and how they stand before and after it.

Looks and changes nothing; follows no link. Standard library only: part of the launcher.

Rule 1: a pattern is relative to its root. `*` and `?` stand for characters of one name, with or without a dot in front,
`**` for directories at any depth. What matches is protected with everything in it, but for a directory `.git`:
that is protected as long as it is none (a submodule's or worktree's is a file).
Rule 2: how a file stands is told by what the kernel keeps of it. A change sets its ctime, and no program of an ordinary
user can set that back; so nothing needs to be read.
Rule 3: at most ENTRIES_MAX names are looked at; that there were more is told.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

ENTRIES_MAX = 200_000
"""A tree with node_modules has some 50,000 to 100,000. Measured: 2 µs a name, 30 µs when all is still on a disk."""

NAMES_TOLD = 20
NAME_CHARS = 256

Guard = Sequence[Sequence[Any]]
"""Pairs of a root and its patterns, as the plan carries them."""

Snapshot = dict[str, list[int]]
UNSEARCHED = ""
"""In a snapshot, instead of a path: not everything was looked at."""


class Node:
    """Where one pattern has got to: what may come next, and whether one ends here."""

    def __init__(self, *, deep: bool = False) -> None:
        self.names: dict[str, Node] = {}
        self.wild: list[tuple[re.Pattern[str], Node]] = []
        self.below: Node | None = None
        self.deep = deep
        self.ends = False
        self.anchored = False


class State:
    """Where all patterns have got to in one directory, worked out once for however many of its kind there are."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = close(nodes)
        ending = [node for node in self.nodes if node.ends]
        self.ends = bool(ending)
        self.anchored = any(node.anchored for node in ending)
        self.wild = any(node.wild for node in self.nodes)
        self.literal = {name for node in self.nodes for name in node.names}
        self.known: dict[str, State | None] = {}

    def follow(self, name: str) -> State | None:
        """The state behind one more name; None where no pattern leads there."""
        kind = name if self.wild or name in self.literal else ""
        try:
            return self.known[kind]
        except KeyError:
            found = step(self.nodes, kind)
            same = found == self.nodes
            self.known[kind] = following = self if same else State(found) if found else None
            return following


class Match:
    """Something protected. `anchored`: a pattern without `**` names it."""

    def __init__(self, entry: os.DirEntry[str], state: State) -> None:
        self.path = entry.path
        self.anchored = state.anchored
        self.directory = entry.is_dir(follow_symlinks=False)
        self.link = entry.is_symlink()

    @property
    def whole(self) -> bool:
        """See Rule 1."""
        return not (self.directory and os.path.basename(self.path) == ".git")


class Search:
    """One look at one root; `cut` tells afterwards that it had too many entries, or some that can't be read.

    Of every entry that is looked at, `notice` is told.
    """

    def __init__(
        self,
        patterns: Iterable[str],
        most: int = ENTRIES_MAX,
        *,
        notice: Callable[[os.DirEntry[str]], None] | None = None,
    ) -> None:
        self.start = State([compile_patterns(patterns)])
        self.left = most
        self.notice = notice
        self.cut = False

    def find(self, root: str) -> Iterator[Match]:
        """Everything that matches; not what is in it."""
        waiting = [(root, self.start)]
        while waiting:
            folder, state = waiting.pop()
            for entry in self.list(folder):
                following = state.follow(entry.name)
                if following is None:
                    continue
                if following.ends:
                    match = Match(entry, following)
                    yield match
                    if match.whole:
                        continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, following))

    def list(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                found = list(itertools.islice(entries, self.left + 1))
        except OSError:
            self.cut = True
            return []
        self.left -= len(found)
        if self.left < 0:
            self.left, self.cut = 0, True
            found.pop()
        if self.notice is not None:
            for entry in found:
                self.notice(entry)
        return found


def compile_patterns(patterns: Iterable[str]) -> Node:
    start = Node()
    for pattern in patterns:
        node = start
        for part in pattern.split("/"):
            node = enter(node, part)
        node.ends = True
        node.anchored |= "**" not in pattern
    return start


def enter(node: Node, part: str) -> Node:
    if part == "**":
        node.below = node.below or Node(deep=True)
        return node.below
    if "*" not in part and "?" not in part:
        return node.names.setdefault(part, Node())
    # Each `*` takes as little as it can and never more: whoever writes the pattern may choose the names, too.
    spelt = fnmatch.translate(part.replace("[", "[[]"))
    following = Node()
    node.wild.append((re.compile(spelt), following))
    return following


def step(nodes: Iterable[Node], name: str) -> tuple[Node, ...]:
    """Where the patterns are after one more name."""
    found: dict[Node, None] = {}
    for node in nodes:
        if node.deep:
            found[node] = None
        if name in node.names:
            found[node.names[name]] = None
        found |= {following: None for spelt, following in node.wild if spelt.fullmatch(name)}
    return close(found)


def close(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """With what comes after a `**` that stands for nothing."""
    found = list(dict.fromkeys(nodes))
    for node in found:
        if node.below is not None and node.below not in found:
            found.append(node.below)
    return tuple(found)


class Watch:
    """The protected files of some directories, which it holds open: an agent that moves one away, or what it is in,
    moves a name in its own view.
    """

    def __init__(self, guard: Guard) -> None:
        self.roots = [(os.open(root, os.O_PATH | os.O_DIRECTORY), root, patterns) for root, patterns in guard]

    def take_snapshot(self) -> Snapshot:
        """How everything stands that is protected. Leaves the process in `/`."""
        snapshot: Snapshot = {}
        for descriptor, root, patterns in self.roots:
            try:
                os.fchdir(descriptor)
            except OSError:
                snapshot[UNSEARCHED] = []
                continue
            search = Search(patterns)
            found: Snapshot = {}
            for match in search.find("."):
                note(found, match.path, whole=match.whole)
                if match.directory and match.whole:
                    note_tree(found, match.path, search)
            if search.cut:
                found[UNSEARCHED] = []
            snapshot |= {path and root.rstrip("/") + path[1:]: state for path, state in found.items()}
        os.chdir("/")
        return snapshot


def note_tree(snapshot: Snapshot, folder: str, search: Search) -> None:
    waiting = [folder]
    while waiting:
        for entry in search.list(waiting.pop()):
            note(snapshot, entry.path)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)


def note(snapshot: Snapshot, path: str, *, whole: bool = True) -> None:
    """Of a directory that it is one, and whose: what is in it stands for itself."""
    try:
        found = os.lstat(path)
    except OSError:
        snapshot[UNSEARCHED] = []
        return
    if not stat.S_ISDIR(found.st_mode):
        times = [found.st_mtime_ns, found.st_ctime_ns]
        snapshot[path] = [found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_ino, *times]
    elif whole:
        snapshot[path] = [found.st_mode, found.st_uid, found.st_gid]
    else:
        snapshot[path] = [stat.S_IFDIR]


def compare(before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """What became of which paths, and how many there are of each kind. `searched`: whether it was all looked at."""
    kinds = {
        "changed": [path for path in before if path in after and before[path] != after[path]],
        "created": [path for path in after if path not in before and path != UNSEARCHED],
        "removed": [path for path in before if path not in after and path != UNSEARCHED],
    }
    told: dict[str, Any] = {}
    for kind, paths in kinds.items():
        outermost = drop_inner(sorted(paths))
        told[kind] = [path[:NAME_CHARS] for path in outermost[:NAMES_TOLD]]
        told[f"{kind}_count"] = len(outermost)
    cut = (UNSEARCHED in before, UNSEARCHED in after)
    told["searched"] = {(False, False): "all", (False, True): "less than before"}.get(cut, "not all")
    return told


def drop_inner(paths: Sequence[str]) -> list[str]:
    """Without what is in another one; `paths` are sorted."""
    known = set(paths)
    return [path for path in paths if not any(outer in known for outer in parents(path))]


def parents(path: str) -> Iterator[str]:
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)


def bind_patterns(pattern: str, roots: Iterable[str]) -> Mapping[str, str]:
    """A pattern of the policy as each root sees it. Relative: in every one. Absolute: in the one that it leads into."""
    if not pattern.startswith("/"):
        return dict.fromkeys(roots, pattern)
    parts = pattern.split("/")[1:]
    literal = next((at for at, part in enumerate(parts) if "*" in part or "?" in part), len(parts) - 1)
    folder = os.path.realpath("/" + "/".join(parts[:literal]))
    rest = "/".join(parts[literal:])
    found = {}
    for root in roots:
        if folder == root:
            found[root] = rest
        elif folder.startswith(f"{root.rstrip('/')}/"):
            found[root] = f"{folder[len(root.rstrip('/')) + 1 :]}/{rest}"
        elif root.startswith(f"{folder.rstrip('/')}/") and rest.startswith("**/"):
            found[root] = rest
    return found
