"""Which accounts are as good as root: this machine's own, and those of a mount namespace of the test's own."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import trio_egress
from trio_egress.kernel.accounts import find_power, list_groups

SOURCE = str(Path(trio_egress.__file__).parent.parent)


def ask_elsewhere(folder: Path, files: Mapping[str, str]) -> str:
    """What `find_power` says of daemon and what comes of it as the proxy, where these files of /etc are others."""
    binds = []
    for name, text in files.items():
        (folder / "file").write_text(text)
        (folder / "file").chmod(0o440 if "sudoers" in name else 0o644)
        binds.append(f"mount --bind {folder / 'file'} {name}")
    code = (
        "from trio_egress.kernel.accounts import find_power\n"
        "from trio_egress.kernel.identity import find_identities\n"
        "print(find_power('daemon', 1))\n"
        "find_identities('nobody', {}, 'daemon')\n"
    )
    script = " && ".join([*binds, f'exec {sys.executable} -c "$1"'])
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script, "sh", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )
    return done.stdout + done.stderr


def test_an_account_has_its_first_group_whatever_the_files_say() -> None:
    assert list_groups("no-such-user", 4711) == {4711}
    own = pwd.getpwuid(os.getuid())
    assert own.pw_gid in list_groups(own.pw_name, own.pw_gid)


def test_an_account_without_power_has_none() -> None:
    assert find_power("daemon", 1) == ""


@pytest.mark.root
@pytest.mark.parametrize("group", ["sudo", "docker"])
def test_a_group_that_leads_to_root_is_power_and_no_proxy(tmp_path: Path, group: str) -> None:
    others = [
        line for line in Path("/etc/group").read_text().splitlines() if not line.startswith(f"{group}:")
    ]
    told = ask_elsewhere(tmp_path, {"/etc/group": "\n".join([*others, f"{group}:x:65000:daemon"]) + "\n"})
    assert told.startswith(f"daemon is in the group {group}\n")
    assert f"--proxy-user daemon: daemon is in the group {group}" in told


@pytest.mark.root
def test_who_is_named_in_sudoers_has_power_and_is_no_proxy(tmp_path: Path) -> None:
    text = (
        "User_Alias TRUSTED = games, daemon\nroot ALL=(ALL) ALL\nTRUSTED ALL=(root) NOPASSWD: /usr/bin/id\n"
    )
    told = ask_elsewhere(tmp_path, {"/etc/sudoers": text})
    assert told.startswith("daemon may use sudo\n")
    assert "--proxy-user daemon: daemon may use sudo" in told


@pytest.mark.root
def test_the_same_question_finds_nothing_where_nobody_is_named(tmp_path: Path) -> None:
    assert ask_elsewhere(tmp_path, {"/etc/sudoers": "root ALL=(ALL) ALL\n"}) == "\n"
