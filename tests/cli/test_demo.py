"""`trio-egress demo` as a stranger starts it: a real sandbox, real servers, a packet that verifies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

import trio_egress
from trio_egress.cli.demo import PYTHONS, find_python
from trio_egress.demo.claims import CLAIMS
from trio_egress.evidence.report import Verdict
from trio_egress.evidence.verify import verify
from trio_egress.kernel.identity import Identities, Ids

SOURCE = Path(trio_egress.__file__).parents[1]
SCHEMA = SOURCE / "trio_egress/cli/output.schema.json"


def run_demo(
    *options: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trio_egress", "demo", *options],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        check=False,
    )


@pytest.mark.sandbox
def test_every_attempt_comes_out_as_expected_and_the_packet_is_valid(tmp_path: Path) -> None:
    ran = run_demo("--evidence", tmp_path / "packet")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(CLAIMS)} of {len(CLAIMS)} as expected; 3 requests reached the upstreams" in ran.stdout
    assert ran.stderr == ""
    key = re.search(r"--public-key ([0-9a-f]{64})$", ran.stdout, re.MULTILINE)
    assert key is not None
    report = verify(tmp_path / "packet", [key[1]])
    assert report.verdict is Verdict.VALID
    assert f"packet VALID, {report.receipt_count} receipts" in ran.stdout


@pytest.mark.sandbox
def test_output_is_narrow_plain_and_names_what_to_do_next(tmp_path: Path) -> None:
    ran = run_demo("--evidence", "packet", cwd=tmp_path)
    table, _, rest = ran.stdout.partition("\n\n")
    assert max(map(len, table.splitlines())) <= 100
    assert "\x1b" not in ran.stdout
    assert str(tmp_path / "packet") in rest
    assert "trio-egress init\n" in rest
    assert "trio-egress run -- " in rest


@pytest.mark.sandbox
def test_packet_goes_to_a_new_directory_that_is_named_and_nothing_else_is_left(tmp_path: Path) -> None:
    ran = run_demo(TMPDIR=str(tmp_path))
    (left,) = tmp_path.iterdir()
    assert f"The Audit Packet: {left}\n" in ran.stdout
    assert (left / "packet.json").is_file()


@pytest.mark.sandbox
def test_the_same_as_json(tmp_path: Path) -> None:
    ran = run_demo("--json", "--evidence", "packet", cwd=tmp_path)
    told = json.loads(ran.stdout)
    assert ran.returncode == 0, ran.stdout
    assert told["as_expected"]
    assert [one["tried"] for one in told["attempts"]] == [claim.words for claim in CLAIMS]
    assert {one["verdict"] for one in told["attempts"]} == {"allow", "block"}
    assert verify(tmp_path / "packet", [told["public_key"]]).verdict is Verdict.VALID
    Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))["$defs"]["demo"]).validate(told)


@pytest.mark.sandbox
def test_proxy_variables_and_another_policy_change_nothing(tmp_path: Path) -> None:
    ran = run_demo(
        "--evidence",
        tmp_path / "packet",
        http_proxy="http://127.0.0.1:9",
        HTTPS_PROXY="http://127.0.0.1:9",
        TRIO_EGRESS_POLICY="/nonexistent",
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_directory_that_is_not_empty_is_refused_as_run_refuses_it(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    ran = run_demo("--evidence", tmp_path)
    assert ran.returncode == 125
    assert "is not empty" in ran.stderr
    assert "trio-egress doctor" in ran.stderr
    assert ran.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


WITHOUT_NAMESPACES = (
    "echo 0 > /proc/sys/user/max_user_namespaces && "
    "exec setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all "
    f"{sys.executable} -m trio_egress demo"
)


@pytest.mark.sandbox
def test_machine_without_namespaces_gets_the_message_of_run_and_the_way_to_doctor(tmp_path: Path) -> None:
    """An ordinary user inside a user namespace that allows no other one."""
    ran = subprocess.run(
        [
            "unshare",
            "--user",
            "--map-user=1000",
            "--map-group=1000",
            "--keep-caps",
            "sh",
            "-c",
            WITHOUT_NAMESPACES,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "TMPDIR": str(tmp_path)},
        check=False,
    )
    assert ran.returncode == 125, ran.stderr
    assert "cannot build the sandbox" in ran.stderr
    assert ran.stderr.count("trio-egress doctor") == 1
    assert ran.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_ordinary_user_runs_the_agent_with_its_own_interpreter() -> None:
    me = Ids(os.getuid(), os.getgid(), "me", "/")
    # Not the one of a virtual environment, which may lie below a /tmp that the agent does not see.
    assert find_python(Identities(root=False, supervisor=me, agent=me)) == os.path.realpath(sys.executable)


@pytest.mark.root
def test_root_tries_which_interpreter_the_agents_user_can_start(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    private = tmp_path / "python"
    private.symlink_to(sys.executable)
    nobody = Ids(65534, 65534, "nobody", "/")
    found = find_python(
        Identities(root=True, supervisor=nobody, agent=nobody), (str(private), "/usr/bin/env")
    )
    assert found == str(private)  # neither is one: `run` is to tell why
    found = find_python(Identities(root=True, supervisor=nobody, agent=nobody), (str(private), *PYTHONS))
    assert found in PYTHONS
