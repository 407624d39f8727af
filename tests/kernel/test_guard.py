"""Which files patterns find, and what is told of those that changed."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.kernel import guard
from trio_egress.kernel.guard import Search, State, Watch, bind_patterns, compile_patterns


def make(root: Path, *names: str) -> None:
    """Files, or directories where the name ends in `/`."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(name)


def find(root: Path, *patterns: str) -> set[str]:
    return {os.path.relpath(match.path, root) for match in Search(patterns).find(str(root))}


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["a"], {"a"}),
        (["sub/a"], {"sub/a"}),
        (["sub"], {"sub"}),
        (["**/a"], {"a", "sub/a", "sub/deep/a", ".hidden/a"}),
        (["sub/**/a"], {"sub/a", "sub/deep/a"}),
        (["**/deep/**/a"], {"sub/deep/a"}),
        (["*/a"], {"sub/a", ".hidden/a"}),
        (["*.mk"], {"x.mk"}),
        (["**/?.mk"], {"x.mk", "sub/y.mk"}),
        (["?.mk", "sub/*"], {"x.mk", "sub/a", "sub/y.mk", "sub/deep"}),
        (["b", "sub/missing", "missing/a", "a/b", "A", "[ab]"], set()),
        (["**/sub", "**/a"], {"sub", "a", ".hidden/a"}),
    ],
)
def test_patterns_find_what_they_say(tmp_path: Path, patterns: list[str], found: set[str]) -> None:
    make(tmp_path, "a", "x.mk", "xmk", "sub/a", "sub/y.mk", "sub/deep/a", "sub/deep/b", ".hidden/a")
    assert find(tmp_path, *patterns) == found


def test_no_pattern_takes_longer_than_names_are_long(tmp_path: Path) -> None:
    """One that a regular expression tried in all ways would not be over in this century."""
    make(tmp_path, "a" * 250, "a" * 200 + "b")
    assert find(tmp_path, "*a" * 40 + "*b") == {"a" * 200 + "b"}
    assert find(tmp_path, "*a?" * 40 + "*[b]", "[a]*") == set()


def test_links_are_found_and_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "real/a")
    (tmp_path / "link").symlink_to("real")
    assert find(tmp_path, "**/a") == {"real/a"}
    (match,) = Search(["link"]).find(str(tmp_path))
    assert (match.link, match.directory) == (True, False)


def test_a_git_directory_does_not_cover_what_is_in_it(tmp_path: Path) -> None:
    make(tmp_path, ".git/config", "sub/.git")
    assert find(tmp_path, "**/.git", "**/.git/config") == {".git", ".git/config", "sub/.git"}
    whole = {os.path.relpath(m.path, tmp_path): m.whole for m in Search(["**/.git"]).find(str(tmp_path))}
    assert whole == {".git": False, "sub/.git": True}


def test_a_match_tells_whether_it_is_named_one_by_one(tmp_path: Path) -> None:
    make(tmp_path, "a", "sub/a")
    found = {m.path: m.anchored for m in Search(["**/a", "a"]).find(str(tmp_path))}
    assert found == {f"{tmp_path}/a": True, f"{tmp_path}/sub/a": False}


def test_a_search_ends_at_its_bound_and_says_so(tmp_path: Path) -> None:
    make(tmp_path, "a", "b", "c")
    for most, cut, count in ((3, False, 3), (2, True, 2), (0, True, 0)):
        search = Search(["*"], most)
        assert (len(list(search.find(str(tmp_path)))), search.cut) == (count, cut)


def test_a_missing_root_is_cut_and_no_error(tmp_path: Path) -> None:
    search = Search(["*"])
    assert (list(search.find(str(tmp_path / "missing"))), search.cut) == ([], True)


def translate(pattern: str) -> re.Pattern[str]:
    """The definition of a pattern, as a regular expression over a whole path."""
    spelt = re.escape(pattern).replace(r"\*\*/", "(?:[^/]+/)*").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    return re.compile(spelt)


_PARTS = st.lists(st.sampled_from(["a", "b", "*", "?", "a*", "**"]), min_size=1, max_size=4).map("/".join)
_PATTERNS = _PARTS.filter(lambda pattern: not pattern.endswith("**"))
_PATHS = st.lists(st.sampled_from(["a", "b", "ab", "c"]), min_size=1, max_size=4)


@settings(database=None)  # the tests may run as a user who cannot write here
@given(st.lists(_PATTERNS, min_size=1, max_size=3), _PATHS)
def test_the_search_agrees_with_the_definition(patterns: list[str], path: list[str]) -> None:
    state: State | None = State([compile_patterns(patterns)])
    for name in path:
        state = state.follow(name) if state is not None else None
    assert (state is not None and state.ends) == any(
        translate(pattern).fullmatch("/".join(path)) for pattern in patterns
    )


@contextlib.contextmanager
def watch(root: Path, *patterns: str) -> Iterator[dict[str, Any]]:
    """What is told of the changes that the body makes, filled in when it ends."""
    told: dict[str, Any] = {}
    here = os.getcwd()
    watched = Watch([(str(root), list(patterns))])
    try:
        before = watched.take_snapshot()
        yield told
        told |= guard.compare(before, watched.take_snapshot())
    finally:
        os.chdir(here)
        for descriptor, _, _ in watched.roots:
            os.close(descriptor)


def names(root: Path, paths: Sequence[str]) -> list[str]:
    return [os.path.relpath(path, root) for path in paths]


def test_what_was_changed_created_and_removed_is_told_apart(tmp_path: Path) -> None:
    make(tmp_path, "same", "changed", "removed", "sub/in", "other")
    with watch(tmp_path, "same", "changed", "removed", "created", "sub") as told:
        (tmp_path / "changed").write_text("x")
        (tmp_path / "removed").unlink()
        make(tmp_path, "created", "sub/new", "another")
        (tmp_path / "other").write_text("x")
    assert names(tmp_path, told["changed"]) == ["changed"]
    assert names(tmp_path, told["created"]) == ["created", "sub/new"]
    assert names(tmp_path, told["removed"]) == ["removed"]
    assert (told["changed_count"], told["created_count"], told["removed_count"]) == (1, 2, 1)
    assert told["searched"] == "all"


def test_a_change_is_seen_whose_size_and_time_are_as_before(tmp_path: Path) -> None:
    make(tmp_path, "file")
    before = os.stat(tmp_path / "file")
    with watch(tmp_path, "file") as told:
        (tmp_path / "file").write_text("elif")
        os.utime(tmp_path / "file", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert names(tmp_path, told["changed"]) == ["file"]


def test_a_mode_is_a_change_and_another_file_in_a_git_directory_is_none(tmp_path: Path) -> None:
    make(tmp_path, ".git/index", "hooks/", "hooks/a")
    with watch(tmp_path, "**/.git", "hooks") as told:
        make(tmp_path, ".git/other")
        (tmp_path / ".git").chmod(0o700)
        (tmp_path / "hooks").chmod(0o700)
    assert names(tmp_path, told["changed"]) == ["hooks"]
    assert told["created"] == []


def test_what_is_in_something_told_is_not_told_again(tmp_path: Path) -> None:
    make(tmp_path, "gone/a", "gone/b")
    with watch(tmp_path, "**/.git", "**/.git/config", "gone", "gone/b") as told:
        make(tmp_path, "dep/.git/config")
        for name in ("gone/a", "gone/b"):
            (tmp_path / name).unlink()
        (tmp_path / "gone").rmdir()
    assert names(tmp_path, told["created"]) == ["dep/.git"]
    assert names(tmp_path, told["removed"]) == ["gone"]


def test_names_are_told_up_to_a_bound_and_counted_beyond_it(tmp_path: Path) -> None:
    with watch(tmp_path, "*") as told:
        make(tmp_path, *[f"f{number:03}" for number in range(guard.NAMES_TOLD + 5)])
    assert names(tmp_path, told["created"]) == [f"f{number:03}" for number in range(guard.NAMES_TOLD)]
    assert told["created_count"] == guard.NAMES_TOLD + 5


def test_a_directory_is_watched_wherever_it_is_moved(tmp_path: Path) -> None:
    make(tmp_path, "way/root/")
    with watch(tmp_path / "way/root", "a") as told:
        (tmp_path / "way").rename(tmp_path / "aside")
        make(tmp_path, "way/root/b", "aside/root/a")
    assert told["created"] == [f"{tmp_path}/way/root/a"]


@pytest.mark.parametrize(
    ("before", "after", "searched"),
    [(9, 9, "all"), (0, 9, "not all"), (0, 0, "not all"), (9, 0, "less than before")],
)
def test_what_could_not_be_looked_at_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, after: int, searched: str
) -> None:
    make(tmp_path, "a")
    monkeypatch.setattr(Search.__init__, "__defaults__", (before,))
    with watch(tmp_path, "a") as told:
        monkeypatch.setattr(Search.__init__, "__defaults__", (after,))
    assert told["searched"] == searched


def test_a_tree_is_watched_to_its_bottom(tmp_path: Path) -> None:
    make(tmp_path, "hooks/a/b/c")
    with watch(tmp_path, "hooks") as told:
        (tmp_path / "hooks/a/b/c").write_text("x")
    assert names(tmp_path, told["changed"]) == ["hooks/a/b/c"]


def test_a_directory_that_cannot_be_entered_is_told(tmp_path: Path) -> None:
    make(tmp_path, "file")
    with watch(tmp_path, "*") as told:
        roots = [(os.open(tmp_path / "file", os.O_PATH), str(tmp_path), ["*"])]
        watched = Watch([])
        watched.roots = roots
        assert watched.take_snapshot() == {guard.UNSEARCHED: []}
        os.close(roots[0][0])
    assert told["searched"] == "all"


def test_a_file_that_goes_while_it_is_looked_at_leaves_the_search_incomplete() -> None:
    snapshot: guard.Snapshot = {}
    guard.note(snapshot, "/missing/file")
    assert snapshot == {guard.UNSEARCHED: []}


@pytest.mark.parametrize(
    ("pattern", "bound"),
    [
        ("a/b", {"ROOT": "a/b", "ROOT/in": "a/b"}),
        ("ROOT/a", {"ROOT": "a"}),
        ("ROOT/x/*.mk", {"ROOT": "x/*.mk"}),
        ("ROOT/in/a", {"ROOT": "in/a", "ROOT/in": "a"}),
        ("ROOT/**/a", {"ROOT": "**/a", "ROOT/in": "**/a"}),
        ("/**/a", {"ROOT": "**/a", "ROOT/in": "**/a"}),
        ("ROOT-beside/a", {}),
        ("/etc/passwd", {}),
        ("/*/a", {}),
        ("LINK/a", {"ROOT": "a"}),
    ],
)
def test_a_pattern_is_bound_to_the_roots_that_it_leads_into(
    tmp_path: Path, pattern: str, bound: dict[str, str]
) -> None:
    root = tmp_path / "root"
    make(root, "in/")
    (tmp_path / "link").symlink_to("root")
    roots = [str(root), str(root / "in")]
    written = pattern.replace("ROOT", str(root)).replace("LINK", str(tmp_path / "link"))
    found = bind_patterns(written, roots)
    assert found == {name.replace("ROOT", str(root)): rest for name, rest in bound.items()}
