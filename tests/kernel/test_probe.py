"""The doctor on this machine, and its cures where something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trio_egress
from trio_egress.kernel.probe import Probe, probe_all

SOURCE = str(Path(trio_egress.__file__).parent.parent)
NAMES = [
    "platform",
    "python",
    "namespaces",
    "interpreter",
    "mounts",
    "redirect",
    "log",
    "seccomp",
    "landlock",
    "splice",
]


@pytest.fixture(scope="module")
def probes() -> list[Probe]:
    return probe_all()


def test_failure_has_a_cure_and_success_has_none(probes: list[Probe]) -> None:
    for probe in probes:
        assert probe.found
        assert bool(probe.cure) == (probe.status != "ok"), probe


@pytest.mark.sandbox
def test_every_facility_is_probed(probes: list[Probe]) -> None:
    if any(probe.name == "namespaces" and probe.status == "fail" for probe in probes):
        pytest.skip("no user namespaces for this user here; see trio-egress doctor")
    names = [probe.name for probe in probes]
    assert [name for name in dict.fromkeys(names) if name in NAMES] == NAMES
    assert names.count("redirect") == 2  # both families


def test_unknown_user_is_a_line(probes: list[Probe]) -> None:
    last = probe_all("no-such-user")[-1]
    assert (last.name, last.status) == ("identity", "fail")
    assert "no-such-user" in last.found


def probe_under(prelude: str) -> str:
    """The lines of a doctor that runs after `prelude` in a process of its own."""
    code = f"import sys; sys.path.append({SOURCE!r})\n{prelude}\n"
    code += "from trio_egress.kernel.probe import probe_all\n"
    code += "for probe in probe_all(): print(probe.status, probe.name, probe.found, '|', probe.cure)"
    path = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    return done.stdout


REFUSE = """
import struct
from trio_egress.kernel import syscalls
def refuse(number, errno):  # this call fails from now on, as under a container engine
    lines = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | errno), (0x06, 0, 0, 0x7FFF0000)]
    syscalls.set_no_new_privs()
    syscalls.install_seccomp(b"".join(struct.pack("<HBBI", *line) for line in lines))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64")
@pytest.mark.parametrize(
    ("number", "name", "cure"),
    [
        (272, "namespaces", "seccomp=unconfined"),  # unshare
        (317, "seccomp", "CONFIG_SECCOMP_FILTER"),
        (275, "splice", "copied"),
    ],
)
def test_missing_call_is_a_line_with_its_cure(number: int, name: str, cure: str) -> None:
    lines = probe_under(f"{REFUSE}\nrefuse({number}, 1)").splitlines()
    (line,) = [line for line in lines if line.split()[1] == name]
    assert line.startswith(("fail", "warn"))
    assert "not permitted" in line
    assert cure in "".join(lines)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64")
def test_missing_landlock_is_a_warning() -> None:
    assert "warn landlock missing" in probe_under(f"{REFUSE}\nrefuse(444, 38)")


@pytest.mark.sandbox
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64")
def test_kernel_that_makes_no_netfilter_socket_is_a_line_with_its_cure() -> None:
    """socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), and no other socket, fails."""
    refuse = """
lines = [(0x20, 0, 0, 0), (0x15, 0, 5, 41), (0x20, 0, 0, 16), (0x15, 0, 3, 16), (0x20, 0, 0, 32),
         (0x15, 0, 1, 12), (0x06, 0, 0, 0x5005D), (0x06, 0, 0, 0x7FFF0000)]
syscalls.set_no_new_privs()
syscalls.install_seccomp(b"".join(struct.pack("<HBBI", *line) for line in lines))
"""
    told = probe_under(REFUSE + refuse)
    if "fail namespaces" in told:
        pytest.skip("no user namespaces for this user here; see trio-egress doctor")
    assert "fail network Protocol not supported | load what the kernel" in told
    assert "modprobe" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the agent as another user")
def test_interpreter_that_the_agent_may_not_start_is_a_line_with_its_cure(tmp_path: Path) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    program = closed / "python"
    program.symlink_to(sys.executable)
    told = probe_under(f"sys.executable = {str(program)!r}")
    (line,) = [line for line in told.splitlines() if line.split()[1] == "interpreter"]
    assert line.startswith("fail interpreter cannot start ")
    assert "Permission denied" in line
    assert "use a Python outside of home directories" in line
