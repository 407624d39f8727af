"""CHANGELOG.md from fragments: each entry of `changes/` under its kind, and all that is unreleased under a version.

    python changes/collect.py VERSION DATE

A fragment is `changes/SUBJECT.KIND.md`, with one entry in Markdown. It is taken away when it stands in the changelog.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")
"""Of Keep a Changelog, in its order."""

UNRELEASED = "## [Unreleased]\n"


def main(version: str, date: str) -> int:
    changelog, paths = ROOT / "CHANGELOG.md", find_fragments(ROOT / "changes")
    fragments = {path.name: path.read_text("utf-8") for path in paths}
    changelog.write_text(collect(changelog.read_text("utf-8"), fragments, version, date), "utf-8")
    for path in paths:
        path.unlink()
    return 0


def find_fragments(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.md") if path.name != "README.md")


def collect(changelog: str, fragments: Mapping[str, str], version: str, date: str) -> str:
    """The changelog with what is new as `version`, and an empty section for what comes after it.

    Raises ValueError for a fragment of no kind, an empty one, and a changelog without UNRELEASED.
    """
    head, found, rest = changelog.partition(UNRELEASED)
    if not found:
        raise ValueError(f"CHANGELOG.md has no line {UNRELEASED!r}")
    body, following, older = rest.partition("\n## [")
    sections = read_sections(body)
    for name, text in fragments.items():
        kind = name.split(".")[-2] if name.count(".") > 1 else ""
        if kind not in KINDS or not text.strip():
            raise ValueError(
                f"changes/{name}: SUBJECT.KIND.md with one entry, KIND one of {', '.join(KINDS)}"
            )
        sections.setdefault(kind, []).append("- " + text.strip().replace("\n", "\n  "))
    shown = "".join(
        f"\n### {kind.capitalize()}\n\n" + "\n".join(sections[kind]) + "\n"
        for kind in KINDS
        if kind in sections
    )
    return f"{head}{UNRELEASED}\n## [{version}] - {date}\n{shown}{following}{older}"


def read_sections(body: str) -> dict[str, list[str]]:
    """What stands there already, by kind."""
    parts = re.split(r"^### (\w+)\n", body, flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {kind.lower(): [text.strip()] for kind, text in pairs}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
