"""A Python that lives inside as long as its agent: it runs each piece of code that comes, and says what came of it.

A program of the standard library alone, whose text is given to `python -c`. It speaks lines of JSON.

Rule 1: what the code prints, itself or by what it starts, is caught as the log, and never stands between the answers.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
import traceback

LOG_BYTES = 1 << 18


def main() -> None:
    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    space: dict[str, object] = {"__name__": "__main__"}
    for line in questions:
        with tempfile.TemporaryFile() as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            told = run(json.loads(line), space)
            sys.stdout.flush()
            sys.stderr.flush()
            log.seek(0)
            told["logs"] = log.read(LOG_BYTES).decode(errors="replace")
        answers.write(json.dumps(told) + "\n")
        answers.flush()


def run(code: str, space: dict[str, object]) -> dict[str, str]:
    """`output`: the value of its last line, where that is an expression; `final`: what it ended the task with."""
    try:
        tree = ast.parse(code)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<code>", "exec"), space)  # noqa: S102 (what it is for)
        if isinstance(last, ast.Expr):
            return {"output": str(eval(compile(ast.Expression(last.value), "<code>", "eval"), space))}  # noqa: S307
    except BaseException as error:
        if type(error).__name__ == "FinalAnswerException":
            return {"final": str(getattr(error, "value", ""))}
        return {"error": traceback.format_exc(limit=-8)}
    return {}


if __name__ == "__main__":
    main()
