"""The pages in a packet, as a run seals them, and of a packet afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from tests.evidence.specimens import KEY, write_evidence
from tests.evidence.test_packet import FACTS
from tests.pages.specimens import LOADED, POLICY, write_usual

from trio_egress.evidence.packet import write_packet
from trio_egress.evidence.report import Verdict
from trio_egress.evidence.verify import verify
from trio_egress.pages.write import render_pages
from trio_egress.policy.compiled import policy_hash, render_compiled


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    directory = tmp_path / "packet"
    directory.mkdir()
    write_evidence(directory, write_usual())
    policies = {policy_hash(LOADED): LOADED}

    def pages(*given: object) -> dict[str, bytes]:
        return render_pages(policies, *given, claimed=True)  # type: ignore[arg-type]

    facts = attrs.evolve(FACTS, policy_text=POLICY, policy_compiled=render_compiled(LOADED), pages=pages)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        assert write_packet(descriptor, facts, KEY) is Verdict.VALID
    finally:
        os.close(descriptor)
    return directory


def run(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "trio_egress", "packet", "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


def test_a_packet_has_its_pages_and_stays_valid(packet: Path) -> None:
    assert verify(packet, [KEY.public_hex]).verdict is Verdict.VALID
    page = (packet / "report.html").read_text()
    assert "the run’s own word" in page
    assert "signed by the key that the operator gave" in page
    assert 'destination = "evil.example"' in page.replace("&quot;", '"')
    assert (packet / "summary.md").read_text().startswith("# trio-egress: The agent reached 2 hosts")


def test_a_page_afterwards_has_the_verdict_of_the_verifier(packet: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ran = run(packet, "--output", page, "--public-key", KEY.public_hex)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    assert "the run’s own word" not in page.read_text()
    assert "Valid" in page.read_text()
    assert run(packet, "--public-key", KEY.public_hex).stdout == page.read_bytes()


def test_without_a_key_it_is_not_valid_whatever_the_packet_says_of_itself(packet: Path) -> None:
    ran = run(packet, "--markdown")
    assert ran.returncode == 3
    assert b"**Self-consistent.**" in ran.stdout
    assert b"Valid" in (packet / "report.html").read_bytes()


def test_a_packet_that_was_tampered_with_has_a_page_that_says_so(packet: Path) -> None:
    evidence = packet / "evidence.jsonl"
    evidence.write_bytes(evidence.read_bytes().replace(b'"bytes_up":738', b'"bytes_up":739', 1))
    ran = run(packet, "--public-key", KEY.public_hex)
    assert ran.returncode == 1
    assert "This record can’t be relied on" in ran.stdout.decode()
    assert b"ext.hash" in ran.stdout


def test_a_bare_evidence_file_has_a_page_too(packet: Path) -> None:
    ran = run(packet / "evidence.jsonl", "--public-key", KEY.public_hex)
    assert ran.returncode == 0
    assert b"The agent reached 2 hosts" in ran.stdout


def test_the_page_of_a_zip_is_that_of_its_directory(packet: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packet.zip"
    command = [sys.executable, "-m", "trio_egress", "packet", "pack", str(packet), "--output", str(packed)]
    subprocess.run(command, capture_output=True, check=True, timeout=60)
    pages = [run(path, "--public-key", KEY.public_hex) for path in (packet, packed)]
    assert [page.returncode for page in pages] == [0, 0]
    assert pages[0].stdout == pages[1].stdout


def test_an_array_of_receipts_has_the_page_of_its_lines(packet: Path, tmp_path: Path) -> None:
    lines = (packet / "evidence.jsonl").read_bytes().splitlines()
    array = tmp_path / "receipts.json"
    array.write_bytes(b"[" + b", ".join(lines) + b"]")
    pages = [run(path, "--public-key", KEY.public_hex) for path in (packet / "evidence.jsonl", array)]
    assert pages[0].stdout == pages[1].stdout
    assert b"The agent reached 2 hosts" in pages[0].stdout


def test_what_was_expected_and_is_not_so_is_on_the_page(packet: Path) -> None:
    ran = run(packet, "--public-key", KEY.public_hex, "--expect-run", "another")
    assert ran.returncode == 1
    assert b"expect.run" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["PACKET", "--output", "PACKET/x.html"], 2, b"would be in the packet itself"),
        (["PACKET", "--output", "PACKET/../there"], 2, b"is already there"),
        (["PACKET", "--output", "PACKET/../no/where"], 2, b"cannot write"),
        (["PACKET/nothing"], 2, b"cannot open"),
        (["PACKET", "--public-key", ""], 64, b"key"),
        (["PACKET", "--expect-head", "x"], 64, b"head"),
        (["PACKET", "--public-key", "PACKET/nothing"], 2, b"nothing"),
    ],
)
def test_what_cannot_be_is_told(packet: Path, arguments: list[str], code: int, said: bytes) -> None:
    (packet.parent / "there").write_text("")
    before = sorted(os.listdir(packet))
    ran = run(*(argument.replace("PACKET", str(packet)) for argument in arguments))
    assert (ran.returncode, ran.stdout) == (code, b"")
    assert said in ran.stderr
    assert b"Traceback" not in ran.stderr
    assert sorted(os.listdir(packet)) == before
