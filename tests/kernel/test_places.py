"""What a list of mounts leaves writable, read off the list."""

from __future__ import annotations

from trio_egress.kernel.mounts import View, plan_mounts
from trio_egress.kernel.places import find_private, find_writable
from trio_egress.kernel.steps import Mount


def test_what_is_made_writable_again_after_the_freeze_is_a_place() -> None:
    mounts = [Mount("freeze", "/"), Mount("bind", "/srv/work", "/run/0"), Mount("writable", "/srv/work")]
    assert find_writable(mounts) == ("/srv/work",)
    assert find_private(mounts) == ()


def test_what_was_writable_before_the_freeze_is_not() -> None:
    assert find_writable([Mount("tmpfs", "/tmp"), Mount("freeze", "/")]) == ()


def test_what_is_frozen_or_covered_later_is_not() -> None:
    mounts = [
        Mount("tmpfs", "/dev"),
        Mount("read_only", "/dev"),
        Mount("overlay", "/home/a"),
        Mount("tmpfs", "/tmp"),
    ]
    assert find_writable([*mounts, Mount("tmpfs", "/tmp", read_only=True)]) == ("/home/a",)


def test_what_lies_in_memory_is_private() -> None:
    mounts = [
        Mount("tmpfs", "/tmp"),
        Mount("overlay", "/home/a"),
        Mount("bind", "/srv", "x"),
        Mount("writable", "/srv"),
    ]
    assert find_private(mounts) == ("/home/a", "/tmp")


def test_what_is_covered_from_above_is_not_private() -> None:
    mounts = [
        Mount("tmpfs", "/tmp"),
        Mount("overlay", "/srv/all/home", "/run/home"),
        Mount("bind", "/srv/all", "/run/0"),
        Mount("writable", "/srv/all"),
    ]
    assert find_writable(mounts) == ("/srv/all", "/tmp")
    assert find_private(mounts) == ("/tmp",)


def test_a_bind_of_a_place_onto_itself_covers_nothing() -> None:
    mounts = [Mount("tmpfs", "/srv/all/tmp"), Mount("bind", "/srv/all", "/srv/all")]
    assert find_private(mounts) == ("/srv/all/tmp",)


def test_the_directories_of_sockets_are_never_a_place() -> None:
    places = find_writable(plan_mounts(View("/usr", home="", owner=0, group=0, root=False, host=())))
    assert not {"/", "/run", "/var/run", "/proc"} & set(places)
    assert {"/usr", "/tmp", "/dev/shm"} <= set(places)
