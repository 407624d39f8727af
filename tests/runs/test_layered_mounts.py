"""A host with mounts in its directories, as in containers, in real runs: what is mounted stays to be seen, and no more.

As an ordinary user the mounts are made in a user namespace of the test's own, in which that user is an ordinary one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runs.launch import AGENT, AS_ROOT, Ended, Place, write_policy

from trio_egress.kernel import syscalls

pytestmark = pytest.mark.sandbox


def enter(*mounts: Callable[[], None], directory: Path) -> Callable[[], None]:
    """What a run is started with: a mount namespace of its own with these mounts."""

    def become() -> None:
        uid, gid = os.getuid(), os.getgid()
        syscalls.unshare(syscalls.CLONE_NEWNS | (0 if AS_ROOT else syscalls.CLONE_NEWUSER))
        if not AS_ROOT:
            for file, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{uid} {uid} 1"),
                ("gid_map", f"{gid} {gid} 1"),
            ):
                Path(f"/proc/self/{file}").write_text(text)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        for mount in mounts:
            mount()
        os.chdir(directory)
        syscalls.drop_capabilities() if not AS_ROOT else None

    return become


def bind(source: Path, target: Path) -> Callable[[], None]:
    return lambda: syscalls.mount(str(source), str(target), None, syscalls.MS_BIND | syscalls.MS_REC)


def tmpfs(target: Path, text: str) -> Callable[[], None]:
    def mount() -> None:
        syscalls.mount("tmpfs", str(target), "tmpfs", 0, "mode=0777")
        (target / "file").write_text(text)

    return mount


def run(place: Place, script: str, *mounts: Callable[[], None], home: Path | None = None) -> Ended:
    policy = write_policy(more="" if home is None else f"[env]\nset = {{HOME = '{home}'}}\n")
    return place.run(policy, "sh", "-c", script, preexec_fn=enter(*mounts, directory=place.work))


def bare(ended: Ended) -> list[str]:
    found: list[str] = json.loads((ended.evidence / "posture.json").read_text())["bare"]
    return found


def test_a_container_s_files_in_etc_are_seen_and_all_of_etc_beside_them(place: Place) -> None:
    name = place.write("hostname", "from-the-container\n")
    script = "cat /etc/hostname; ls /etc; cat /etc/os-release; touch /etc/new; echo x >>/etc/hostname"
    ended = run(place, script, bind(name, Path("/etc/hostname")))
    listed = subprocess.run(["ls", "/etc"], capture_output=True, text=True, check=True).stdout
    assert ended.text == name.read_text() + listed + Path("/etc/os-release").read_text()
    assert bare(ended) == []
    assert name.read_text() == "from-the-container\n"


def test_a_directory_with_a_mount_in_it_shows_both_and_no_other_proc(place: Place) -> None:
    host = place.path / "host"
    for name in ("in/deep/mounted", "in/proc", "beside"):
        (host / name).mkdir(parents=True)
    (host / "in/deep/own").write_text("own\n")
    (host / "in/link").symlink_to("deep/own")
    script = f"cd {host}; cat in/deep/own in/link in/deep/mounted/file; ls in/proc"
    mounts = tmpfs(host / "in/deep/mounted", "mounted\n"), bind(Path("/proc"), host / "in/proc")
    ended = run(place, script, *mounts)
    assert (ended.text, bare(ended)) == ("own\nown\nmounted\n", [])


def test_what_is_mounted_is_read_only_too(place: Place) -> None:
    (place.path / "mnt").mkdir()
    script = f"echo x >>{place.path}/mnt/file; echo x >{place.path}/mnt/new; cat {place.path}/mnt/*"
    assert run(place, script, tmpfs(place.path / "mnt", "mounted\n")).text == "mounted\n"


def test_a_socket_on_a_mount_leads_nowhere(place: Place) -> None:
    host = place.path / "host"
    for name in ("in/mounted", "real"):
        (host / name).mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(host / "real/bound"))
        (host / "real/bound").rename(host / "real/socket")
        (host / "real/socket").chmod(0o666)
        service.listen()
        connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        script = f"{sys.executable} -c '{connect}' {host}/in/mounted/socket"
        ended = run(place, script, bind(host / "real", host / "in/mounted"))
    assert ended.code == 1
    assert "Connection refused" in ended.err


def test_a_home_with_a_mount_in_it_keeps_changes_in_memory(place: Place) -> None:
    home = place.path / "home"
    for name in (".config/tool", ".cache/mounted", ".ssh"):
        (home / name).mkdir(parents=True)
    (home / ".profile").write_text("as it was\n")
    (home / ".config/tool/settings").write_text("settings\n")
    (home / ".ssh/key").write_text("secret\n")
    (home / "link").symlink_to(".profile")
    for folder, names, files in os.walk(home):
        for name in (".", *names, *files):
            os.chown(Path(folder, name), AGENT.pw_uid, AGENT.pw_gid, follow_symlinks=False)
    script = (
        "cat link .config/tool/settings .cache/mounted/file; ls .ssh; echo x >.profile; echo x >.config/tool/new;"
        "echo x >new; mkdir .cache/more; cat .profile .config/tool/new new; ls .cache; echo x >.cache/mounted/new"
    )
    ended = run(place, f"cd; {script}", tmpfs(home / ".cache/mounted", "mounted\n"), home=home)
    assert ended.text == "as it was\nsettings\nmounted\nx\nx\nx\nmore\nmounted\n"
    assert (home / ".profile").read_text() == "as it was\n"
    assert sorted(os.listdir(home)) == [".cache", ".config", ".profile", ".ssh", "link"]
    assert os.listdir(home / ".config/tool") == ["settings"]
    assert ended.verify() == 0


def test_what_refuses_to_be_a_layer_is_seen_as_it_is_and_told(place: Place) -> None:
    """Two overlays on one another already: a third is more than the kernel stacks (EINVAL)."""
    folders = [place.path / name for name in ("lower", "empty", "one", "two")]
    for folder in folders:
        folder.mkdir()
    lower, empty, one, two = folders
    (lower / "file").write_text("seen\n")

    def stack() -> None:
        for below, above in ((lower, one), (one, two)):
            syscalls.mount("overlay", str(above), "overlay", 0, f"lowerdir={below}:{empty},userxattr")

    ended = run(place, f"cat {two}/file; echo x >{two}/file; echo x >{two}/new", stack)
    assert (ended.text, bare(ended)) == ("seen\n", [str(two)])
    assert (lower / "file").read_text() == "seen\n"
