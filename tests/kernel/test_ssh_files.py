"""The plan of what OpenSSH's client inside is told, beside what the machine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.kernel import ssh_files
from trio_egress.kernel.ssh_files import SshFiles, keep_ssh, plan_ssh


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    own = tmp_path / "ssh"
    own.mkdir()
    monkeypatch.setattr(ssh_files, "FOLDER", str(own))
    return own


def texts(files: SshFiles) -> dict[str, str]:
    return {Path(step.target).name: step.source for step in plan_ssh(files, 1, 2) if step.kind == "file"}


def test_what_the_machine_knows_stays_known(folder: Path) -> None:
    (folder / "ssh_known_hosts").write_text("other.example ssh-ed25519 AAAA\n")
    planned = texts(SshFiles("a.example ssh-ed25519 BBBB\n", "Host b\n"))
    assert planned == {
        "ssh_known_hosts": "a.example ssh-ed25519 BBBB\nother.example ssh-ed25519 AAAA\n",
        "00-trio-egress.conf": "Host b\n",
    }


def test_what_not_everybody_may_read_is_not_shown(folder: Path) -> None:
    own = folder / "ssh_known_hosts"
    own.write_text("other.example ssh-ed25519 AAAA\n")
    own.chmod(0o640)
    assert texts(SshFiles("a\n")) == {"ssh_known_hosts": "a\n"}


def test_the_directory_is_a_layer_over_itself(folder: Path) -> None:
    (kept,) = keep_ssh(SshFiles(config="Host b\n"))
    *_, layer = plan_ssh(SshFiles(config="Host b\n"), 1, 2)
    assert (kept.kind, kept.source) == ("keep", str(folder))
    assert (layer.kind, layer.target, layer.source) == ("layer", str(folder), kept.target)
    assert (layer.owner, layer.group) == (1, 2)


def test_a_file_that_is_a_mount_is_covered_by_one(folder: Path) -> None:
    """A container's: of a directory with mounts in it an ordinary user can make no layer."""
    (folder / "ssh_known_hosts").write_text("")
    made, _layer, bound = plan_ssh(SshFiles("a\n"), 1, 2)
    assert (bound.kind, bound.target, bound.source) == ("bind", f"{folder}/ssh_known_hosts", made.target)
    assert (bound.read_only, bound.optional) == (True, True)


def test_nothing_to_say_or_nobody_to_say_it_to_plans_nothing(folder: Path) -> None:
    assert [*keep_ssh(SshFiles()), *plan_ssh(SshFiles(), 1, 2)] == []
    folder.rmdir()
    assert [*keep_ssh(SshFiles("a\n")), *plan_ssh(SshFiles("a\n"), 1, 2)] == []
