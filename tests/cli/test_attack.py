"""`trio-egress doctor --attack` on this machine, and on sandboxes that were weakened behind its back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runs.launch import ENVIRONMENT

import trio_egress
from trio_egress.kernel.attacks import ATTACKS

pytestmark = pytest.mark.sandbox

SOURCE = Path(trio_egress.__file__).parents[1]


def attack(*options: str, weak: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([*([str(weak)] if weak else []), str(SOURCE)])
    return subprocess.run(
        [sys.executable, "-m", "trio_egress", "doctor", "--attack", *options],
        capture_output=True,
        text=True,
        timeout=180,
        env={**ENVIRONMENT, "PYTHONPATH": path, **environment},
        check=False,
    )


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory for temporary files whose path leaves room for a socket's."""
    path = Path(tempfile.mkdtemp(prefix="te-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_every_attack_is_refused_and_nothing_is_left(short: Path) -> None:
    ran = attack(TMPDIR=str(short))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert sum(line.startswith("refused  ") for line in lines) == len(ATTACKS)
    assert f"{len(ATTACKS)} attacks, {len(ATTACKS)} refused; packet VALID, " in lines[-1]
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in ran.stdout
    assert ran.stderr == ""
    assert list(short.iterdir()) == []


@pytest.mark.parametrize(
    "users",
    [
        pytest.param(["--user", "subordinate"], marks=pytest.mark.ordinary),
        pytest.param(["--proxy-user", "daemon", "--user", "nobody"], marks=pytest.mark.root),
    ],
)
def test_every_attack_of_these_users_is_refused(short: Path, users: list[str]) -> None:
    ran = attack(*users, TMPDIR=str(short))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(ATTACKS)} attacks, {len(ATTACKS)} refused; packet VALID, " in ran.stdout
    assert list(short.iterdir()) == []


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By a run whose directory for temporary files has too long a path for a socket."""
    ran = attack("--json", TMPDIR=str(tmp_path_factory.mktemp("x" * 100)))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    document: dict[str, Any] = json.loads(ran.stdout)
    return document


def test_json_says_the_same(told: dict[str, Any]) -> None:
    assert (told["version"], told["holds"], told["trouble"]) == (1, True, "")
    assert [row["name"] for row in told["attacks"]] == [attack.name for attack in ATTACKS]
    assert all(row["refused"] for row in told["attacks"])


def test_controls_work_outside_where_nothing_else_forbids_them(told: dict[str, Any]) -> None:
    """Each attack with a control succeeds without the sandbox: the refusals are the sandbox's."""
    controls = {row["name"]: row["control"] for row in told["attacks"] if row["control"] is not None}
    assert set(controls) == {attack.name for attack in ATTACKS if attack.control}
    assert {name: control for name, control in controls.items() if control} == {}


def weaken(folder: Path, text: str) -> Path:
    """A folder that changes the product in every Python that finds it on its path."""
    (folder / "sitecustomize.py").write_text(text)
    return folder


def test_a_boundary_with_a_hole_is_told_and_ends_with_1(tmp_path: Path) -> None:
    code = "from trio_egress.kernel import mounts, protection\n"
    code += "mounts.find_points = lambda *_: protection.Points((), ())\n"
    weak = weaken(tmp_path, code)
    ran = attack(weak=weak)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "HOLE       change git's config and a workflow" in ran.stdout
    assert "HOLE: protected; " in ran.stdout


def test_what_the_start_already_refuses_is_a_hole_with_its_probe(tmp_path: Path) -> None:
    """No agent runs in it, so nothing else is tried."""
    weak = weaken(tmp_path, 'from trio_egress.kernel import calls\ncalls.REFUSED.pop("bpf")\n')
    ran = attack("--json", weak=weak)
    told = json.loads(ran.stdout)
    assert ran.returncode == 1
    assert [row["name"] for row in told["attacks"] if not row["refused"]] == ["bpf"]
    assert len(told["attacks"]) == sum(attack.at_start for attack in ATTACKS)


def test_a_machine_without_namespaces_is_125(short: Path) -> None:
    script = (
        "echo 0 > /proc/sys/user/max_user_namespaces && "
        "exec setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all "
        f"{sys.executable} -m trio_egress doctor --attack"
    )
    command = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "sh", "-c", script]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        env={**ENVIRONMENT, "PYTHONPATH": str(SOURCE), "TMPDIR": str(short)},
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (125, "")
    assert ran.stderr.startswith("trio-egress doctor: cannot build the sandbox")
    assert list(short.iterdir()) == []
