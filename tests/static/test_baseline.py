"""What is known and does not count, and what is known and no longer there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.static.kit import scan, token, write


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two findings, and a baseline that knows them."""
    tree = tmp_path / "tree"
    write(tree, {"a.txt": f"x\n{token(1)}\n", "b.txt": token(2, "hint" + "_")})
    ran = scan(tree, "--write-baseline", "known.json")
    assert (ran.code, ran.err) == (0, "known.json: 2 entries\n")
    return tree


def test_what_is_known_does_not_count_wherever_in_its_file_it_stands(place: Path) -> None:
    assert scan(place, "--baseline", "known.json", "--fail-on", "warn").code == 0
    write(place, {"a.txt": f"\n\n\nmoved {token(1)}\n{token(3)}\n"})
    ran = scan(place, "--json", "--baseline", "known.json")
    assert ran.places == [("a.txt", 5, 1, "made-up")]
    assert ran.code == 1
    write(place, {"c.txt": token(1)})
    assert ("c.txt", 1, 1, "made-up") in scan(place, "--json", "--baseline", "known.json").places


def test_it_is_the_same_bytes_again_and_keeps_reasons(place: Path) -> None:
    before = (place / "known.json").read_bytes()
    assert token(1).encode() not in before
    document = json.loads(before)
    assert [entry["detector"] for entry in document["findings"]] == ["made-up", "faint"]
    scan(place, "--write-baseline", "known.json")
    assert (place / "known.json").read_bytes() == before
    document["findings"][0]["reason"] = "a sample"
    (place / "known.json").write_text(json.dumps(document, indent=1) + "\n")
    write(place, {"c.txt": token(4)})
    ran = scan(place, "--json", "--baseline", "known.json", "--write-baseline", "known.json")
    assert [f.get("reason") for f in ran.document["findings"]] == ["a sample", None, None]
    again = json.loads((place / "known.json").read_text())["findings"]
    assert [(entry["path"], entry.get("reason")) for entry in again] == [
        ("a.txt", "a sample"),
        ("b.txt", None),
        ("c.txt", None),
    ]


def test_what_is_no_longer_found_is_told_where_it_was_looked_for(place: Path) -> None:
    write(place, {"a.txt": "gone\n"})
    said = "the baseline knows of made-up in a.txt, where it no longer is"
    assert said in scan(place, "--baseline", "known.json").err
    assert said not in scan(place, "--baseline", "known.json", "b.txt").err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a baseline is JSON"),
        ("[" * 100_000, "a baseline is JSON"),
        ("[]", "no baseline of version 1"),
        ('{"version": 2, "findings": []}', "no baseline of version 1"),
        ('{"version": 1, "findings": {}}', "`findings` is a list"),
        (
            '{"version": 1, "findings": [{"path": "a"}]}',
            "findings[0]: expected an object with path, detector",
        ),
        (
            '{"version": 1, "findings": [{"path": "a", "detector": "b", "fingerprint": "c", "why": ""}]}',
            "findings[0]: unknown key 'why'",
        ),
        (
            '{"version": 1, "findings": [{"path": "a", "detector": "b", "fingerprint": "c", "reason": 1}]}',
            "findings[0]: `reason` is a text",
        ),
    ],
)
def test_what_is_none_is_told(tmp_path: Path, text: str, reason: str) -> None:
    write(tmp_path, {"known.json": text, "a.txt": token(1)})
    ran = scan(tmp_path, "--baseline", "known.json")
    assert (ran.code, ran.out) == (2, "")
    assert reason in ran.err


def test_one_that_cannot_be_written_or_read_is_told_and_none_is_lost(place: Path) -> None:
    assert "cannot read the baseline nowhere.json" in scan(place, "--baseline", "nowhere.json").err
    assert "cannot write nowhere/known.json" in scan(place, "--write-baseline", "nowhere/known.json").err
    assert sorted(path.name for path in place.iterdir()) == ["a.txt", "b.txt", "known.json"]
