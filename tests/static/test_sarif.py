"""What a scan says as SARIF, checked by the schema of the standard and by Microsoft's validator with GitHub's rules."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from tests.static.kit import HINT, make_repository, scan, token, write
from tests.views.conftest import multitool  # noqa: F401  a fixture
from tests.views.test_sarif import schema, validate  # noqa: F401

from trio_egress.static import sarif

Json = dict[str, Any]


def export(place: Path, *arguments: str) -> Json:
    scan(place, "--sarif", "../out.sarif", *arguments)
    text = (place.parent / "out.sarif").read_text()
    assert text.isascii()
    log: Json = json.loads(text)
    return log


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Something of everything: new, warned of, known, allowed, over lines, in odd names, and unread."""
    tree = make_repository(
        tmp_path / "tree",
        {
            "src/a.py": f"x = '{token(1)}'\nié = '{token(2, HINT)}'\n",
            "b.txt": f"{token(3)}  # trio-egress:allow made-up [a](b) {{0}} sample\n",
            "known.txt": token(4),
            "lines.txt": "é BEGIN MADE UP\nbody\nEND MADE UP\n",
            "odd name ä#?.txt": f"{token(5)}\n{token(5)}\n",
        },
    )
    scan(tree, "known.txt", "--write-baseline", "../known.json")
    return tree


def test_it_is_sarif_and_what_github_takes(
    place: Path,
    multitool: Path,  # noqa: F811
    schema: Draft202012Validator,  # noqa: F811
) -> None:
    log = export(place, "--baseline", "../known.json", ".", "nowhere")
    clean = export(place, "--exclude", "*")
    assert len(log["runs"][0]["results"]) == 7
    assert clean["runs"][0]["results"] == []
    assert [list(schema.iter_errors(each)) for each in (log, clean)] == [[], []]
    logs = place.parent / "logs"
    logs.mkdir()
    said = validate(multitool, logs, {"log": log, "clean": clean})
    # There is no address where the project lives.
    assert set(said["log"]) | set(said["clean"]) <= {"warning SARIF2005"}


def test_each_stands_at_its_place_with_its_level_and_state(place: Path) -> None:
    log = export(place, "--baseline", "../known.json")
    found = []
    for result in log["runs"][0]["results"]:
        (location,) = result["locations"]
        where = location["physicalLocation"]
        region = where["region"]
        kind = [each["kind"] for each in result.get("suppressions", ())]
        assert where["artifactLocation"]["uriBaseId"] == "%SRCROOT%"
        at = (region["startLine"], region["startColumn"], region["endLine"], region["endColumn"])
        found.append((where["artifactLocation"]["uri"], at, result["level"], *kind))
    assert found == [
        ("lines.txt", (1, 3, 3, 12), "error"),
        ("odd%20name%20%C3%A4%23%3F.txt", (1, 1, 1, 28), "error"),
        ("odd%20name%20%C3%A4%23%3F.txt", (2, 1, 2, 28), "error"),
        ("src/a.py", (1, 6, 1, 33), "error"),
        ("src/a.py", (2, 7, 2, 36), "warning"),
        ("b.txt", (1, 1, 1, 28), "error", "inSource"),
        ("known.txt", (1, 1, 1, 28), "error", "external"),
    ]
    (allowed,) = (
        r for r in log["runs"][0]["results"] if r.get("suppressions", [{}])[0].get("kind") == "inSource"
    )
    assert allowed["suppressions"][0]["justification"] == "[a] (b) (0) sample"


def test_a_finding_keeps_its_fingerprint_where_its_line_moves(place: Path) -> None:
    def prints() -> set[tuple[str, str]]:
        results = export(place, "src", "odd name ä#?.txt")["runs"][0]["results"]
        return {(r["ruleId"], r["partialFingerprints"]["primaryLocationLineHash"]) for r in results}

    before = prints()
    assert len(before) == 4
    write(place, {"src/a.py": f"\n\n{(place / 'src/a.py').read_text()}"})
    assert prints() == before


def test_more_than_github_takes_is_counted(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    schema: Draft202012Validator,  # noqa: F811
) -> None:
    monkeypatch.setattr(sarif, "RESULTS", 4)
    log = export(place)
    results = log["runs"][0]["results"]
    assert len(results) == 4
    assert results[-1]["message"]["text"].startswith("4 more findings are left out")
    assert list(schema.iter_errors(log)) == []


def test_what_was_not_looked_through_is_told(place: Path) -> None:
    invocation = export(place, "nowhere")["runs"][0]["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert "nowhere was not looked through" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_outside_of_the_tree_there_is_no_base(place: Path, tmp_path: Path) -> None:
    write(tmp_path, {"else/a.txt": token(1)})
    (result,) = export(place, os.path.join("..", "else"))["runs"][0]["results"]
    where = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert where == {"uri": (tmp_path / "else" / "a.txt").as_uri()}


def test_a_member_of_an_archive_is_told_at_the_archive(
    place: Path,
    schema: Draft202012Validator,  # noqa: F811
) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/a.txt", f"\n{token(6)}")
    write(place, {"odd!name.zip": made.getvalue(), "odd!name.txt": token(7)})
    log = export(place, "--archives", "odd!name.zip", "odd!name.txt")
    assert list(schema.iter_errors(log)) == []
    results = log["runs"][0]["results"]
    where = [result["locations"][0]["physicalLocation"] for result in results]
    assert [each["artifactLocation"]["uri"] for each in where] == ["odd%21name.zip", "odd%21name.txt"]
    assert ["region" in each for each in where] == [False, True]
    assert results[0]["message"]["text"].endswith("in odd!name.zip!in/a.txt, line 2")
    said = scan(place, "--archives", "--github", "--quiet", "odd!name.zip").out
    assert "::error file=odd!name.zip,title=trio-egress scan%3A made-up::" in said


def test_one_that_cannot_be_written_is_told(place: Path) -> None:
    ran = scan(place, "--sarif", "nowhere/out.sarif")
    assert (ran.code, ran.err) == (
        2,
        "trio-egress scan: cannot write nowhere/out.sarif: No such file or directory\n",
    )
