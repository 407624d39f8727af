"""Comments that allow a finding in their line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.static.kit import scan, token, write


@pytest.mark.parametrize(
    ("comment", "reason"),
    [
        ("# trio-egress:allow made-up only a sample", "only a sample"),
        ("<!-- trio-egress:allow made-up only a sample -->", "only a sample"),
        ("/* trio-egress:allow\tmade-up\tonly a sample */", "only a sample"),
        (f"# trio-egress:allow made-up it is {token(1)}", "it is ********"),
        ("// gitleaks:allow", None),
    ],
)
def test_a_finding_in_its_line_is_allowed_with_its_reason(
    tmp_path: Path, comment: str, reason: str | None
) -> None:
    write(tmp_path, {"a.txt": f"x = '{token(1)}'  {comment}\ny = '{token(2)}'\n"})
    ran = scan(tmp_path, "--json")
    assert [(place[1], place[3]) for place in ran.places] == [(2, "made-up")]
    states = {(f["line"], f["state"], f.get("reason")) for f in ran.document["findings"]}
    assert states == {(1, "comment", reason), (2, "new", None)}
    assert ran.code == 1
    assert {place[1] for place in scan(tmp_path, "--json", "--no-allow-comments").places} == {1, 2}


@pytest.mark.parametrize(
    "comment",
    [
        "# trio-egress:allow",
        "# trio-egress:allow made-up",
        "<!-- trio-egress:allow made-up -->",
        "# trio-egress:allow faint another detector",
        "# trio-egress:allow * all of them",
        "\n# trio-egress:allow made-up in the next line",
    ],
)
def test_what_names_no_detector_reason_or_line_allows_nothing(tmp_path: Path, comment: str) -> None:
    write(tmp_path, {"a.txt": f"x = '{token(1)}'  {comment}\n"})
    assert [place[1] for place in scan(tmp_path, "--json").places] == [1]


def test_of_lines_together_any_may_have_it(tmp_path: Path) -> None:
    text = "BEGIN MADE UP\nbody  # trio-egress:allow block-of-lines a sample\nEND MADE UP\n"
    write(tmp_path, {"a.txt": text, "b.txt": text.replace("# trio", "# nothing")})
    assert [place[0] for place in scan(tmp_path, "--json").places] == ["b.txt"]
