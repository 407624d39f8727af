"""Unified diffs of git, of diff and of hand: which lines are added, and what is refused."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest
from tests.static.kit import commit, git, make_repository, scan, token, write

from trio_egress.static import diff
from trio_egress.static.diff import DiffError, Hunk, read_diff


def read(raw: bytes, size: int = 1 << 20) -> list[Hunk]:
    return list(read_diff(raw[at : at + size] for at in range(0, len(raw), size)))


SIMPLE = b"""\
diff --git a/a.txt b/a.txt
index 1..2 100644
--- a/a.txt
+++ b/a.txt
@@ -1,2 +1,3 @@ def context():
 one
-two
+zwei
+drei
@@ -9 +10 @@
-nine
+neun
\\ No newline at end of file
"""


def test_the_text_after_a_hunk_with_its_added_lines() -> None:
    assert read(SIMPLE) == [
        Hunk("a.txt", 1, b"one\nzwei\ndrei\n", frozenset({2, 3})),
        Hunk("a.txt", 10, b"neun\n", frozenset({10})),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_the_pieces_that_it_comes_in_make_no_difference(size: int) -> None:
    assert read(SIMPLE, size) == read(SIMPLE)


def test_every_truncation_is_an_error_or_gives_what_came_before() -> None:
    whole = read(SIMPLE)
    for end in range(len(SIMPLE)):
        came: list[Hunk] = []
        with contextlib.suppress(DiffError):
            came += read_diff([SIMPLE[:end]])
        # A last line that was cut is one that is shorter.
        assert [hunk.added for hunk in came] == [hunk.added for hunk in whole[: len(came)]]
        assert all(whole[at].text.startswith(hunk.text[:-1]) for at, hunk in enumerate(came))


HEAD = b"--- a\n+++ b\n"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"something else\n", "it is no unified diff"),
        (b"@@ -1 +1 @@\n-a\n+b\n", "line 1: a hunk of no file"),
        (HEAD + b"@@ -1 +1,3 @@\n-a\n+b\n", "line 5: the diff ends within a hunk"),
        (
            HEAD + b"@@ -1 +1 @@\n-a\n+b\n+hidden\n",
            "line 6: a line behind the end of its hunk, whose head counts too few",
        ),
        (HEAD + b"@@ -0,0 +0,0 @@\n+hidden\n", "line 4: a line behind the end of its hunk"),
        (HEAD + b"@@ -1 +1 @@\n-a\n+b\n-hidden\n", "line 6: a line behind"),
        (HEAD + b"@@ -1 +1 @@\n-a\n+b\n hidden\n", "line 6: a line behind"),
        (HEAD + b"@@ -1 +1,9 @@\n-a\n+b\ndiff --git a/x b/x\n", "line 6: in a hunk each line begins with"),
        (HEAD + b"@@ -1 +1,3 @@\n-a\n-b\n+c\n", "line 5: the hunk has more lines than its head says"),
        (HEAD + b"@@ what\n", "line 3: expected the head of a hunk"),
        (HEAD + b"@@@ -1 +1 @@@\n", "line 3: the hunk's head has 1 ranges for 2 parents"),
    ],
)
def test_what_is_broken_is_told_with_its_line(raw: bytes, reason: str) -> None:
    with pytest.raises(DiffError) as caught:
        read(raw)
    assert reason in str(caught.value)


def test_nothing_is_a_diff_of_nothing() -> None:
    assert read(b"") == []
    assert read(b"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n") == []


def test_lines_that_look_like_heads_are_lines() -> None:
    raw = HEAD + b"@@ -1,2 +1,3 @@\n--- a/other\n+++ b/other\n+@@ -1 +1 @@\n+diff --git a/x b/x\n-gone\n"
    assert read(raw) == [Hunk("b", 1, b"++ b/other\n@@ -1 +1 @@\ndiff --git a/x b/x\n", frozenset({1, 2, 3}))]


@pytest.mark.parametrize(
    ("head", "name", "path"),
    [
        (b"diff --git a/x b/x\n", b"b/x", "x"),
        (b"diff --git i/x w/x\n", b"w/x", "x"),
        (b"diff --git a/x a/x\n", b"a/x", "a/x"),
        (b"diff --git x x\n", b"x", "x"),
        (b"diff --cc x\n", b"b/x", "x"),
        (b"diff -u a/x b/x\n", b"b/x\t2026-01-01 00:00:00 +0000", "b/x"),
        (b'diff --git "a/\\303\\244\\t\\"x" "b/\\303\\244\\t\\"x"\n', b'"b/\\303\\244\\t\\"x"', 'ä\t"x'),
        (b"diff --git a/a b b/a b\n", b"b/a b\t", "a b"),
        (b"", b"b/x\r", "b/x"),
    ],
)
def test_paths_are_read_as_they_are_meant(head: bytes, name: bytes, path: str) -> None:
    assert [hunk.path for hunk in read(head + b"--- a/x\n+++ " + name + b"\n@@ -0,0 +1 @@\n+a\n")] == [path]


def test_a_hunk_of_more_than_may_be_held_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff, "HUNK_BYTES", 20)
    at_most = HEAD + b"@@ -0,0 +1,4 @@\n" + b"+abcd\n" * 4
    assert len(read(at_most)) == 1
    with pytest.raises(DiffError, match="a hunk of more than 20 bytes"):
        read(HEAD + b"@@ -0,0 +1,5 @@\n" + b"+abcd\n" * 5)
    with pytest.raises(DiffError, match="a line of it has more than 20 bytes"):
        read(HEAD + b"@@ -0,0 +1,5 @@\n+" + b"a" * 20)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Something of everything changed on two branches."""
    place = make_repository(
        tmp_path / "tree", {"a.txt": "one\ntwo\nthree\n", "ä b.txt": "one\n", "c.bin": b"\0\1"}
    )
    git(place, "checkout", "-q", "-b", "other")
    write(place, {"a.txt": f"one\n{token(1)}\nthree\n"})
    commit(place)
    git(place, "checkout", "-q", "main")
    write(
        place,
        {
            "a.txt": f"one\n{token(2)}\nthree\n",
            "ä b.txt": f"one\n{token(3)}",
            "c.bin": b"\0\2",
            "d/e.txt": token(4),
        },
    )
    commit(place)
    with pytest.raises(subprocess.CalledProcessError):
        git(place, "merge", "-q", "other")
    write(place, {"a.txt": f"one\n{token(1)}\n{token(2)}\n{token(5)}\nthree\n"})
    commit(place)
    return place


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["diff", "HEAD~1~1", "HEAD~1"], [("a.txt", 2), ("d/e.txt", 1), ("ä b.txt", 2)]),
        (["diff", "-U0", "--no-prefix", "HEAD~2", "HEAD~1"], [("a.txt", 2), ("d/e.txt", 1), ("ä b.txt", 2)]),
        (
            ["-c", "diff.mnemonicPrefix=true", "diff", "HEAD~1~1", "HEAD~1"],
            [("a.txt", 2), ("d/e.txt", 1), ("ä b.txt", 2)],
        ),
        (["format-patch", "--stdout", "-1", "HEAD~1"], [("a.txt", 2), ("d/e.txt", 1), ("ä b.txt", 2)]),
        (["log", "-p", "-1", "HEAD~1"], [("a.txt", 2), ("d/e.txt", 1), ("ä b.txt", 2)]),
        (["show", "--format=", "HEAD"], [("a.txt", 2), ("a.txt", 3), ("a.txt", 4)]),
        (["show", "--binary", "HEAD~1"], [("a.txt", 2), ("d/e.txt", 1), ("ä b.txt", 2)]),
        (["diff", "HEAD", "HEAD"], []),
    ],
)
def test_what_git_writes_is_read(place: Path, options: list[str], wanted: list[tuple[str, int]]) -> None:
    written = subprocess.run(["git", *options], cwd=place, capture_output=True, check=True).stdout
    ran = scan(place, "--json", "--diff", "-", text=written)
    assert ran.err == ""
    shown = [(path.encode().decode("unicode_escape"), line) for path, line, *_ in ran.places]
    assert shown == wanted


def test_what_diff_writes_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"old/a.txt": "one\n", "new/a.txt": f"one\n{token(1)}", "new/b.txt": f"{token(2)}\n"})
    written = subprocess.run(
        ["diff", "-ruN", "old", "new"], cwd=tmp_path, capture_output=True, check=False
    ).stdout
    assert written
    ran = scan(tmp_path, "--json", "--diff", "-", text=written)
    assert [place[:2] for place in ran.places] == [("new/a.txt", 2), ("new/b.txt", 1)]


def test_a_broken_diff_is_no_clean_bill(tmp_path: Path) -> None:
    ran = scan(tmp_path, "--diff", "-", text=HEAD + b"@@ -0,0 +1 @@\n+a\n+" + token(1).encode())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("trio-egress scan: line 5: a line behind the end of its hunk")
    ran = scan(tmp_path, "--diff", "-", ".")
    assert ran.code == 64
