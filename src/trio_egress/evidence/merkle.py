"""The Merkle tree over stored lines (RFC 6962 2.1): its root at any time, and what proves a line or an older root.

Keeps hashes, never lines. A leaf is the bytes of one stored line without its LF; leaf 0 is the first line.

Rule 1: a growing tree keeps one hash for each bit of its size: O(log n), however long the log is.
Rule 2: proofs are made in one pass over the leaves, and each hash in one is a subtree's, named by its range.
Rule 3: what is checked is never longer than PROOF_HASHES, and no proof raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
PROOF_HASHES = 63
"""Of a proof (C2SP tlog-witness): a tree of more than 2**63 leaves is nobody's."""

EMPTY_ROOT = hashlib.sha256().digest()

Range = tuple[int, int]
"""Leaves from the first to before the second."""


def hash_leaf(line: bytes) -> bytes:
    """The hash of one stored line, without its LF."""
    return hashlib.sha256(b"\x00" + line).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that only grows."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, line: bytes) -> None:
        """The next leaf, as its line without the LF."""
        self.append_hash(hash_leaf(line))

    def append_hash(self, leaf: bytes) -> None:
        size, peaks = self.size, self._peaks
        while size & 1:
            leaf = hashlib.sha256(b"\x01" + peaks.pop() + leaf).digest()
            size >>= 1
        peaks.append(leaf)
        self.size += 1

    @property
    def root(self) -> bytes:
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = hash_node(peak, root)
        return root


# making proofs


def find_inclusion(index: int, size: int) -> list[Range]:
    """The subtrees whose hashes prove the leaf at `index`, from its sibling up (RFC 6962 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def find_consistency(old: int, size: int) -> list[Range]:
    """The subtrees whose hashes prove that the first `old` of `size` leaves are unchanged (RFC 6962 2.1.2)."""
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {old} leaves is not an older state of one of {size}")
    if old in (0, size):
        return []
    path = []
    start, end = 0, size
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    # A subtree that is the whole older tree is known to who asks; any other must be told.
    return [*([(start, end)] if start else []), *path[::-1]]


def _split(size: int) -> int:
    """The largest power of two below `size`, which is over 1."""
    return 1 << (size - 1).bit_length() - 1


def hash_ranges(lines: Iterable[bytes], ranges: Sequence[Range]) -> list[bytes]:
    """The root of each of these ranges, which don't overlap, in one pass over the lines (without LF).

    Raises ValueError where there are fewer lines than that.
    """
    roots: dict[Range, bytes] = {}
    waiting = sorted(ranges, reverse=True)
    tree = Tree()
    for at, line in enumerate(lines):
        if not waiting:
            break
        start, end = waiting[-1]
        if at >= start:
            tree.append(line)
        if at + 1 == end:
            roots[waiting.pop()] = tree.root
            tree = Tree()
    if waiting:
        raise ValueError("there are fewer lines than the tree has leaves")
    return [roots[wanted] for wanted in ranges]


# checking proofs


def is_included(leaf: bytes, index: int, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves the leaf (its hash) at `index` of the tree with this size and root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size or len(path) > PROOF_HASHES:
        return False
    found, last = leaf, size - 1
    for sibling in path:
        if not last:
            return False
        if index & 1 or index == last:
            found = hash_node(sibling, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = hash_node(found, sibling)
        index, last = index >> 1, last >> 1
    return not last and found == root


def is_consistent(old: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the tree `old` leaves ago is the beginning of this one (RFC 9162 2.1.4.2)."""
    if not 0 <= old <= size or len(path) > PROOF_HASHES:
        return False
    if old in (0, size):
        return not path and old_root == (root if old else EMPTY_ROOT)
    if old & (old - 1) == 0:
        path = [old_root, *path]
    if not path:
        return False
    index, last = old - 1, size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    older = newer = path[0]
    for sibling in path[1:]:
        if not last:
            return False
        if index & 1 or index == last:
            older, newer = hash_node(sibling, older), hash_node(sibling, newer)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            newer = hash_node(newer, sibling)
        index, last = index >> 1, last >> 1
    return not last and older == old_root and newer == root
