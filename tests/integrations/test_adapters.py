"""Every adapter is small, an extra, told in the docs, with an example; none of them loads another's framework.

tests/frameworks runs them against the real packages: `nox -s integrations`.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import tomli

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "src" / "trio_egress" / "integrations"
ADAPTERS = {
    "autogen": {"autogen_core", "pydantic"},
    "claude_agent_sdk": set(),
    "deepagents": {"deepagents"},
    "inspect_ai": {"inspect_ai", "pydantic", "sniffio"},
    "mcp": {"mcp"},
    "openai_agents": {"agents"},
    "pydantic_ai": {"pydantic_ai"},
    "smolagents": {"smolagents"},
}
"""Each with what it imports beside this package and the standard library."""

SECOND = {"pydantic_ai_workspace": {"pydantic_ai"}}
"""Of a framework that has another way in, too."""

SHARED = {"commands": {"attrs"}, "python_worker": set[str](), "worker": set[str]()}
LINES = 99


def read_imports(name: str) -> set[str]:
    tree = ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {name.partition(".")[0] for name in found}


def test_every_file_is_one_of_these() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert files == ADAPTERS.keys() | SECOND.keys() | SHARED.keys()


@pytest.mark.parametrize("name", [*ADAPTERS, *SECOND])
def test_an_adapter_is_small(name: str) -> None:
    assert len((FOLDER / f"{name}.py").read_text("utf-8").splitlines()) <= LINES


@pytest.mark.parametrize(("name", "libraries"), [*ADAPTERS.items(), *SECOND.items(), *SHARED.items()])
def test_it_imports_its_own_framework_alone(name: str, libraries: set[str]) -> None:
    foreign = read_imports(name) - sys.stdlib_module_names - {"trio_egress"}
    assert foreign == libraries


def test_the_package_of_them_imports_nothing() -> None:
    assert read_imports("__init__") == set()


def test_each_is_an_extra_is_told_in_the_docs_and_has_an_example() -> None:
    extras = tomli.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    page = (ROOT / "docs" / "integrations.md").read_text("utf-8")
    told = dict(
        re.findall(
            r"^\| \[\S+\]\(#\S+\) \| `(\S+)` \| `trio_egress\.integrations\.(\w+)` \|", page, re.MULTILINE
        )
    )
    assert set(told.values()) == ADAPTERS.keys()
    assert told.keys() <= extras.keys()
    for name in ADAPTERS:
        assert (ROOT / "examples" / "frameworks" / f"with_{name}.py").is_file()
        assert f"examples/frameworks/with_{name}.py" in page
