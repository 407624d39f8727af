"""The kernel's table of mounts, and where else a file shows up by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.kernel.mountinfo import HostMount, find_aliases, find_mount, parse_mountinfo

ROOT = HostMount("/", "/", "8:1", "ext4")


def line(
    number: int, parent: int, point: str, root: str = "/", device: str = "8:1", kind: str = "ext4"
) -> str:
    return f"{number} {parent} {device} {root} {point} rw,relatime shared:7 - {kind} /dev/vda rw\n"


def points(table: str) -> list[tuple[str, str]]:
    return [(mount.point, mount.root) for mount in parse_mountinfo(table.encode())]


def test_a_line_is_read_whatever_optional_fields_it_has() -> None:
    table = (
        b"22 1 8:1 / / rw - ext4 /dev/vda rw\n23 22 0:5 /a /b rw shared:1 master:2 - tmpfs - rw,mode=755\n"
    )
    assert parse_mountinfo(table) == (ROOT, HostMount("/b", "/a", "0:5", "tmpfs"))


def test_what_the_kernel_writes_in_octal_is_read() -> None:
    table = line(1, 0, "/") + line(2, 1, r"/a\040b\134c\012d")
    assert points(table)[1] == ("/a b\\c\nd", "/")


def test_what_a_later_mount_covers_is_left_out() -> None:
    table = line(1, 0, "/") + line(2, 1, "/a/b", "/inner") + line(3, 1, "/a", "/over") + line(4, 3, "/a/c")
    assert points(table) == [("/", "/"), ("/a", "/over"), ("/a/c", "/")]


def test_of_mounts_on_one_point_the_last_is_seen() -> None:
    table = line(1, 0, "/") + line(2, 1, "/a", "/one") + line(3, 2, "/a/x") + line(4, 2, "/a", "/two")
    assert points(table) == [("/", "/"), ("/a", "/two")]


def test_the_mounts_of_this_machine_can_be_read() -> None:
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
    assert {"/", "/proc"} <= {mount.point for mount in mounts}
    assert all(mount.point.startswith("/") for mount in mounts)


MOUNTS = (
    ROOT,
    HostMount("/srv", "/", "8:2", "ext4"),
    HostMount("/again", "/", "8:2", "ext4"),
    HostMount("/part", "/keys", "8:2", "ext4"),
    HostMount("/deep", "/audit/run/evidence", "8:2", "ext4"),
    HostMount("/other", "/elsewhere", "8:2", "ext4"),
    HostMount("/again/audit", "/", "8:3", "ext4"),
    HostMount("/root-again", "/home", "8:1", "ext4"),
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/keys/k", ("/again/keys/k", "/part/k")),
        ("/srv/keys", ("/again/keys", "/part")),
        ("/part/k", ("/srv/keys/k", "/again/keys/k")),
        ("/srv/audit/run", ("/deep",)),  # /again/audit is covered by another file system
        ("/srv/audit/run/evidence/x", ("/deep/x",)),
        ("/srv/keysx", ("/again/keysx",)),
        ("/home/a/key", ("/root-again/a/key",)),
        ("/etc/key", ()),
        ("/again/audit/x", ()),
    ],
)
def test_a_file_is_found_by_every_mount_that_shows_it(path: str, expected: tuple[str, ...]) -> None:
    assert find_aliases(path, MOUNTS) == expected


def test_a_path_is_on_the_innermost_mount() -> None:
    assert find_mount("/again/audit/x", MOUNTS) == MOUNTS[6]
    assert find_mount("/againx", MOUNTS) == ROOT
    assert find_mount("/x", ()) is None
