"""`trio-egress packet export`, as a person and a CI meet it; the formats have tests of their own."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.cli.inside import Called, call
from tests.evidence.specimens import KEY
from tests.evidence.test_packet import make_packet


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    directory = tmp_path / "packet"
    directory.mkdir()
    make_packet(directory)
    return directory


def export(*arguments: object, cwd: Path, **environment: str) -> Called:
    return call("packet", "export", *arguments, cwd=cwd, **environment)


@pytest.mark.parametrize("format_", ["sarif", "ocsf", "junit"])
def test_a_valid_packet_is_exported_without_another_word(packet: Path, format_: str) -> None:
    ran = export(packet, "--format", format_, "--public-key", KEY.public_hex, cwd=packet.parent)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.isascii()
    match format_:
        case "junit":
            assert ElementTree.fromstring(ran.stdout).tag == "testsuites"
        case _:
            assert all(
                json.loads(text) for text in ([ran.stdout] if format_ == "sarif" else ran.stdout.splitlines())
            )


def test_the_exit_code_is_the_verifiers_and_the_export_is_there_all_the_same(packet: Path) -> None:
    ran = export(packet, "--format", "sarif", cwd=packet.parent)
    assert ran.returncode == 3
    assert "WHO SIGNED IS NOT PROVEN" in ran.stderr
    lines = (packet / "evidence.jsonl").read_bytes().splitlines(keepends=True)
    (packet / "evidence.jsonl").write_bytes(b"".join([*lines[:2], *lines[3:]]))
    ran = export(packet, "--format", "sarif", "--public-key", KEY.public_hex, cwd=packet.parent)
    assert ran.returncode == 1
    assert "THE PACKET DOES NOT VERIFY" in ran.stderr
    assert "[chain.seq]" in ran.stderr
    assert any(
        result["ruleId"] == "evidence/chain.seq" for result in json.loads(ran.stdout)["runs"][0]["results"]
    )
    ran = export(packet / "nowhere", "--format", "sarif", cwd=packet.parent)
    assert ran.returncode == 2
    assert json.loads(ran.stdout)["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_what_is_expected_of_the_run_counts_as_for_verify(packet: Path) -> None:
    expected = ["--format", "ocsf", "--public-key", KEY.public_hex]
    for option, wrong in (
        ("--expect-run", "x"),
        ("--expect-head", "0" * 64),
        ("--policy-hash", "sha256:" + "0" * 64),
    ):
        ran = export(packet, *expected, option, wrong, cwd=packet.parent)
        assert ran.returncode == 1
        assert "[expect." in ran.stderr
    assert export(packet, *expected, "--expect-run", "run-1", cwd=packet.parent).returncode == 0


def test_the_output_is_a_new_file_and_never_over_another(packet: Path) -> None:
    arguments = packet, "--format", "junit", "--public-key", KEY.public_hex, "--output", "out.xml"
    ran = export(*arguments, cwd=packet.parent)
    assert (ran.returncode, ran.stdout) == (0, "")
    written = (packet.parent / "out.xml").read_text()
    assert ElementTree.fromstring(written).tag == "testsuites"
    ran = export(*arguments, cwd=packet.parent)
    assert ran.returncode == 2
    assert "out.xml is already there" in ran.stderr
    assert (packet.parent / "out.xml").read_text() == written
    ran = export(*arguments[:-1], "nowhere/out.xml", cwd=packet.parent)
    assert ran.returncode == 2
    assert "cannot write nowhere/out.xml" in ran.stderr


def test_paths_are_given_from_the_repository_of_the_ci(packet: Path) -> None:
    def name(cwd: Path, *arguments: object, **environment: str) -> str:
        ran = export(packet, "--format", "ocsf", *arguments, cwd=cwd, **environment)
        log_name: str = json.loads(ran.stdout.splitlines()[-1])["metadata"]["log_name"]
        return log_name

    above = packet.parent.parent
    inside = f"{packet.parent.name}/packet/evidence.jsonl"
    assert name(packet.parent, GITHUB_WORKSPACE="", CI_PROJECT_DIR="") == "packet/evidence.jsonl"
    assert name(packet.parent, GITHUB_WORKSPACE=str(above)) == inside
    assert name(packet.parent, GITHUB_WORKSPACE="", CI_PROJECT_DIR=str(above)) == inside
    assert name(packet.parent, "--source-root", above, GITHUB_WORKSPACE="/") == inside


@pytest.mark.parametrize("arguments", [["--format", "pdf"], [], ["--format", "sarif", "--public-key", ""]])
def test_what_cannot_be_meant_is_a_usage_error(packet: Path, arguments: list[str]) -> None:
    ran = export(packet, *arguments, cwd=packet.parent)
    assert (ran.returncode, ran.stdout) == (64, "")
