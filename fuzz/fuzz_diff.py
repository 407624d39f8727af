"""Any bytes are a diff or a DiffError, in whatever pieces they come; what is written of its hunks reads as the same."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.static.diff import DiffError, Hunk, read_diff


def read(pieces: list[bytes]) -> tuple[list[Hunk], bool]:
    """The hunks, and whether it was read to its end."""
    hunks: list[Hunk] = []
    try:
        hunks.extend(read_diff(pieces))
    except DiffError:
        return hunks, False
    return hunks, True


def write(hunk: Hunk) -> bytes:
    """By another road: a hunk with its added lines and its context, as git would."""
    lines = hunk.text.split(b"\n")[:-1]
    marked = [(b"+" if at in hunk.added else b" ") + line for at, line in enumerate(lines, hunk.first_line)]
    olds = len(lines) - len(hunk.added)
    return b"@@ -1,%d +%d,%d @@\n%b\n" % (olds, hunk.first_line, len(lines), b"\n".join(marked))


def check(raw: bytes) -> None:
    hunks, whole = read([raw])
    assert read([raw[at : at + 7] for at in range(0, len(raw), 7)]) == (hunks, whole)
    for hunk in hunks:
        lines = hunk.text.split(b"\n")[:-1]
        assert hunk.added
        assert hunk.added <= set(range(hunk.first_line, hunk.first_line + len(lines)))
        assert all(lines[number - hunk.first_line] in raw for number in hunk.added)
        again, read_whole = read([b"--- x\n+++ x\n" + write(hunk)])
        assert read_whole
        assert [(each.first_line, each.text, each.added) for each in again] == [
            (hunk.first_line, hunk.text, hunk.added)
        ]


fuzz(check, "diff")
