"""docs/receipts.md, "Without any code of ours": its commands check a packet, and find what was changed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, STRANGER, seal_again
from tests.evidence.test_packet import make_packet

TEXT = (Path(__file__).parents[2] / "docs" / "receipts.md").read_text("utf-8")
SECTION = TEXT.partition("### Without any code of ours\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```console\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    directory = tmp_path / "packet"
    directory.mkdir()
    make_packet(directory)
    (tmp_path / "key.txt").write_text(f"{KEY.public_hex}\n")
    return directory


def run_page(packet: Path) -> subprocess.CompletedProcess[str]:
    """All commands of the page, up to the first that fails."""
    commands = [line[2:] for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")]
    script = "set -euo pipefail\n" + "\n".join(commands)
    return subprocess.run(
        ["bash", "-c", script], cwd=packet, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_page_has_commands() -> None:
    assert len(BLOCKS) == 2


def test_an_honest_packet_passes_and_prints_what_the_page_says(packet: Path) -> None:
    ran = run_page(packet)
    assert (ran.returncode, ran.stderr) == (0, "")
    printed = [line for block in BLOCKS for line in block.splitlines() if not line.startswith("$ ")]
    assert re.sub("SHA256:.*", "SHA256:…", ran.stdout).splitlines() == printed


@pytest.mark.parametrize(
    "name", ["verifier.txt", "evidence.jsonl", "packet.json", "manifest.json", "manifest.json.sig"]
)
def test_a_changed_file_fails(name: str, packet: Path) -> None:
    raw = (packet / name).read_bytes()
    (packet / name).write_bytes(raw[:150] + bytes([raw[150] ^ 1]) + raw[151:])
    assert run_page(packet).returncode != 0


def test_an_extra_a_missing_file_and_another_key_fail(packet: Path) -> None:
    (packet / "extra.txt").write_text("")
    assert run_page(packet).returncode != 0
    (packet / "extra.txt").unlink()
    (packet / "verifier.txt").rename(packet.parent / "verifier.txt")
    assert run_page(packet).returncode != 0
    (packet.parent / "verifier.txt").rename(packet / "verifier.txt")
    assert run_page(packet).returncode == 0
    seal_again(packet, STRANGER)
    assert run_page(packet).returncode != 0
