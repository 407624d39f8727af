"""What never stands in a tracked file: a path or registry of one workplace, a leftover, a test that is always skipped.

The patterns are written so that they don't match themselves.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FORBIDDEN = {
    "a folder outside the repository": r"\.\./[s]hared",
    "a path of one machine": r"/[w]ork/|/[f]arm/|/[r]oot/\.pyenv|/opt/(?:[t]e|[p]ypi|[w]heels|[s]kills)\b",
    "a registry host": (
        r"[p]ypi\.org|[p]ythonhosted\.|[n]pmjs\.|[d]eb\.debian|[d]ebian\.org/debian|[a]rchive\.ubuntu"
        r"|[s]ecurity\.ubuntu|[c]rates\.io|[p]roxy\.golang"
    ),
    "a leftover": r"\bX[X]X\b|\bF[I]XME\b|\bT[O]DO\b",
    "a merge that was not finished": r"(?m:^)(?:<{7}|>{7}) ",
    "a test that is always skipped": r"pytest\.mark\.[s]kip\b|(?m:^)pytest\.[s]kip\(|unittest\.[s]kip\b|@[s]kip\b",
}


def find_faults(name: str, text: str) -> Iterator[str]:
    for what, pattern in FORBIDDEN.items():
        for match in re.finditer(pattern, text):
            yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {what}: {match[0]!r}"


def read_tracked_files() -> Iterator[tuple[str, str]]:
    for name in list_tracked_files():
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            try:
                yield name, path.read_text("utf-8")
            except UnicodeDecodeError:  # bytes: a fuzz corpus, a vector
                yield name, path.read_bytes().decode("latin-1")


def list_tracked_files() -> list[str]:
    """What git tracks, or in a copy without git (an unpacked sdist) every file outside hidden folders."""
    if not (ROOT / ".git").exists():
        paths = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        return [str(p) for p in paths if not any(part.startswith((".", "__")) for part in p.parts[:-1])]
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [name for name in listed.stdout.split("\0") if name]


def test_tracked_files_are_clean() -> None:
    files = list(read_tracked_files())
    assert len(files) > 60
    assert [fault for name, text in files for fault in find_faults(name, text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "see .." + "/shared/DESIGN.md",
        "/wo" + "rk/main/src",
        "/root/" + ".pyenv/versions/3.11",
        "/opt/" + "te/bin/python",
        "pip install -i https://py" + "pi.org/simple",
        "https://files.python" + "hosted.org/x",
        "https://registry.npm" + "js.org",
        "http://de" + "b.debian.org",
        "# TO" + "DO later",
        "# FIX" + "ME",
        "<" * 7 + " HEAD",
        "@pytest.mark.sk" + "ip(reason='x')",
        "import pytest\npytest.sk" + "ip('x', allow_module_level=True)",
    ],
)
def test_a_slip_is_seen(text: str) -> None:
    assert len(list(find_faults("a", f"first\n{text}\n"))) >= 1


def test_a_slip_is_reported_with_its_line() -> None:
    assert list(find_faults("a.py", "1\n2\n# X" + "XX\n")) == ["a.py:3: a leftover: 'XX" + "X'"]


@pytest.mark.parametrize(
    "text", ["mktemp /tmp/XXXX" + "XX", "@pytest.mark.skipif(x)", "a workshop / work / folder"]
)
def test_an_innocent_line_is_not(text: str) -> None:
    assert list(find_faults("a", text)) == []
