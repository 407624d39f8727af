"""The whole verifier: what it says of honest packets, of tampered ones, and of any bytes at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evidence.specimens import (
    KEY,
    POLICY_HASH,
    SESSION,
    STRANGER,
    Scribe,
    rewrite,
    seal_again,
    setting,
    write_chain,
    write_evidence,
)
from tests.evidence.test_packet import FACTS, make_packet

import trio_egress
from trio_egress.errors import UsageError
from trio_egress.evidence.report import Report, Verdict, render_json, render_text
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import render_public_key
from trio_egress.evidence.verify import verify

PINNED = [KEY.public_hex]
OTHER_FORMS = (b"[", b"PK")
"""How a file begins that is taken for an array of receipts, or for a zip."""

FACTS_OF_STRANGER = attrs.evolve(FACTS, public_key=STRANGER.public_hex)


def _codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def _codes_beside_the_manifest(report: Report) -> set[str]:
    """Those that are found whether there is a manifest or not, where the manifest finds something too."""
    codes = {code for code in _codes(report) if not code.startswith("manifest.")}
    assert codes < _codes(report)
    return codes


def test_an_honest_packet_is_valid_with_its_key_pinned(tmp_path: Path) -> None:
    make_packet(tmp_path)
    report = verify(tmp_path, PINNED)
    assert (report.verdict, report.exit_code, report.findings) == (Verdict.VALID, 0, ())
    assert (report.run_id, report.policy_hash, report.receipt_count) == ("run-1", POLICY_HASH, 8)
    files = len(os.listdir(tmp_path)) - 2
    assert f"  files       {files}, each as the signed manifest lists it\n" in render_text(report)
    (tmp_path / "verifier.txt").write_text("")
    assert "as the signed manifest lists" not in render_text(verify(tmp_path, PINNED)).partition("finding")[0]


def test_a_run_that_carried_nothing_is_a_valid_packet(tmp_path: Path) -> None:
    make_packet(tmp_path, Scribe().open().close().lines)
    assert verify(tmp_path, PINNED).exit_code == 0


def test_the_key_may_be_any_of_those_that_are_pinned_and_in_any_form(tmp_path: Path) -> None:
    make_packet(tmp_path)
    key_file = tmp_path.with_name("key.pub")
    key_file.write_bytes(render_public_key(KEY.public_hex))
    for keys in ([STRANGER.public_hex, KEY.public_hex], [str(key_file)], [KEY.public_hex.upper()]):
        assert verify(str(tmp_path), keys).exit_code == 0


def test_without_a_pinned_key_nothing_is_valid(tmp_path: Path) -> None:
    make_packet(tmp_path)
    report = verify(tmp_path)
    assert (report.verdict, report.exit_code, report.trusted) == (Verdict.SELF_CONSISTENT, 3, False)


def test_a_stranger_who_signs_everything_anew_is_never_valid(tmp_path: Path) -> None:
    make_packet(tmp_path, write_chain(key=STRANGER), FACTS_OF_STRANGER, STRANGER)
    assert verify(tmp_path).exit_code == 3
    report = verify(tmp_path, PINNED)
    assert (report.exit_code, _codes(report)) == (1, {"key.not_trusted"})
    assert render_text(report).startswith("INVALID: signed by a key that is none of the pinned ones\n")
    unread = attrs.evolve(report, verdict=Verdict.UNREADABLE)
    assert render_text(unread).startswith("ERROR: nothing was checked")


def test_a_bare_evidence_file_is_judged_by_itself(tmp_path: Path) -> None:
    path = write_evidence(tmp_path, write_chain())
    assert verify(path, PINNED).exit_code == 0
    assert verify(path).exit_code == 3


def test_a_directory_whose_packet_was_not_written_is_not_complete(tmp_path: Path) -> None:
    write_evidence(tmp_path, write_chain())
    report = verify(tmp_path, PINNED)
    assert (report.verdict, report.exit_code) == (Verdict.PREFIX, 3)
    assert "packet.json is missing: only the evidence file was checked" in report.notes


@pytest.mark.parametrize("cut", [1, 50, 700, 1200, 5000])
def test_a_file_cut_anywhere_is_a_prefix_and_never_valid(cut: int, tmp_path: Path) -> None:
    raw = b"".join(write_chain())
    (tmp_path / "evidence.jsonl").write_bytes(raw[:-cut])
    assert verify(tmp_path / "evidence.jsonl", PINNED).exit_code == 3


@given(st.integers(0, len(b"".join(write_chain())) - 1))
@settings(max_examples=60, deadline=None)
def test_every_truncation_is_a_prefix(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "evidence.jsonl"
    path.write_bytes(b"".join(write_chain())[:size])
    assert verify(path, PINNED).exit_code == 3


def test_an_empty_file_is_a_prefix_that_says_nothing(tmp_path: Path) -> None:
    report = verify(write_evidence(tmp_path, []), PINNED)
    assert (report.exit_code, report.notes) == (3, ("there is no receipt at all",))
    assert verify(tmp_path / "evidence.jsonl", PINNED, expect_run="run-1").exit_code == 1


# what could not be read


@pytest.mark.parametrize("name", ["none", "none/evidence.jsonl", "a\0b", "/dev/null", "\udc80"])
def test_what_is_not_there_is_exit_2(name: str, tmp_path: Path) -> None:
    report = verify(os.path.join(tmp_path, name), PINNED)
    assert (report.verdict, report.exit_code, report.findings) == (Verdict.UNREADABLE, 2, ())
    assert report.error
    assert render_text(report).isascii()


def test_a_directory_without_evidence_is_exit_2(tmp_path: Path) -> None:
    assert verify(tmp_path, PINNED).exit_code == 2


@pytest.mark.parametrize("key", ["none", "0" * 64])
def test_a_key_that_cannot_be_read_is_exit_2(key: str, tmp_path: Path) -> None:
    make_packet(tmp_path)
    assert verify(tmp_path, [key]).exit_code == 2


# usage


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"keys": [""]}, "public key is empty"),
        ({"keys": [KEY.public_hex, " "]}, "public key is empty"),
        ({"keys": KEY.public_hex}, "must be a list"),
        ({"policy_hash": ""}, "policy hash must be"),
        ({"policy_hash": "00"}, "policy hash must be"),
        ({"expect_run": ""}, "expected run is empty"),
        ({"expect_head": ""}, "expected head must be"),
        ({"expect_head": "zz"}, "expected head must be"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(
    arguments: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    make_packet(tmp_path)
    with pytest.raises(UsageError, match=reason):
        verify(tmp_path, **arguments)


# what the caller expects


def test_pins_that_fit_are_met(tmp_path: Path) -> None:
    make_packet(tmp_path)
    head = verify(tmp_path).head
    report = verify(tmp_path, PINNED, policy_hash=POLICY_HASH, expect_run="run-1", expect_head=head)
    assert report.exit_code == 0
    assert not any("--expect-run" in item for item in report.not_proven)


def test_an_older_complete_run_is_not_the_one_that_was_expected(tmp_path: Path) -> None:
    make_packet(tmp_path)
    assert _codes(verify(tmp_path, PINNED, expect_run="run-2")) == {"expect.run"}
    assert _codes(verify(tmp_path, PINNED, expect_head="0" * 64)) == {"expect.head"}
    assert _codes(verify(tmp_path, PINNED, policy_hash="sha256:" + "0" * 64)) == {"expect.policy"}
    assert verify(tmp_path, expect_run="run-2").exit_code == 1


def test_a_truncated_log_does_not_have_the_expected_head(tmp_path: Path) -> None:
    head = verify(write_evidence(tmp_path, write_chain())).head
    cut = write_evidence(tmp_path, write_chain()[:1])
    assert verify(cut, PINNED).exit_code == 3
    report = verify(cut, PINNED, expect_head=head)
    assert (report.exit_code, _codes(report)) == (1, {"expect.head"})


# what stands beside the evidence


def _write(name: str, raw: bytes) -> Callable[[Path], object]:
    return lambda directory: (directory / name).write_bytes(raw)


def _replace_by_link(name: str) -> Callable[[Path], object]:
    def replace(directory: Path) -> None:
        (directory / name).rename(directory.with_name("moved"))
        (directory / name).symlink_to(directory.with_name("moved"))

    return replace


def _edit_packet(place: str, name: str, value: object) -> Callable[[Path], object]:
    def edit(directory: Path) -> None:
        packet = json.loads((directory / "packet.json").read_bytes())
        packet[place][name] = value
        (directory / "packet.json").write_text(json.dumps(packet))

    return edit


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (_write("policy-compiled.json", b'{"egress":["*"]}'), {"packet.policy"}),
        (_write("policy.toml", b"other"), {"packet.policy"}),
        (_write("policy.yaml", b"other"), {"packet.policy"}),
        (_write("policy-includes.json", b"{}"), {"packet.policy"}),
        (_write("public-key.txt", STRANGER.public_hex.encode()), {"packet.key"}),
        (_write("public-key.txt", b""), {"packet.key"}),
        (_write("packet.json", b"{}"), {"packet.form"}),
        (_write("packet.json", b"\xff"), {"packet.form"}),
        (lambda directory: (directory / "policy-compiled.json").unlink(), {"packet.file"}),
        (lambda directory: (directory / "policy.toml").unlink(), {"packet.file"}),
        (lambda directory: (directory / "public-key.txt").unlink(), {"packet.file"}),
        (lambda directory: (directory / "verifier.txt").unlink(), {"packet.file"}),
        (lambda directory: (directory / "summary.md").unlink(), {"packet.file"}),
        (_replace_by_link("packet.json"), {"packet.file"}),
        (_replace_by_link("policy-compiled.json"), {"packet.file"}),
        (_replace_by_link("summary.md"), {"packet.file"}),
        (_edit_packet("artifacts", "summary", "none.md"), {"packet.file"}),
        (_edit_packet("artifacts", "summary", "../summary.md"), {"packet.form"}),
        (_edit_packet("verifier", "final_seq", 6), {"packet.claim"}),
        (_edit_packet("policy", "config_snapshot_sha256", "sha256:" + "0" * 64), {"packet.policy"}),
    ],
)
def test_a_packet_whose_files_were_changed_is_invalid(
    tamper: Callable[[Path], object], found: set[str], tmp_path: Path
) -> None:
    directory = tmp_path / "packet"
    directory.mkdir()
    make_packet(directory)
    assert verify(directory, PINNED).exit_code == 0
    tamper(directory)
    report = verify(directory, PINNED)
    assert (report.exit_code, _codes_beside_the_manifest(report)) == (1, found)


MEASURED = b'{"probes":{"udp":"denied:EPERM"},"version":1}'


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (lambda directory: None, set()),
        (_write("posture.json", MEASURED.replace(b"denied:EPERM", b"denied:EINVAL")), {"packet.posture"}),
        (_write("posture.json", b""), {"packet.posture"}),
        (lambda directory: (directory / "posture.json").unlink(), {"packet.file"}),
        (_replace_by_link("posture.json"), {"packet.file"}),
    ],
)
def test_the_measured_posture_is_the_one_that_the_open_receipt_binds(
    tamper: Callable[[Path], object], found: set[str], tmp_path: Path
) -> None:
    directory = tmp_path / "packet"
    directory.mkdir()
    session = attrs.evolve(SESSION, posture_capsule_sha256=sha256(MEASURED).hexdigest())
    make_packet(directory, write_chain(session), attrs.evolve(FACTS, posture_measured=MEASURED))
    tamper(directory)
    report = verify(directory, PINNED)
    assert report.exit_code == (1 if found else 0)
    assert (_codes_beside_the_manifest(report) if found else _codes(report)) == found


def test_a_packet_that_names_no_policy_snapshot_needs_no_policy_text(tmp_path: Path) -> None:
    make_packet(tmp_path)
    for name in ("policy.toml", "statement.dsse.json", "bundle.sigstore.json"):
        (tmp_path / name).unlink()
    packet = json.loads((tmp_path / "packet.json").read_bytes())
    del packet["policy"]["config_snapshot_sha256"]
    (tmp_path / "packet.json").write_text(json.dumps(packet))
    seal_again(tmp_path)
    assert verify(tmp_path, PINNED).exit_code == 0


def make_bound_packet(directory: Path, session: Session) -> None:
    """One whose open receipt binds the policy's texts, in YAML."""
    facts = attrs.evolve(FACTS, policy_name="policy.yaml", policy_includes=INCLUDES)
    make_packet(directory, Scribe(session).open().block().close().lines, facts)


INCLUDES = b'{"includes":[],"policy":"agent.yaml"}'
BOUND = attrs.evolve(
    SESSION,
    policy_sha256=sha256(FACTS.policy_text.encode()).hexdigest(),
    policy_includes_sha256=sha256(INCLUDES).hexdigest(),
)


def test_the_texts_of_the_policy_are_bound_by_the_open_receipt(tmp_path: Path) -> None:
    make_bound_packet(tmp_path, BOUND)
    assert {"policy.yaml", "policy-includes.json"} < {path.name for path in tmp_path.iterdir()}
    assert verify(tmp_path, PINNED).exit_code == 0


@pytest.mark.parametrize(
    ("session", "name"),
    [
        (attrs.evolve(BOUND, policy_sha256="0" * 64), "policy.yaml"),
        (attrs.evolve(BOUND, policy_includes_sha256="0" * 64), "policy-includes.json"),
    ],
)
def test_other_texts_than_the_open_receipt_binds_are_found(
    session: Session, name: str, tmp_path: Path
) -> None:
    make_bound_packet(tmp_path, session)
    (finding,) = verify(tmp_path, PINNED).findings
    assert (finding.code, finding.file) == ("packet.policy", name)


def test_a_text_that_is_bound_and_not_there_is_found(tmp_path: Path) -> None:
    make_bound_packet(tmp_path, BOUND)
    (tmp_path / "policy-includes.json").unlink()
    seal_again(tmp_path)
    assert _codes(verify(tmp_path, PINNED)) == {"packet.file"}


def test_evidence_of_another_run_does_not_fit_the_packet(tmp_path: Path) -> None:
    make_packet(tmp_path)
    write_evidence(tmp_path, Scribe().open().block().close().lines)
    contradicted = {"packet.claim", "run.counters", "statement.claim"}
    assert _codes(verify(tmp_path, PINNED)) == contradicted | {"manifest.chain", "manifest.changed"}
    seal_again(tmp_path)
    assert _codes(verify(tmp_path, PINNED)) == contradicted


def test_evidence_that_was_cut_does_not_fit_the_packet(tmp_path: Path) -> None:
    make_packet(tmp_path)
    write_evidence(tmp_path, write_chain()[:4])
    seal_again(tmp_path)
    contradicted = {"packet.claim", "run.claim", "run.counters", "statement.claim"}
    assert _codes(verify(tmp_path, PINNED)) == contradicted


def test_a_packet_of_a_cut_run_is_a_prefix(tmp_path: Path) -> None:
    make_packet(tmp_path, write_chain()[:5])
    report = verify(tmp_path, PINNED)
    assert (report.verdict, report.exit_code) == (Verdict.PREFIX, 3)


def test_a_packet_that_says_itself_that_it_is_invalid_is_invalid(tmp_path: Path) -> None:
    lines = rewrite(write_chain(), {3: setting("timestamp", "2026-01-01T00:00:00Z")})
    assert make_packet(tmp_path, lines) is Verdict.INVALID
    assert _codes(verify(tmp_path, PINNED)) == {"time.order"}


# any bytes at all

RAW = b"".join(write_chain())
_MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "delete", "insert", "copy", "swap"]),
        st.integers(0, len(RAW) - 1),
        st.integers(1, 400),
        st.binary(min_size=1, max_size=8)
        | st.sampled_from([b"\n", b'"', b"{", b"[", b"}", b"1e9", b"\\u0000", b"null"]),
    ),
    min_size=1,
    max_size=6,
)


def _mutate(raw: bytes, mutations: list[tuple[str, int, int, bytes]]) -> bytes:
    for kind, at, size, extra in mutations:
        at = min(at, len(raw))
        match kind:
            case "flip":
                raw = raw[:at] + extra + raw[at + len(extra) :]
            case "delete":
                raw = raw[:at] + raw[at + size :]
            case "insert":
                raw = raw[:at] + extra + raw[at:]
            case "copy":
                raw = raw[:at] + raw[at : at + size] + raw[at:]
            case _:
                raw = raw[:at] + raw[at + size : at + 2 * size] + raw[at : at + size] + raw[at + 2 * size :]
    return raw


def _judge(path: Path) -> Report:
    report = verify(path, PINNED)
    json.dumps(render_json(report))
    assert render_text(report).isascii()
    return report


@given(_MUTATIONS)
@settings(max_examples=400, deadline=None)
def test_no_mutation_of_a_valid_file_is_valid_or_raises(
    tmp_path_factory: pytest.TempPathFactory, mutations: list[tuple[str, int, int, bytes]]
) -> None:
    raw = _mutate(RAW, mutations)
    path = tmp_path_factory.mktemp("mutated") / "evidence.jsonl"
    path.write_bytes(raw)
    report = _judge(path)
    if raw == RAW:
        assert report.exit_code == 0
    elif RAW.startswith(raw):
        assert report.exit_code == 3
    elif raw.startswith(OTHER_FORMS):
        assert report.exit_code == 2
    else:
        assert report.exit_code == 1 or (
            report.exit_code == 3 and RAW.startswith(raw[: raw.rfind(b"\n") + 1])
        )


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([*write_chain(), b"\n", b"{}\n", b"\xff\n"]), max_size=9).map(b"".join)
)
@settings(max_examples=200, deadline=None)
def test_no_bytes_raise(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "evidence.jsonl"
    path.write_bytes(raw)
    assert _judge(path).exit_code in (1, 3) or raw == RAW or raw.startswith(OTHER_FORMS)


@given(st.binary(max_size=200) | st.builds(_mutate, st.just(b""), _MUTATIONS), _MUTATIONS)
@settings(max_examples=150, deadline=None)
def test_no_packet_json_raises(
    made_packet: Path, raw: bytes, mutations: list[tuple[str, int, int, bytes]]
) -> None:
    path = made_packet / "packet.json"
    honest = path.read_bytes()
    places = [(kind, at % len(honest), size, extra) for kind, at, size, extra in mutations]
    for mutated in (raw, _mutate(honest, places)):
        path.write_bytes(mutated)
        expected = 0 if mutated == honest else 1
        try:
            assert _judge(made_packet).exit_code == expected
        finally:
            path.write_bytes(honest)


@pytest.fixture(scope="module")
def made_packet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("packet")
    make_packet(directory)
    return directory


def test_the_verifier_is_an_island() -> None:
    script = "import sys, trio_egress.evidence.verify; print(*sys.modules)"
    root = str(Path(trio_egress.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ran.stdout.split())
    assert not {"trio", "socket", "ssl", "asyncio", "pyroute2", "trio_egress.model"} & loaded
    assert {name.split(".")[1] for name in loaded if name.startswith("trio_egress.")} == {
        "errors",
        "evidence",
        "values",
    }


def test_a_long_log_is_checked_in_bounded_memory(tmp_path: Path) -> None:
    scribe = Scribe().open()
    with open(tmp_path / "evidence.jsonl", "wb") as file:
        for _ in range(4000):
            scribe.allow(pattern="x" * 200).block(facts={"host": "h", "reason": "y" * 2000})
            file.writelines(scribe.lines)
            scribe.lines.clear()
        file.writelines(scribe.close().lines)
    size = os.path.getsize(tmp_path / "evidence.jsonl")
    script = (
        "import resource, sys; from trio_egress.evidence.verify import verify\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "report = verify(sys.argv[1]); after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(report.exit_code, report.receipt_count, (after - before) * 1024)"
    )
    root = str(Path(trio_egress.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "evidence.jsonl")],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    exit_code, count, grown = map(int, ran.stdout.split())
    assert (exit_code, count) == (3, 12_002)
    assert grown < 8 << 20 < size
