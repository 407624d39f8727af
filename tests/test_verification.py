"""`trio_egress.verify`: the command's verdict for programs, and nothing of the runtime loaded for it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, seal_again
from tests.evidence.test_packet import make_packet

import trio_egress
from trio_egress.errors import UsageError
from trio_egress.evidence.verify import verify as verify_evidence

RUNTIME = {"trio", "socket", "ssl", "asyncio", "pyroute2", "h11"}
"""Of what runs agents; and of the package all that stands above the judgement of policies."""


def test_a_packet_is_valid_with_its_key_and_not_without(tmp_path: Path) -> None:
    make_packet(tmp_path)
    assert trio_egress.verify(tmp_path, keys=[KEY.public_hex]).verdict.value == "valid"
    assert trio_egress.verify(str(tmp_path)).exit_code == 3


def test_attempts_are_decided_again_unless_that_is_left_out(tmp_path: Path) -> None:
    make_packet(tmp_path)  # whose policy.toml compiles to something else than its receipts name
    notes = trio_egress.verify(tmp_path, [KEY.public_hex]).notes
    assert any("no attempt was decided again" in note for note in notes)
    assert trio_egress.verify(tmp_path, [KEY.public_hex], decide=False).notes == ()


def test_what_is_wrong_is_a_report_and_only_nonsense_raises(tmp_path: Path) -> None:
    make_packet(tmp_path)
    (tmp_path / "policy.toml").write_text("other")
    seal_again(tmp_path)
    assert trio_egress.verify(tmp_path, [KEY.public_hex]).exit_code == 1
    assert trio_egress.verify(tmp_path / "none").exit_code == 2
    with pytest.raises(UsageError, match="expected run is empty"):
        trio_egress.verify(tmp_path, expect_run="")


def test_it_takes_what_the_verifier_takes() -> None:
    named = set(inspect.signature(trio_egress.verify).parameters)
    assert {"path", "keys", "policy_hash", "expect_run", "expect_head"} <= named
    assert named - {"decide"} <= set(inspect.signature(verify_evidence).parameters)


def test_public_names_are_those_that_are_there() -> None:
    assert all(hasattr(trio_egress, name) for name in trio_egress.__all__)
    with pytest.raises(AttributeError, match="no attribute 'verfy'"):
        _ = trio_egress.verfy


@pytest.mark.parametrize(("decide", "policy"), [("True", True), ("False", False)])
def test_nothing_of_the_runtime_is_loaded(decide: str, policy: bool, tmp_path: Path) -> None:
    make_packet(tmp_path)
    program = (
        f"import sys, trio_egress; trio_egress.verify({str(tmp_path)!r}, decide={decide})\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    own = {name.split(".")[1] for name in loaded if name.startswith("trio_egress.")}
    assert not RUNTIME & loaded
    assert not {"kernel", "runtime", "proxy", "recorder", "cli"} & own
    assert ("policy" in own) is policy
