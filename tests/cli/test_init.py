"""`trio-egress init`: a short policy that loads, says whence each rule is, and allows no more than that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trio_egress.cli.project import HOSTS_MAX, look_at
from trio_egress.policy.load import load_policy
from trio_egress.policy.starter import starter_policy

LOCKS = {
    "package-lock.json": '{"packages": {"node_modules/x": {"resolved": "https://npm.one.example/x/-/x-1.tgz"}}}',
    "yarn.lock": 'x@1:\n  resolved "https://npm.two.example/x/-/x-1.tgz#00"\n',
    "pnpm-lock.yaml": "  resolution: {tarball: https://npm.three.example/x.tgz}\n",
    "uv.lock": 'source = { registry = "https://py.one.example/simple" }\nurl = "https://py.files.example/x.whl"\n',
    "requirements.txt": "--index-url https://py.two.example/simple\nx==1\n",
    "Cargo.lock": 'source = "registry+https://crates.one.example/index"\n',
    "Gemfile.lock": "GEM\n  remote: https://gems.one.example/\n",
}


def init(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trio_egress", "init", *arguments]
    paths = {"PYTHONPATH": os.path.abspath(os.environ["PYTHONPATH"])} if os.environ.get("PYTHONPATH") else {}
    return subprocess.run(
        command, cwd=place, env={**os.environ, **paths}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_names_where_packages_come_from(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(LOCKS[name])
    hosts = look_at(tmp_path).hosts
    assert hosts
    assert set(hosts.values()) == {name}
    assert all(f"https://{host}/" in LOCKS[name] for host in hosts)


@pytest.mark.parametrize("ending", ["toml", "yaml"])
def test_the_policy_of_a_project_is_short_says_whence_it_is_and_loads(tmp_path: Path, ending: str) -> None:
    (tmp_path / "package-lock.json").write_text(LOCKS["package-lock.json"])
    (tmp_path / "go.sum").write_text("x v1 h1:0=\n")
    (tmp_path / "CLAUDE.md").write_text("")
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    ran = init(tmp_path, f"trio-egress.{ending}")
    assert ran.returncode == 0
    text = (tmp_path / f"trio-egress.{ending}").read_text()
    assert len(text.splitlines()) < 20
    own = [rule for rule in load_policy(text, f"trio-egress.{ending}").rules if not rule.ref.file]
    assert len(own) == text.count('"npm.one.example"') == 1
    for word in ("preset:anthropic", "CLAUDE.md", "package-lock.json", "go.sum says of no package"):
        assert word in text
    assert "allows preset:anthropic, npm.one.example" in ran.stderr
    assert "in a workflow: uses:" in ran.stderr


def test_where_nothing_is_known_and_where_asked_for_it_is_the_whole_starter(tmp_path: Path) -> None:
    assert init(tmp_path).returncode == 0
    assert (tmp_path / "trio-egress.toml").read_text() == starter_policy()
    (tmp_path / "CLAUDE.md").write_text("")
    assert init(tmp_path, "--full", "full.toml").returncode == 0
    assert (tmp_path / "full.toml").read_text() == starter_policy()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "trio-egress.toml").write_text("mine")
    ran = init(tmp_path)
    assert (ran.returncode, (tmp_path / "trio-egress.toml").read_text()) == (2, "mine")


@pytest.mark.parametrize(
    "text",
    [
        '"resolved": "https://127.0.0.1/x"',
        '"resolved": "https://localhost/x"',
        '"resolved": "https://evil.example\\n[[egress]]"',
        '"resolved": "https://user@evil.example/"',
        '"resolved": "http://plain.example/"',
        '"resolved": "https://a..example/"',
        '"name": "see https://readme.example/"',
    ],
)
def test_a_hostile_lock_file_gets_no_host_by_other_means_than_a_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "package-lock.json").write_text(text)
    assert dict(look_at(tmp_path).hosts) == {}


def test_it_reads_a_few_hosts_and_no_link_or_pipe(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(LOCKS["Gemfile.lock"])
    (tmp_path / "Gemfile.lock").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "Cargo.lock")
    many = "".join(f'"resolved": "https://x{number}.example/"\n' for number in range(100))
    (tmp_path / "package-lock.json").write_text(many)
    project = look_at(tmp_path)
    assert len(project.hosts) == HOSTS_MAX
    assert set(project.hosts.values()) == {"package-lock.json"}
