"""Blocks of code in README and docs as they stand there, and programs that stand in for those which they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def read_blocks(page: str, language: str) -> list[str]:
    """All of a page that are in `language`; the empty word stands for those that are in none."""
    text = (ROOT / page).read_text("utf-8")
    return [block for said, block in BLOCK.findall(text) if said == language]


def write_program(folder: Path, name: str, text: str) -> None:
    """A program that others can start, too, once `folder` is in PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
