"""The shape of src/: no function of 60 lines, no file over 400, every module says what it is in at most 12 lines, and
values are made in one way (`trio_egress.values`)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

FUNCTION_LINES = 59
FILE_LINES = 400
DOCSTRING_LINES = 12
MAKERS = {"frozen", "define", "mutable"}
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def find_faults(path: Path, source: str) -> Iterator[str]:
    tree = ast.parse(source, str(path))
    lines = len(source.splitlines())
    if lines > FILE_LINES:
        yield f"{path}: {lines} lines; split it by subject at {FILE_LINES}"
    for part in (*path.parts[:-1], path.stem):
        if part in EMPTY_NAMES:
            yield f"{path}: {part!r} says nothing about what is in it"
    docstring = ast.get_docstring(tree)
    if docstring is None:
        yield f"{path}: no docstring"
    elif len(docstring.splitlines()) > DOCSTRING_LINES:
        yield f"{path}: docstring of {len(docstring.splitlines())} lines; {DOCSTRING_LINES} are enough"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines; {FUNCTION_LINES} are the most"
        match node:
            case ast.Attribute(value=ast.Name(id="attrs"), attr=name) if (
                name in MAKERS and path.stem != "values"
            ):
                yield f"{path}:{node.lineno}: attrs.{name}: take it from trio_egress.values"


def test_every_module_is_in_shape() -> None:
    paths = sorted(SOURCE.rglob("*.py"))
    assert len(paths) > 40
    relative = [(path.relative_to(SOURCE), path.read_text("utf-8")) for path in paths]
    assert [fault for path, source in relative for fault in find_faults(path, source)] == []


def make_function(lines: int, keyword: str = "def") -> str:
    return f'"""A module."""\n\n\n{keyword} long():\n' + "    pass\n" * (lines - 1)


@pytest.mark.parametrize(
    ("path", "source", "fault"),
    [
        ("wire/x.py", make_function(60), "long has 60 lines"),
        ("wire/x.py", make_function(60, "async def"), "long has 60 lines"),
        ("wire/x.py", '"""A module."""\n' + "x = 1\n" * 400, "401 lines"),
        ("wire/x.py", "x = 1\n", "no docstring"),
        ("wire/x.py", '"""One.\n' + "more\n" * 12 + '"""\n', "docstring of 13 lines"),
        ("wire/utils.py", '"""A module."""\n', "'utils' says nothing"),
        ("helpers/x.py", '"""A module."""\n', "'helpers' says nothing"),
        ("wire/x.py", '"""A module."""\n@attrs.frozen\nclass X: pass\n', "take it from trio_egress.values"),
    ],
)
def test_one_over_each_limit_is_a_fault(path: str, source: str, fault: str) -> None:
    assert any(fault in found for found in find_faults(Path(path), source))


@pytest.mark.parametrize(
    "source",
    [
        make_function(59),
        '"""A module."""\n' + "x = 1\n" * 399,
        '"""One.\n' + "more\n" * 11 + '"""\n',
    ],
)
def test_at_each_limit_there_is_none(source: str) -> None:
    assert list(find_faults(Path("wire/x.py"), source)) == []
