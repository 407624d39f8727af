"""The changelog from fragments: each under its kind, nothing lost, and none that would be passed over."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("collect", ROOT / "changes/collect.py")
assert SPEC is not None
assert SPEC.loader is not None
COLLECT = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(COLLECT)

BEFORE = """# Changelog

## [Unreleased]

### Added

- Old one.

### Fixed

- Old two.

## [0.0.1] - 2020-01-01

### Added

- All.
"""
AFTER = """# Changelog

## [Unreleased]

## [0.1.0] - 2030-02-03

### Added

- Old one.
- New one,
  on two lines.

### Removed

- Gone.

### Fixed

- Old two.

## [0.0.1] - 2020-01-01

### Added

- All.
"""


def test_each_entry_stands_under_its_kind_and_nothing_else_changes() -> None:
    fragments = {"a-new-one.added.md": "New one,\non two lines.\n", "gone.removed.md": "Gone.\n"}
    assert COLLECT.collect(BEFORE, fragments, "0.1.0", "2030-02-03") == AFTER


@pytest.mark.parametrize("name", ["subject.md", "subject.add.md", "subject"])
def test_a_fragment_of_no_kind_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="KIND one of added"):
        COLLECT.collect(BEFORE, {name: "Text."}, "0.1.0", "2030-02-03")


def test_an_empty_fragment_and_a_changelog_without_its_section_are_refused() -> None:
    with pytest.raises(ValueError, match="with one entry"):
        COLLECT.collect(BEFORE, {"a.added.md": "\n"}, "1", "2030-02-03")
    with pytest.raises(ValueError, match="no line"):
        COLLECT.collect("# Changelog\n", {}, "1", "2030-02-03")


def test_those_that_are_here_fit_the_changelog_that_is_here() -> None:
    fragments = {path.name: path.read_text("utf-8") for path in COLLECT.find_fragments(ROOT / "changes")}
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    made = COLLECT.collect(changelog, fragments, "0.1.0", "2030-02-03")
    assert all(
        line.strip() in made for text in (*fragments.values(), changelog) for line in text.splitlines()
    )
