"""The run's own cgroup: where one can be made, what is written into it, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from tests.runs.launch import Place, wait_until, write_policy

from trio_egress.errors import SandboxError
from trio_egress.kernel.cgroup import fill_group, find_parent, open_group
from trio_egress.kernel.resources import Resources

NOTHING = Resources(None, None, None, None, None, 0, ())
LIMITED = attrs.evolve(NOTHING, memory=1 << 28, processes=64)


def mountinfo(point: Path, root: str = "/") -> str:
    return f"30 1 0:26 / /proc rw - proc proc rw\n31 1 0:27 {root} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"


def make_tree(top: Path, **controllers: str) -> None:
    """Cgroups by path (`__` for a slash) with what each gives its children."""
    for name, given in {"": "", **controllers}.items():
        folder = top / name.replace("__", "/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.subtree_control").write_text(f"{given}\n")
        (folder / "cgroup.procs").touch()


def test_the_nearest_cgroup_above_that_gives_controllers_is_taken(tmp_path: Path) -> None:
    make_tree(
        tmp_path, user="cpu memory pids", user__app="memory", user__app__run="", user__app__run__leaf=""
    )
    assert find_parent(mountinfo(tmp_path), "0::/user/app/run/leaf\n") == tmp_path / "user" / "app"


def test_the_callers_own_cgroup_is_never_taken(tmp_path: Path) -> None:
    make_tree(tmp_path, own="memory pids")
    assert find_parent(mountinfo(tmp_path), "0::/own\n") is None


def test_a_cgroup_without_memory_and_pids_is_not_taken(tmp_path: Path) -> None:
    make_tree(tmp_path, user="cpu io hugetlb", user__run="")
    assert find_parent(mountinfo(tmp_path), "0::/user/run\n") is None


def test_paths_count_from_what_is_mounted(tmp_path: Path) -> None:
    make_tree(tmp_path, app="pids", app__run="")
    assert find_parent(mountinfo(tmp_path, "/box"), "0::/box/app/run\n") == tmp_path / "app"
    assert find_parent(mountinfo(tmp_path, "/box"), "0::/elsewhere/app/run\n") is None


@pytest.mark.parametrize("membership", ["", "4:memory:/x\n", "0::/gone/away\n", "0::/../other\n"])
def test_where_there_is_nothing_to_find_nothing_is_found(tmp_path: Path, membership: str) -> None:
    make_tree(tmp_path)
    assert find_parent(mountinfo(tmp_path), membership) is None
    assert find_parent("30 1 0:26 / /proc rw - proc proc rw\n", membership) is None


def make_group(top: Path, given: str = "memory pids") -> Path:
    make_tree(top, parent=given)
    path = top / "parent" / "run"
    path.mkdir()
    for name in ("cgroup.procs", "memory.events", "pids.events", "cpu.stat", "memory.swap.max"):
        (path / name).touch()
    return path


def test_limits_are_written_where_the_controller_is(tmp_path: Path) -> None:
    path = make_group(tmp_path)
    group = fill_group(path, LIMITED)
    written = {p.name: p.read_text().strip() for p in path.iterdir() if p.stat().st_size}
    expected = {"memory.max": "268435456", "memory.oom.group": "1", "memory.swap.max": "0", "pids.max": "64"}
    assert written == expected
    assert sorted(group.descriptors) == ["cpu", "memory", "pids", "procs"]
    for descriptor in group.descriptors.values():
        os.close(descriptor)


def test_a_limit_that_is_offered_and_refused_is_an_error(tmp_path: Path) -> None:
    path = make_group(tmp_path)
    (path / "pids.max").mkdir()
    with pytest.raises(SandboxError, match="cannot set up the cgroup"):
        fill_group(path, LIMITED)


def test_where_none_can_be_made_there_is_none(tmp_path: Path) -> None:
    with open_group(None, LIMITED) as group:
        assert group is None
    with open_group(tmp_path / "missing", LIMITED) as group:
        assert group is None


@pytest.fixture
def top() -> Path:
    """A real cgroup in which this user may make another."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line and os.access(line.split()[4], os.W_OK):
            return Path(line.split()[4])
    pytest.skip("no cgroup2 here that this user may write to")


def groups(top: Path) -> list[Path]:
    return list(top.glob("trio-egress-*"))


@pytest.mark.root
def test_a_process_moves_in_and_the_cgroup_is_removed_at_the_end(top: Path) -> None:
    with open_group(top, NOTHING) as group:
        assert group is not None
        command = ["bash", "-c", f"echo 0 >&{group.descriptors['procs']}; cat /proc/self/cgroup"]
        ran = subprocess.run(command, pass_fds=[group.descriptors["procs"]], capture_output=True, check=True)
        assert f"/{group.path.name}\n" in ran.stdout.decode()
        assert group.path.is_dir()
    assert not group.path.exists()


@pytest.mark.root
def test_the_cgroup_goes_even_when_its_maker_is_killed(top: Path) -> None:
    program = f"""
import time
from pathlib import Path
from trio_egress.kernel.cgroup import open_group
from trio_egress.kernel.resources import Resources
with open_group(Path({str(top)!r}), Resources(None, None, None, None, None, 0, ())) as group:
    print(group.path, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        path = Path(maker.stdout.readline().strip())
        assert path.is_dir()
        maker.send_signal(signal.SIGKILL)
    wait_until(lambda: not path.exists(), "the cgroup is gone")


INSIDE = """
import sys
from pathlib import Path
from trio_egress.cli.main import main
from trio_egress.runtime import sandbox
sandbox.find_own_parent = lambda: Path({!r})
sys.exit(main())
"""


class PlaceInGroup(Place):
    """Runs as where `top` gives its children controllers, although it gives none."""

    top: Path

    def program(self, command: str, number: int) -> list[str]:
        given = super().program(command, number)
        return [sys.executable, "-c", INSIDE.format(str(self.top)), *given[given.index(command) :]]


@pytest.mark.root
@pytest.mark.sandbox
def test_the_agent_of_a_run_is_in_it_and_the_supervisor_is_not(top: Path) -> None:
    place = PlaceInGroup()
    place.top = top
    try:
        started = place.start(write_policy(), "sh", "-c", "cat /proc/self/cgroup; sleep 0.5")
        wait_until(lambda: started.out.read_text(), "the agent runs")
        assert "trio-egress-" not in Path(f"/proc/{started.pid}/cgroup").read_text()
        ended = started.wait()
        assert "trio-egress-" in ended.text
        wait_until(lambda: not groups(top), "no cgroup is left")
    finally:
        place.close()
