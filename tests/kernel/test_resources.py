"""Limits for this machine: what is given, what is the default, what no agent could live with."""

from __future__ import annotations

import pytest

from trio_egress.errors import SandboxError
from trio_egress.kernel.identity import Identities, Ids
from trio_egress.kernel.resources import find_available, limit_mounts, plan_resources
from trio_egress.kernel.steps import Mount
from trio_egress.resource_limits import ResourceLimits

SOMEBODY = Ids(1000, 1000, "somebody", "")
ORDINARY = Identities(False, SOMEBODY, SOMEBODY)
ROOT = Identities(True, Ids(65533, 65533, "65533", ""), SOMEBODY)
GIB = 1 << 30


def test_without_a_limit_the_machine_keeps_an_eighth_of_its_memory() -> None:
    assert plan_resources(ResourceLimits(), ORDINARY, (), 8 * GIB).memory == 7 * GIB


def test_what_is_given_stands() -> None:
    planned = plan_resources(ResourceLimits(64, 128, GIB, 1 << 20, 60), ORDINARY, ["/tmp"], 8 * GIB)
    given = (planned.processes, planned.open_files, planned.memory, planned.file_size, planned.cpu_seconds)
    assert given == (64, 128, GIB, 1 << 20, 60)
    assert planned.private == ("/tmp",)


def test_processes_of_ours_that_are_the_agents_user_count_beside() -> None:
    assert plan_resources(ResourceLimits(), ORDINARY, (), GIB).neighbours == 2
    assert plan_resources(ResourceLimits(), ROOT, (), GIB).neighbours == 0


@pytest.mark.parametrize(
    "limits",
    [
        ResourceLimits(memory_bytes=(32 << 20) - 1),
        ResourceLimits(processes=0),
        ResourceLimits(open_files=0),
        ResourceLimits(file_bytes=0),
        ResourceLimits(cpu_seconds=0),
    ],
)
def test_what_no_agent_could_live_with_is_refused(limits: ResourceLimits) -> None:
    with pytest.raises(SandboxError, match="limit"):
        plan_resources(limits, ORDINARY, (), GIB)


def test_this_machine_has_memory() -> None:
    assert 32 << 20 < find_available() < 1 << 50


def test_only_what_lies_in_memory_gets_a_size() -> None:
    resources = plan_resources(ResourceLimits(memory_bytes=GIB), ORDINARY, (), GIB)
    sized = limit_mounts(
        [Mount("tmpfs", "/tmp"), Mount("overlay", "/home/a"), Mount("freeze", "/")], resources
    )
    assert [step.size for step in sized] == [GIB, 0, 0]
