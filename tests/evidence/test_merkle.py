"""The tree, against RFC 6962's own definition and against Go's tlog."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.evidence.golang import REFUSED, ask

from trio_egress.evidence.merkle import (
    EMPTY_ROOT,
    PROOF_HASHES,
    Tree,
    find_consistency,
    find_inclusion,
    hash_leaf,
    hash_node,
    hash_ranges,
    is_consistent,
    is_included,
)

LINES = [f"line {number}".encode() for number in range(33)]
SIZES = range(len(LINES) + 1)


def grow(lines: list[bytes]) -> Tree:
    tree = Tree()
    for line in lines:
        tree.append(line)
    return tree


def define_root(lines: list[bytes]) -> bytes:
    """MTH of RFC 6962 2.1, word for word."""
    if not lines:
        return EMPTY_ROOT
    if len(lines) == 1:
        return hash_leaf(lines[0])
    k = 1
    while 2 * k < len(lines):
        k *= 2
    return hash_node(define_root(lines[:k]), define_root(lines[k:]))


def flip(raw: bytes) -> bytes:
    return bytes([raw[0] ^ 1]) + raw[1:]


ROOTS = [define_root(LINES[:size]) for size in SIZES]


def test_the_root_is_the_one_of_the_rfc_at_every_size() -> None:
    tree = Tree()
    assert tree.root == ROOTS[0]
    for size, line in enumerate(LINES, 1):
        tree.append(line)
        assert (tree.size, tree.root) == (size, ROOTS[size])


def test_the_vectors_of_certificate_transparency() -> None:
    """The tree heads of the eight inputs that implementations of RFC 6962 share."""
    inputs = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    tree = grow([bytes.fromhex(text) for text in inputs])
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert hash_leaf(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert tree.root.hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_memory_grows_with_the_logarithm() -> None:
    tree = grow([b"line"] * 1023)
    assert len(tree._peaks) == 10
    tree.append(b"line")
    assert len(tree._peaks) == 1


@pytest.mark.parametrize("size", SIZES[1:])
def test_each_line_is_proven_and_no_other(size: int) -> None:
    lines, root = LINES[:size], ROOTS[size]
    for index, line in enumerate(lines):
        path = hash_ranges(lines, find_inclusion(index, size))
        leaf = hash_leaf(line)
        assert len(path) <= (size - 1).bit_length()
        assert is_included(leaf, index, size, root, path)
        assert not is_included(flip(leaf), index, size, root, path)
        assert not is_included(leaf, index, size, flip(root), path)
        assert not is_included(leaf, index, size, root, [*path, leaf])
        assert not is_included(leaf, size, size, root, path)
        assert not is_included(leaf, -1, size, root, path)
        for at in range(len(path)):
            assert not is_included(leaf, index, size, root, [*path[:at], flip(path[at]), *path[at + 1 :]])
            assert not is_included(leaf, index, size, root, [*path[:at], *path[at + 1 :]])
        for other in set(range(size)) - {index}:
            assert not is_included(leaf, other, size, root, path)


@pytest.mark.parametrize("size", SIZES)
def test_each_older_state_is_proven_and_no_other(size: int) -> None:
    root = ROOTS[size]
    for old in range(size + 1):
        path = hash_ranges(LINES[:size], find_consistency(old, size))
        assert is_consistent(old, ROOTS[old], size, root, path)
        assert not is_consistent(old, flip(ROOTS[old]), size, root, path)
        if old:  # of nothing, everything is a continuation
            assert not is_consistent(old, ROOTS[old], size, flip(root), path)
        assert not is_consistent(old, ROOTS[old], size, root, [*path, root])
        assert not is_consistent(size + 1, ROOTS[old], size, root, path)
        for at in range(len(path)):
            assert not is_consistent(
                old, ROOTS[old], size, root, [*path[:at], flip(path[at]), *path[at + 1 :]]
            )
            assert not is_consistent(old, ROOTS[old], size, root, [*path[:at], *path[at + 1 :]])


def test_a_proof_of_a_tree_that_nobody_has_is_refused() -> None:
    leaf = hash_leaf(b"line")
    path = [leaf] * (PROOF_HASHES + 1)
    assert not is_included(leaf, 0, 1 << 64, leaf, path)
    assert not is_consistent(1, leaf, 1 << 64, leaf, path)


def test_an_older_state_that_is_no_whole_subtree_needs_hashes() -> None:
    assert not is_consistent(3, ROOTS[3], 5, ROOTS[5], [])


def test_what_is_asked_for_must_be_there() -> None:
    with pytest.raises(ValueError, match="no leaf 3"):
        find_inclusion(3, 3)
    with pytest.raises(ValueError, match="not an older state"):
        find_consistency(4, 3)
    with pytest.raises(ValueError, match="fewer lines"):
        hash_ranges(LINES[:3], find_inclusion(0, 5))


def test_go_has_the_same_roots_and_proofs(go_tlog: Path) -> None:
    """Of Go's tree the empty one has another root, so there is a line at least."""
    size = len(LINES)
    paths = [hash_ranges(LINES, find_inclusion(index, size)) for index in range(size)]
    older = [hash_ranges(LINES, find_consistency(old, size)) for old in range(1, size + 1)]
    roots = ask(go_tlog, *({"Kind": "root", "Lines": LINES[:size]} for size in SIZES[1:]))
    assert roots == [base64.b64encode(root).decode() for root in ROOTS[1:]]
    made = ask(
        go_tlog,
        *({"Kind": "prove record", "Lines": LINES, "Number": index} for index in range(size)),
        *({"Kind": "prove tree", "Lines": LINES, "OldSize": old} for old in range(1, size + 1)),
    )
    assert made == [
        "".join(base64.b64encode(one).decode() + "\n" for one in path) for path in (*paths, *older)
    ]


def test_go_refuses_a_bit_more_or_less_too(go_tlog: Path) -> None:
    size, index, old = 21, 13, 11
    path = hash_ranges(LINES[:size], find_inclusion(index, size))
    record: dict[str, object] = {
        "Kind": "check record",
        "Line": LINES[index],
        "Number": index,
        "Size": size,
        "Root": ROOTS[size],
        "Path": path,
    }
    older = hash_ranges(LINES[:size], find_consistency(old, size))
    tree: dict[str, object] = {
        "Kind": "check tree",
        "Size": size,
        "Root": ROOTS[size],
        "OldSize": old,
        "OldRoot": ROOTS[old],
        "Path": older,
    }
    sound = ask(go_tlog, record, tree)
    assert sound == ["", ""]
    bad_records: list[dict[str, object]] = [
        {"Line": flip(LINES[index])},
        {"Root": flip(ROOTS[size])},
        {"Number": index + 1},
        {"Size": size - 8},
        {"Path": [flip(path[0]), *path[1:]]},
        {"Path": path[:-1]},
    ]
    bad_trees: list[dict[str, object]] = [
        {"OldRoot": flip(ROOTS[old])},
        {"Root": flip(ROOTS[size])},
        {"OldSize": old + 1},
        {"Size": size + 16},
        {"Path": [flip(older[0]), *older[1:]]},
        {"Path": older[:-1]},
    ]
    refused = ask(
        go_tlog, *({**record, **bad} for bad in bad_records), *({**tree, **bad} for bad in bad_trees)
    )
    assert all(said.startswith(REFUSED) for said in refused), refused
