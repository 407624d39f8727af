"""The file system view as a list: what is covered, in which order, and that nothing is covered twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.errors import SandboxError
from trio_egress.kernel.mounts import RESOLVER_FILE, plan_mounts


def test_run_is_emptied_before_the_resolver_is_put_into_it() -> None:
    steps = [(step.kind, step.target) for step in plan_mounts([])]
    assert steps.index(("tmpfs", "/run")) < steps.index(("file", RESOLVER_FILE))


def test_a_hidden_directory_is_an_empty_one_that_nobody_can_write(tmp_path: Path) -> None:
    step = plan_mounts([str(tmp_path)])[-1]
    assert (step.kind, step.target, step.read_only, step.mode) == ("tmpfs", str(tmp_path), True, "0555")


def test_a_hidden_file_reads_as_empty(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret")
    step = plan_mounts([str(key)])[-1]
    assert (step.kind, step.target, step.source) == ("bind", str(key), "/dev/null")


def test_what_lies_below_a_hidden_directory_is_not_hidden_again(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "running").mkdir()
    hidden = [str(tmp_path / "run" / ".."), str(tmp_path / "run"), str(tmp_path / "running")]
    assert [s.target for s in plan_mounts(hidden) if str(tmp_path) in s.target] == [str(tmp_path)]


def test_a_neighbour_with_the_same_beginning_is_hidden_too(tmp_path: Path) -> None:
    for name in ("run", "running"):
        (tmp_path / name).mkdir()
    targets = [s.target for s in plan_mounts([str(tmp_path / "run"), str(tmp_path / "running")])]
    assert targets[-2:] == [str(tmp_path / "run"), str(tmp_path / "running")]


def test_a_link_is_hidden_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert plan_mounts([str(tmp_path / "link")])[-1].target == str(tmp_path / "real")


def test_what_cannot_be_hidden_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="cannot hide"):
        plan_mounts([str(tmp_path / "missing")])
