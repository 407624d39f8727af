"""`trio-egress verify`, as a person or a CI job meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, POLICY_HASH, STRANGER, write_chain
from tests.evidence.test_packet import make_packet

PEM = ["openssl", "pkey", "-pubin", "-inform", "DER", "-out"]
SPKI = bytes.fromhex("302a300506032b6570032100")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A packet, and beside it what a verification job has: chain, policy hash, and the key as openssl writes it."""
    packet = tmp_path / "packet"
    packet.mkdir()
    make_packet(packet)
    receipts = [json.loads(line) for line in write_chain()]
    (tmp_path / "receipts.json").write_text(json.dumps(receipts, indent=2))
    (tmp_path / "policy-hash.txt").write_bytes((packet / "policy-hash.txt").read_bytes())
    der = SPKI + bytes.fromhex(KEY.public_hex)
    subprocess.run([*PEM, str(tmp_path / "pub.pem")], input=der, check=True)
    return tmp_path


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "trio_egress", "verify", *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


CHAIN = ("--receipt-chain", "receipts.json", "--policy-hash", "policy-hash.txt", "--public-key", "pub.pem")


def test_the_command_line_of_the_page_does_what_it_says(place: Path) -> None:
    done = run(place, *CHAIN, "--output", "verification-report.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("VALID: ")
    report = json.loads((place / "verification-report.json").read_text())
    assert (report["verdict"], report["trusted"], report["policy_hash"]) == ("valid", True, POLICY_HASH)


def test_each_part_of_that_command_line_counts(place: Path) -> None:
    (place / "policy-hash.txt").write_text(f"sha256:{'0' * 64}\n")
    done = run(place, *CHAIN, "--output", "report.json")
    assert done.returncode == 1
    report = json.loads((place / "report.json").read_text())
    assert [finding["code"] for finding in report["findings"]] == ["expect.policy"]
    (place / "policy-hash.txt").write_text(f"{POLICY_HASH}\n")
    assert run(place, *CHAIN[:4]).returncode == 3
    (place / "pub.pem").write_text(STRANGER.public_hex)
    assert run(place, *CHAIN).returncode == 1
    (place / "pub.pem").write_text(KEY.public_hex)
    receipts = json.loads((place / "receipts.json").read_text())
    (place / "receipts.json").write_text(json.dumps(receipts[:-1]))
    assert run(place, *CHAIN).returncode == 3
    (place / "receipts.json").write_bytes(b"".join(write_chain()))
    assert run(place, *CHAIN).returncode == 0


def test_json_and_output_are_one_report(place: Path) -> None:
    done = run(place, "packet", "--json", "--output", "report.json")
    assert done.returncode == 3
    assert json.loads(done.stdout) == json.loads((place / "report.json").read_text())


def test_a_report_is_written_over_an_earlier_one_whatever_the_verdict(place: Path) -> None:
    assert run(place, "packet", "--expect-run", "another", "--output", "report.json").returncode == 1
    assert json.loads((place / "report.json").read_text())["verdict"] == "invalid"
    assert run(place, "packet", "--output", "report.json").returncode == 3
    assert json.loads((place / "report.json").read_text())["verdict"] == "self_consistent_only"
    assert run(place, "nothing", "--output", "report.json").returncode == 2
    assert json.loads((place / "report.json").read_text())["verdict"] == "error"


def test_a_report_that_can_not_be_written_is_exit_2(place: Path) -> None:
    done = run(place, *CHAIN, "--output", "none/report.json")
    assert (done.returncode, done.stderr) == (
        2,
        "trio-egress verify: cannot write none/report.json: No such file or directory\n",
    )


@pytest.mark.parametrize(
    "output", ["packet/report.json", "packet/evidence.jsonl", "receipts.json", "pub.pem"]
)
def test_a_report_never_goes_into_the_packet_or_over_what_is_checked(output: str, place: Path) -> None:
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    arguments = ("packet", "--public-key", "pub.pem") if output.startswith("packet") else CHAIN
    done = run(place, *arguments, "--output", output)
    if output == "pub.pem" or not output.startswith("packet"):
        assert "written over what is checked" in done.stderr
    else:
        assert "would be in the packet" in done.stderr
    assert (done.returncode, done.stdout) == (64, "")
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to check"),
        (["packet", "--receipt-chain", "receipts.json"], "a chain of its own"),
        (["--receipt-chain", "packet"], "give it as PACKET"),
        (["--receipt-chain", "receipts.json", "--policy-hash", "none.txt"], "or a file with that"),
        (["--receipt-chain", "receipts.json", "--policy-hash", ""], "or a file with that"),
    ],
)
def test_what_can_not_be_meant_is_a_usage_error(arguments: list[str], said: str, place: Path) -> None:
    done = run(place, *arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert said in done.stderr


@pytest.mark.parametrize("raw", [b"", b"sha256:00\n", POLICY_HASH.encode() * 2, b"\xff"])
def test_a_file_that_holds_no_policy_hash_is_exit_2(raw: bytes, place: Path) -> None:
    (place / "policy-hash.txt").write_bytes(raw)
    done = run(place, *CHAIN)
    assert done.returncode == 2
    assert "policy-hash.txt is no policy hash" in done.stdout


def test_a_packed_packet_is_valid_by_its_zip(place: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "trio_egress", "packet", "pack", "packet", "--output", "p.zip"],
        cwd=place,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0
    done = run(place, "p.zip", "--public-key", "pub.pem", "--output", "report.json")
    assert done.returncode == 0
    raw = (place / "p.zip").read_bytes()
    (place / "p.zip").write_bytes(raw[:-1])
    done = run(place, "p.zip", "--public-key", "pub.pem")
    assert done.returncode == 2
    assert "p.zip: this is no zip that can be read" in done.stdout
    assert run(place, "--receipt-chain", "p.zip").returncode == 64


def test_a_file_that_may_not_be_read_is_exit_2(place: Path) -> None:
    (place / "loop").symlink_to("loop")
    assert run(place, "loop").returncode == 2
    assert run(place, os.devnull).returncode == 2
