"""What the action installs is what pyproject.toml asks for, each file by its hash, from nowhere in particular."""

from __future__ import annotations

import re
from pathlib import Path

import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
ENTRY = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; (?P<marker>[^\\\n]+?))? \\\n(?P<hashes>(?:    --hash=.*\n)+)"
)
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?\n")


def read_entries() -> list[re.Match[str]]:
    text = (ROOT / "action" / "requirements.txt").read_text()
    body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    entries = list(ENTRY.finditer(body))
    assert "".join(entry[0] for entry in entries) == body, "a line that is no requirement with hashes"
    return entries


def test_every_file_has_a_hash_and_no_place_is_named() -> None:
    for entry in read_entries():
        assert HASH.sub("", entry["hashes"]) == "", entry["name"]
        assert "://" not in entry[0]


def test_it_has_what_the_project_depends_on_in_versions_that_it_takes() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["ssh"], *extras["yaml"]]
    missing = []
    for python in PYTHONS:
        environment = {"python_version": python, "python_full_version": f"{python}.0"}
        found = {
            canonicalize_name(entry["name"]): Version(entry["version"])
            for entry in read_entries()
            if entry["marker"] is None or Requirement(f"x; {entry['marker']}").marker.evaluate(environment)  # type: ignore[union-attr]
        }
        for text in wanted:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate(environment):
                version = found.get(canonicalize_name(need.name))
                if version is None or version not in need.specifier:
                    missing.append((python, text, version))
    assert missing == [], "make action/requirements.txt again: its head says how"
