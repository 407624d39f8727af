"""The changes that `mutants.py` makes, one at a time: a comparison, an operator, a constant, a condition, a statement.

Not made are those that change nothing that is asked for: in annotations, docstrings, `if TYPE_CHECKING`, decorators,
the names of type variables, what attrs is told of `__init__` and `repr`, in `assert_never` (mypy proves it
unreachable), and None for a returned False (mypy forbids it, no condition sees it). The texts of messages are
behaviour, and are changed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Final, NamedTuple

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.Pow: ast.Mult,
}
_UNASKED: Final = frozenset({"repr", "kw_only", "init"})


class Mutant(NamedTuple):
    """The `number`th change that can be made to a file, and how its line reads then.

    `statement`: where the statement begins that the line is part of; a constant of several lines runs there.
    """

    path: Path
    number: int
    statement: int
    line: int
    was: str
    becomes: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}: {self.was}  →  {self.becomes}"


class Changer(ast.NodeTransformer):
    """Walks a module and makes its `number`th change; with None it makes none, and lists all that it could."""

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.count = 0
        self.listed: list[tuple[int, str, str]] = []

    def offer(self, node: ast.expr | ast.stmt, *replacements: ast.AST) -> ast.AST:
        for replacement in replacements:
            self.count += 1
            if self.number is None:
                self.listed.append((node.lineno, _shorten(node), _shorten(replacement)))
            elif self.count - 1 == self.number:
                return ast.copy_location(replacement, node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        others = []
        for place, operator in enumerate(node.ops):
            ops = [*node.ops]
            ops[place] = _COMPARISONS[type(operator)]()
            others.append(ast.Compare(node.left, ops, node.comparators))
        return self.offer(node, *others)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        return self.offer(
            node, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        )

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return self.offer(node, node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        operator = _OPERATORS.get(type(node.op))
        return node if operator is None else self.offer(node, ast.BinOp(node.left, operator(), node.right))

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return self.offer(node, ast.IfExp(node.test, node.orelse, node.body))

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node
        self.generic_visit(node)
        node.test = self.negate(node.test)
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        node.test = self.negate(node.test)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.ifs = [self.negate(test) for test in node.ifs]
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        self.generic_visit(node)
        if node.guard is not None:
            node.guard = self.negate(node.guard)
        return node

    def negate(self, test: ast.expr) -> ast.expr:
        """A comparison alone has its own opposite already."""
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) not in (ast.Lt, ast.Gt):
            return test
        changed = self.offer(test, ast.UnaryOp(ast.Not(), test))
        assert isinstance(changed, ast.expr)
        return changed

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        match node.value:
            case bool():
                return self.offer(node, ast.Constant(not node.value))
            case int():
                return self.offer(node, ast.Constant(node.value + 1))
            case str():
                return self.offer(node, ast.Constant("" if node.value else "XX"))
            case _:
                return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if node.value is None or (isinstance(node.value, ast.Constant) and node.value.value in (None, False)):
            return node
        return self.offer(node, ast.Return(ast.Constant(None)))

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        return self.offer(node, ast.Pass())

    def visit_Break(self, node: ast.Break) -> ast.AST:
        return self.offer(node, ast.Continue())

    def visit_Continue(self, node: ast.Continue) -> ast.AST:
        return self.offer(node, ast.Break())

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if _name(node.func) == "TypeVar":
            return node
        kept = [(place, keyword) for place, keyword in enumerate(node.keywords) if keyword.arg in _UNASKED]
        node.keywords = [keyword for keyword in node.keywords if keyword.arg not in _UNASKED]
        self.generic_visit(node)
        for place, keyword in kept:
            node.keywords.insert(place, keyword)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant):  # a docstring
            return node
        if isinstance(node.value, ast.Call) and _name(node.value.func) == "assert_never":
            return node
        self.generic_visit(node)
        return (
            self.offer(node, ast.Pass())
            if isinstance(node.value, (ast.Call, ast.Yield, ast.YieldFrom))
            else node
        )

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        node.defaults = [self.visit(default) for default in node.defaults]
        node.kw_defaults = [default and self.visit(default) for default in node.kw_defaults]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.args = self.visit(node.args)
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = [self.visit(statement) for statement in node.body]
        return node


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _shorten(node: ast.AST) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text if len(text) <= 90 else text[:89] + "…"


def find_mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file."""
    changer = Changer(None)
    tree = ast.parse(path.read_text("utf-8"))
    starts = _find_statements(tree)
    changer.visit(tree)
    for number, (line, was, becomes) in enumerate(changer.listed):
        yield Mutant(path, number, starts[line], line, was, becomes)


def _find_statements(tree: ast.Module) -> dict[int, int]:
    """Of each line, where the innermost statement begins that it is part of."""
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    statements.sort(key=lambda node: (node.lineno, -(node.end_lineno or 0)))
    return {
        line: node.lineno for node in statements for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }


def compile_mutant(mutant: Mutant) -> CodeType:
    tree = Changer(mutant.number).visit(ast.parse(mutant.path.read_text("utf-8")))
    return compile(ast.fix_missing_locations(tree), str(mutant.path), "exec", dont_inherit=True)
