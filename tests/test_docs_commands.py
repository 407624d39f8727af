"""The pages with commands are true: what stands there is run, and says what stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest
from tests.evidence.specimens import Scribe
from tests.views.pictures import RULED, write_lines, write_whole_packet

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DAY_NS = 86_400 * 10**9
SRT = '{"network": {"allowedDomains": ["api.example.com"]}}'


def read_page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def write_policies(place: Path) -> None:
    """The policy of the page, and a changed one."""
    policy = re.findall(
        r"^```toml\n(.*?)^```$", read_page("working-with-policies.md"), re.DOTALL | re.MULTILINE
    )[0]
    changed = policy.replace('["GET", "HEAD"]', '["GET", "HEAD", "POST"]').replace(
        '[[egress]]\nname = "api"\ndestination = "api.example.com"\n', ""
    )
    (place / "agent.toml").write_text(policy)
    (place / "changed.toml").write_text(changed)
    (place / "srt-settings.json").write_text(SRT)


def write_packets(place: Path) -> None:
    """Two runs, a day apart."""
    write_whole_packet(place / "audit" / "monday", write_lines())
    scribe = Scribe(attrs.evolve(RULED, run_id="run-2"))
    scribe.now_ns += DAY_NS
    scribe.open().allow(up=100, down=2400).allow("docs.example.com").block()
    for method in ("POST", "PUT"):
        scribe.block(target="http://api.example.com:80/v1", method=method)
    write_whole_packet(place / "audit" / "tuesday", scribe.close().lines)


PAGES: Mapping[str, Callable[[Path], None]] = {
    "working-with-policies.md": write_policies,
    "packets.md": write_packets,
}
"""Each page, and what its commands find where they are run."""


def find_commands() -> Iterator[tuple[str, str, str]]:
    """Each command of each page, with what it is said to print."""
    for page in PAGES:
        for block in BLOCK.findall(read_page(page)):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                yield page, command, printed


COMMANDS = list(find_commands())


def test_there_are_commands_to_run() -> None:
    assert {page: len([one for one in COMMANDS if one[0] == page]) >= 4 for page in PAGES} == dict.fromkeys(
        PAGES, True
    )


@pytest.mark.parametrize(
    ("page", "command", "printed"), COMMANDS, ids=[command for _, command, _ in COMMANDS]
)
def test_a_command_prints_what_the_page_says(tmp_path: Path, page: str, command: str, printed: str) -> None:
    PAGES[page](tmp_path)
    program, *arguments = shlex.split(command)
    assert program == "trio-egress"
    ran = subprocess.run(
        [sys.executable, "-m", "trio_egress", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shorten(ran.stdout) == printed
    assert ran.returncode in (0, 1)


def shorten(text: str) -> str:
    """A hash is an ellipsis on the page."""
    return re.sub(r"\b[0-9a-f]{64}\b", "…", text)
