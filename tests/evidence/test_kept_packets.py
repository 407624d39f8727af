"""docs/verifying.md and docs/operations.md: what stands there to be done with a packet, keys and a kept zip works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY
from tests.views.pictures import write_lines, write_whole_packet

ROOT = Path(__file__).parents[2]


def find_blocks(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text("utf-8")
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A packet, its key beside it, and `trio-egress` in PATH."""
    write_whole_packet(tmp_path / "packet", write_lines())
    (tmp_path / "key.txt").write_text(f"{KEY.public_hex}\n")
    (tmp_path / "trio-egress").write_text(f'#!/bin/sh\nexec {sys.executable} -m trio_egress "$@"\n')
    (tmp_path / "trio-egress").chmod(0o755)
    return tmp_path


def run_block(desk: Path, block: str) -> subprocess.CompletedProcess[str]:
    path = f"{desk}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-ec", block],
        cwd=desk,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("block", find_blocks("verifying.md"))
def test_a_packet_is_verified_by_others_and_by_us(desk: Path, block: str) -> None:
    ran = run_block(desk, block)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    log = desk / "packet/evidence.jsonl"
    log.write_bytes(log.read_bytes().replace(b"api.example.com", b"api.example.org", 1))
    assert run_block(desk, block).returncode == 1


def test_keys_are_rotated_and_packets_kept_as_the_page_says(desk: Path) -> None:
    rotate, keep, recover, _stop = find_blocks("operations.md")
    ran = run_block(desk, f"trio-egress keygen ci.key\n{rotate}{keep}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "ci-2027" in ran.stdout
    assert "VALID: " in ran.stdout
    refused = run_block(desk, recover.replace("DIR", "packet").replace("ci.key", "next.key"))
    assert refused.returncode == 1  # nothing was abandoned here; tests/runs/test_recover.py has one that was


def test_the_table_names_what_the_tests_run() -> None:
    text = (ROOT / "docs/verifying.md").read_text("utf-8")
    for words, test in {
        "OpenSSH, `sha256sum`": "tests/evidence/test_stranger.py",
        "sumdb/note": "tests/evidence/golang.py",
        "@sigstore/verify": "tests/evidence/npm_sigstore.py",
        "`openssl ts`": "tests/evidence/authority.py",
    }.items():
        assert words in text
        assert (ROOT / test).is_file()
