"""The manifest: every file of a packet, and no other, signed and bound to the chain."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evidence.specimens import KEY, SESSION, STRANGER, Scribe, seal_again, write_chain, write_evidence
from tests.evidence.test_packet import FACTS, make_packet

from trio_egress.evidence.findings import Findings
from trio_egress.evidence.manifest import MANIFEST_NAME, SIGNATURE_NAME, read_manifest
from trio_egress.evidence.openssh import render_line
from trio_egress.evidence.report import Report
from trio_egress.evidence.sshsig import MANIFEST_NAMESPACE, sign_file
from trio_egress.evidence.verify import verify

MEASURED = b'{"probes":{},"version":1}'
INCLUDES = b'{"includes":[],"policy":"policy.toml"}'
BOUND = attrs.evolve(
    SESSION,
    posture_capsule_sha256=sha256(MEASURED).hexdigest(),
    policy_sha256=sha256(FACTS.policy_text.encode()).hexdigest(),
    policy_includes_sha256=sha256(INCLUDES).hexdigest(),
)
Tamper = Callable[[Path], object]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "sha256", "size"]), inner)
    ),
    max_leaves=6,
)


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    """One with every file that a packet can have."""
    directory = tmp_path / "packet"
    directory.mkdir()
    facts = attrs.evolve(FACTS, posture_measured=MEASURED, policy_includes=INCLUDES)
    make_packet(directory, write_chain(BOUND), facts)
    return directory


def judge(directory: Path) -> Report:
    return verify(directory, [KEY.public_hex])


def codes(directory: Path) -> set[str]:
    return {finding.code for finding in judge(directory).findings}


def write_manifest(directory: Path, value: object, *, raw: bytes | None = None) -> None:
    """Any manifest, signed by the key's holder."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode() if raw is None else raw
    (directory / MANIFEST_NAME).write_bytes(text)
    (directory / SIGNATURE_NAME).write_bytes(sign_file(KEY, MANIFEST_NAMESPACE, text))


def test_it_lists_every_file_with_size_and_hash_and_names_the_chain(packet: Path) -> None:
    report = judge(packet)
    manifest = json.loads((packet / MANIFEST_NAME).read_bytes())
    assert {name: manifest[name] for name in ("run_id", "head", "final_seq", "schema")} == {
        "run_id": "run-1",
        "head": report.head,
        "final_seq": 7,
        "schema": "trio-egress.manifest.v1",
    }
    found = [
        {"name": name, "sha256": sha256((packet / name).read_bytes()).hexdigest(), "size": size}
        for name, size in sorted((path.name, path.stat().st_size) for path in packet.iterdir())
        if not name.startswith("manifest.json")
    ]
    assert manifest["files"] == found
    assert report.exit_code == 0


def test_ssh_keygen_checks_it_without_any_code_of_ours(packet: Path, tmp_path: Path) -> None:
    (tmp_path / "signers").write_text(f"run {render_line(bytes.fromhex(KEY.public_hex))}\n")
    command = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-I", "run"]
    command += ["-n", MANIFEST_NAMESPACE, "-s", str(packet / SIGNATURE_NAME)]
    raw = (packet / MANIFEST_NAME).read_bytes()
    assert subprocess.run(command, input=raw, capture_output=True, check=False).returncode == 0
    assert subprocess.run(command, input=raw + b"\n", capture_output=True, check=False).returncode != 0


def change_bytes(raw: bytes) -> Iterable[bytes]:
    """Changed, longer and shorter by one byte, at several places."""
    for at in {0, len(raw) // 4, len(raw) // 2, len(raw) - 1}:
        yield raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        yield raw[:at] + raw[at + 1 :]
    yield raw + b"\n"
    yield b""


def test_no_file_can_be_changed_by_a_byte_and_the_packet_be_valid(packet: Path) -> None:
    assert judge(packet).exit_code == 0
    assert len(os.listdir(packet)) >= 11
    for path in packet.iterdir():
        honest = path.read_bytes()
        for changed in change_bytes(honest):
            path.write_bytes(changed)
            report = judge(packet)
            assert report.exit_code == 1, f"{path.name}: {report.verdict}"
        path.write_bytes(honest)
    assert judge(packet).exit_code == 0


def test_no_file_but_packet_json_can_be_taken_away_and_the_packet_be_more_than_invalid(packet: Path) -> None:
    for path in packet.iterdir():
        honest = path.read_bytes()
        path.unlink()
        # Without packet.json, which comes last, it is a packet that was never finished; without evidence it is none.
        expected = {"packet.json": 3, "evidence.jsonl": 2}.get(path.name, 1)
        assert judge(packet).exit_code == expected, path.name
        path.write_bytes(honest)


@pytest.mark.parametrize("names", [[MANIFEST_NAME], [SIGNATURE_NAME], [MANIFEST_NAME, SIGNATURE_NAME]])
def test_a_manifest_that_was_taken_away_is_a_finding(names: list[str], packet: Path) -> None:
    for name in names:
        (packet / name).unlink()
    assert codes(packet) == {"manifest.missing"}


def test_an_interrupted_packet_is_a_prefix_at_every_step(packet: Path) -> None:
    """In this order: all others, manifest, signature, packet.json; what was being made aside may stand there."""
    (packet / ".packet.json.part").write_bytes(b"{")
    statement = ("bundle.sigstore.json", "statement.dsse.json")
    others = ("run.json", "policy.toml", "posture.json")
    for name in ("packet.json", SIGNATURE_NAME, MANIFEST_NAME, *statement, *others):
        (packet / name).unlink()
        report = judge(packet)
        assert (report.exit_code, report.findings) == (3, ()), name


def test_what_an_interrupted_packet_lists_must_still_be_so(packet: Path) -> None:
    (packet / "packet.json").unlink()
    (packet / "policy.toml").write_text("other")
    assert codes(packet) == {"manifest.changed"}


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (lambda at: (at / "extra.txt").write_text(""), {"manifest.extra"}),
        (lambda at: (at / ".hidden").write_text(""), {"manifest.extra"}),
        (lambda at: (at / "RUN.json").write_bytes((at / "run.json").read_bytes()), {"manifest.extra"}),
        (lambda at: (at / "folder").mkdir(), {"manifest.extra"}),
        (lambda at: (at / "link").symlink_to("run.json"), {"manifest.extra"}),
        (lambda at: os.mkfifo(at / "pipe"), {"manifest.extra"}),
        (lambda at: (at / "policy-includes.json").write_text("{}"), {"manifest.changed", "packet.policy"}),
        (lambda at: (at / "verifier.txt").write_text("VALID"), {"manifest.changed"}),
        (lambda at: (at / "verifier.txt").unlink(), {"manifest.file", "packet.file"}),
    ],
)
def test_an_extra_a_changed_and_a_missing_file_are_findings(
    tamper: Tamper, found: set[str], packet: Path
) -> None:
    tamper(packet)
    assert codes(packet) == found


def test_a_file_that_grew_enormous_is_not_read_to_its_end(packet: Path) -> None:
    os.truncate(packet / "verifier.txt", 1 << 40)  # a hole
    os.truncate(packet / "posture.json", 1 << 40)
    with (packet / "huge").open("wb") as extra:
        extra.truncate(1 << 40)
    assert codes(packet) == {"manifest.changed", "manifest.extra", "packet.file"}


def test_files_that_stand_there_beyond_any_number_are_findings_and_the_listed_are_still_checked(
    packet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_egress.evidence.container.FILES_MAX", 20)
    for number in range(50):
        (packet / f"Extra-{number}").write_text("")
    (packet / "run.json").write_text("{}")
    assert {"manifest.changed", "manifest.extra"} <= codes(packet)


def test_a_link_in_place_of_a_file_is_a_finding_even_with_its_bytes(packet: Path, tmp_path: Path) -> None:
    for name in ("verifier.txt", "run.json", "policy-compiled.json", MANIFEST_NAME, SIGNATURE_NAME):
        (packet / name).rename(tmp_path / name)
        (packet / name).symlink_to(tmp_path / name)
        found = {"packet.file"} if name.startswith("manifest") else {"manifest.file", "packet.file"}
        assert codes(packet) == found
        (packet / name).unlink()
        (tmp_path / name).rename(packet / name)
    assert codes(packet) == set()


def test_the_manifest_of_another_run_with_the_same_key_does_not_fit(packet: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_packet(other, Scribe(attrs.evolve(SESSION, run_id="run-2")).open().close().lines)
    for name in (MANIFEST_NAME, SIGNATURE_NAME):
        (packet / name).write_bytes((other / name).read_bytes())
    assert {"manifest.chain", "manifest.changed"} <= codes(packet)


@pytest.mark.parametrize(
    ("name", "value"),
    [("head", "0" * 64), ("head", ""), ("final_seq", 6), ("final_seq", None), ("run_id", "x")],
)
def test_each_of_what_binds_it_to_the_chain_is_checked(name: str, value: object, packet: Path) -> None:
    manifest = json.loads((packet / MANIFEST_NAME).read_bytes())
    write_manifest(packet, {**manifest, name: value})
    (finding,) = judge(packet).findings
    assert (finding.code, finding.place) == ("manifest.chain", name)


def test_a_manifest_that_another_key_signed_is_a_finding(packet: Path) -> None:
    seal_again(packet, STRANGER)
    assert codes(packet) == {"manifest.signature"}
    seal_again(packet)
    assert codes(packet) == set()


def test_a_signature_by_the_key_over_something_else_is_none(packet: Path) -> None:
    raw = (packet / MANIFEST_NAME).read_bytes()
    (packet / SIGNATURE_NAME).write_bytes(sign_file(KEY, "another-namespace", raw))
    assert codes(packet) == {"manifest.signature"}


def entry(name: object, size: object = 0, digest: object = "0" * 64) -> dict[str, object]:
    return {"name": name, "sha256": digest, "size": size}


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ([entry("../x")], "files[0].name"),
        ([entry("/etc/passwd")], "files[0].name"),
        ([entry("a/b")], "files[0].name"),
        ([entry("a\0b")], "files[0].name"),
        ([entry("a\\b")], "files[0].name"),
        ([entry("C:x")], "files[0].name"),
        ([entry("..")], "files[0].name"),
        ([entry(".hidden")], "files[0].name"),
        ([entry("")], "files[0].name"),
        ([entry("a b")], "files[0].name"),
        ([entry("x\n")], "files[0].name"),
        ([entry("\u00e9")], "files[0].name"),
        ([entry("x" * 129)], "files[0].name"),
        ([entry(None)], "files[0].name"),
        ([entry("A"), entry("a")], "files[1].name"),
        ([entry("Ab"), entry("aB")], "files[1].name"),
        ([entry("a"), entry("a")], "files[1].name"),
        ([entry("b"), entry("a")], "files"),
        ([entry("manifest.json")], "files[0].name"),
        ([entry("manifest.json.sig")], "files[0].name"),
        ([entry("a", -1)], "files[0].size"),
        ([entry("a", True)], "files[0].size"),
        ([entry("a", "1")], "files[0].size"),
        ([entry("a", 0, "0" * 63)], "files[0].sha256"),
        ([entry("a", 0, "A" * 64)], "files[0].sha256"),
        ([{**entry("a"), "zone": 1}], "files[0].zone"),
        ([{"name": "a"}], "files[0].sha256"),
        (["a"], "files[0]"),
        ({}, "files"),
        (None, "files"),
    ],
)
def test_a_list_that_can_not_be_of_a_packet_is_refused_whoever_signed_it(
    files: object, place: str, packet: Path
) -> None:
    manifest = json.loads((packet / MANIFEST_NAME).read_bytes())
    write_manifest(packet, {**manifest, "files": files})
    findings = judge(packet).findings
    assert {finding.code for finding in findings} == {"manifest.form"}
    assert findings[0].place == place


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw + b"\n",
        lambda raw: raw.replace(b",", b", ", 1),
        lambda raw: raw.replace(b'"run-1"', b'"run\\u002d1"'),
        lambda raw: raw.replace(b'"run_id":"run-1"', b'"run_id":"run-2","run_id":"run-1"'),
        lambda raw: raw.replace(b'"final_seq":7', b'"final_seq":7.0'),
        lambda raw: raw.replace(b'{"files"', b'{"extra":1,"files"'),
        lambda raw: raw.replace(b"manifest.v1", b"manifest.v2"),
        lambda raw: b"[]",
        lambda raw: b"\xff",
        lambda raw: b"",
        lambda raw: b"[" * 100_000,
    ],
)
def test_there_is_one_form_whoever_signed_it(change: Callable[[bytes], bytes], packet: Path) -> None:
    write_manifest(packet, None, raw=change((packet / MANIFEST_NAME).read_bytes()))
    assert codes(packet) == {"manifest.form"}


def test_a_packet_of_a_chain_without_a_receipt_has_a_manifest_too(tmp_path: Path) -> None:
    make_packet(tmp_path, [])
    assert codes(tmp_path) == {"packet.key"}  # as nothing shows that it signed anything
    seal_again(tmp_path, STRANGER)
    assert codes(tmp_path) == {"packet.key"}


def test_evidence_that_was_cut_is_told_by_the_manifest(packet: Path) -> None:
    write_evidence(packet, write_chain(BOUND)[:4])
    assert {"manifest.chain", "manifest.changed"} <= codes(packet)


def test_what_is_read_is_in_order_and_by_name(packet: Path) -> None:
    findings = Findings()
    listed = read_manifest((packet / MANIFEST_NAME).read_bytes(), findings)
    assert listed is not None
    assert list(listed) == sorted({path.name for path in packet.iterdir()} - {MANIFEST_NAME, SIGNATURE_NAME})
    assert findings.count == 0


HONEST = {"files": [], "final_seq": 0, "head": "0" * 64, "run_id": "x", "schema": "trio-egress.manifest.v1"}


@given(st.binary(max_size=400) | st.from_regex(rb'\{"files":\[.{0,80}\]\}', fullmatch=True))
@settings(deadline=None)
def test_no_bytes_raise(raw: bytes) -> None:
    findings = Findings()
    assert read_manifest(raw, findings) is None
    assert {finding.code for finding in findings.kept} == {"manifest.form"}


@given(st.sampled_from(sorted(HONEST)), JSON)
@settings(deadline=None)
def test_no_value_raises(name: str, value: object) -> None:
    text = json.dumps({**HONEST, name: value}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    findings = Findings()
    listed = read_manifest(text.encode("utf-8", "surrogatepass"), findings)
    assert (listed is None) == bool(findings.count)
    assert {finding.code for finding in findings.kept} <= {"manifest.form"}
