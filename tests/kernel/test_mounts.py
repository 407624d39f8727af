"""The file system view as a list: what is covered, in which order, and that nothing is covered twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trio_egress.errors import SandboxError
from trio_egress.kernel.mounts import RESOLVER_FILE, View
from trio_egress.kernel.mounts import plan_mounts as plan_view
from trio_egress.kernel.steps import Mount


def plan_mounts(
    hidden: list[str], *, directory: str = "/usr", home: str = "", sockets: tuple[str, ...] = ()
) -> list[Mount]:
    """The mounts of a view that hides these."""
    view = View(
        directory=directory,
        home=home,
        owner=0,
        group=0,
        root=False,
        host=(),
        hide=tuple(hidden),
        sockets=sockets,
    )
    return list(plan_view(view))


def find(steps: list[Mount], path: Path) -> list[Mount]:
    return [step for step in steps if step.target == str(path)]


def test_run_is_emptied_before_the_resolver_is_put_into_it() -> None:
    steps = [(step.kind, step.target) for step in plan_mounts([])]
    assert steps.index(("tmpfs", "/run")) < steps.index(("file", RESOLVER_FILE))


def test_a_hidden_directory_is_an_empty_one_that_nobody_can_write(tmp_path: Path) -> None:
    (step,) = find(plan_mounts([str(tmp_path)]), tmp_path)
    assert (step.kind, step.target, step.read_only, step.mode) == ("tmpfs", str(tmp_path), True, "0555")


def test_a_hidden_file_reads_as_empty(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret")
    (step,) = find(plan_mounts([str(key)]), key)
    assert (step.kind, step.target, step.source) == ("bind", str(key), "/dev/null")


def test_what_lies_below_a_hidden_directory_is_not_hidden_again(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "running").mkdir()
    hidden = [str(tmp_path / "run" / ".."), str(tmp_path / "run"), str(tmp_path / "running")]
    assert [s.target for s in plan_mounts(hidden) if str(tmp_path) in s.target] == [str(tmp_path)]


def test_a_neighbour_with_the_same_beginning_is_hidden_too(tmp_path: Path) -> None:
    for name in ("run", "running"):
        (tmp_path / name).mkdir()
    steps = plan_mounts([str(tmp_path / "run"), str(tmp_path / "running")])
    assert find(steps, tmp_path / "run")
    assert find(steps, tmp_path / "running")


def test_a_link_is_hidden_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    steps = plan_mounts([str(tmp_path / "link")])
    assert find(steps, tmp_path / "real")
    assert not find(steps, tmp_path / "link")


def test_what_cannot_be_hidden_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="cannot hide"):
        plan_mounts([str(tmp_path / "missing")])


def test_the_host_is_frozen_before_anything_is_made_writable_again() -> None:
    steps = [(step.kind, step.target) for step in plan_mounts([], directory="/usr")]
    assert steps.index(("freeze", "/")) < min(i for i, step in enumerate(steps) if step[0] == "writable")
    assert steps.index(("freeze", "/")) < steps.index(("bind", "/usr")) < steps.index(("writable", "/usr"))


def test_what_is_hidden_is_hidden_after_all_that_could_uncover_it(tmp_path: Path) -> None:
    steps = plan_mounts([str(tmp_path)], directory="/usr")
    at = steps.index(find(steps, tmp_path)[0])
    assert not [step for step in steps[at:] if step.kind in ("overlay", "writable")]


def test_the_root_directory_is_never_made_writable() -> None:
    assert not [
        step for step in plan_mounts([], directory="/") if (step.kind, step.target) == ("writable", "/")
    ]


def test_a_socket_with_a_path_is_covered_where_it_could_be_seen() -> None:
    steps = plan_mounts([], sockets=("/usr/x.sock", "/run/y.sock", "/tmp/z.sock"))
    assert [(s.source, s.optional) for s in find(steps, Path("/usr/x.sock"))] == [("/dev/null", True)]
    assert not find(steps, Path("/run/y.sock"))
    assert not find(steps, Path("/tmp/z.sock"))


def test_a_socket_in_the_working_directory_is_covered_below_tmp_too(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    below = f"/tmp/{os.path.relpath(work, '/tmp')}"
    steps = plan_mounts([], directory=below, sockets=(f"{below}/x.sock", "/tmp/y.sock"))
    assert [s.source for s in find(steps, Path(f"{below}/x.sock"))] == ["/dev/null"]
    assert not find(steps, Path("/tmp/y.sock"))
