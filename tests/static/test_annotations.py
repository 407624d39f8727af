"""Annotations of a GitHub workflow, read as its runner reads them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.static.kit import HINT, scan, token, write

COMMAND = re.compile(r"::(\w+) ([^:]*)::(.*)")
"""As the runner's ActionCommand.TryParseV2."""


def read(text: str) -> list[tuple[str, dict[str, str], str]]:
    """The commands in a log, unescaped."""
    found = []
    for line in text.splitlines():
        match = COMMAND.fullmatch(line.lstrip())
        if match:
            properties = dict(part.split("=", 1) for part in match[2].split(",") if part)
            found.append(
                (match[1], {key: unescape(value) for key, value in properties.items()}, unescape(match[3]))
            )
    return found


def unescape(text: str) -> str:
    for spelt, meant in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(spelt, meant)
    return text


def test_each_stands_beside_its_line(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"a,b:c%.txt": f"x\n  {token(1)}\n", "d.txt": f"{token(2, HINT)}\nBEGIN MADE UP\n END MADE UP"},
    )
    ran = scan(tmp_path, "--github", "--quiet")
    commands = read(ran.out)
    assert [
        (kind, told["file"], told["line"], told.get("col"), told.get("endColumn"))
        for kind, told, _ in commands
    ] == [
        ("error", "a,b:c%.txt", "2", "3", "30"),
        ("error", "d.txt", "2", None, None),
        ("warning", "d.txt", "1", "1", "30"),
    ]
    assert commands[0][2] == f"A made-up token (made-up): {token(1)[:3]}********"
    assert commands[0][1]["title"] == "trio-egress scan: made-up"


def test_in_a_workflow_they_come_by_themselves_and_a_document_stays_one(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": token(1)})
    inside = {"GITHUB_ACTIONS": "true"}
    assert read(scan(tmp_path).out) == []
    assert len(read(scan(tmp_path, environment=inside).out)) == 1
    ran = scan(tmp_path, "--json", environment=inside)
    assert ran.places
    assert "::error" not in ran.err
    ran = scan(tmp_path, "--json", "--github")
    assert ran.places
    assert len(read(ran.err)) == 1


def test_of_a_kind_ten_are_shown_and_the_rest_is_counted(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "\n".join(token(number) for number in range(10))})
    assert [kind for kind, *_ in read(scan(tmp_path, "--github").out)] == ["error"] * 10
    write(tmp_path, {"b.txt": token(11)})
    commands = read(scan(tmp_path, "--github").out)
    assert [kind for kind, *_ in commands] == ["error"] * 10 + ["notice"]
    assert "11 findings that block" in commands[-1][2]


def test_no_file_can_speak_to_the_runner(tmp_path: Path) -> None:
    """Neither by its name nor by its text: all that is a command is ours."""
    lure = "::add-mask::x"
    write(
        tmp_path,
        {
            f"{lure}\n{lure}\r::stop-commands::x": f"{lure}\n{token(1)} {lure}\n{lure}",
            "##[add-mask]x": f"##[add-mask]x {token(2)} ##[error]x",
        },
    )
    ran = scan(tmp_path, "--github")
    assert [kind for kind, *_ in read(ran.out)] == ["error", "error"]
    plain = [line for line in ran.out.splitlines() if not COMMAND.fullmatch(line)]
    assert len(plain) == 7
    assert not [line for line in plain if "::" in line or "##[" in line]
    assert not [text for *_, text in read(ran.out) if "\n" in text]
