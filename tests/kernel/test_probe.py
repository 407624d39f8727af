"""The doctor on this machine, and its cures where something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import trio_egress
from trio_egress.kernel.identity import Identities, Ids
from trio_egress.kernel.probe import (
    Limits,
    Probe,
    judge_namespaces,
    judge_platform,
    judge_python,
    namespace_cure,
    probe_all,
)

SOURCE = str(Path(trio_egress.__file__).parent.parent)
NAMES = [
    "platform",
    "python",
    "namespaces",
    "interpreter",
    *([] if os.geteuid() == 0 else ["subordinate"]),
    "mounts",
    "redirect",
    "log",
    "seccomp",
    "notification",
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


# judgement


@pytest.mark.parametrize(
    ("release", "machine", "status", "cure"),
    [
        ("6.18.44-generic", "x86_64", "ok", ""),
        ("5.2", "aarch64", "ok", ""),
        ("5.1.99", "x86_64", "fail", "use Linux 5.2 or newer"),
        ("4.19.0-27", "x86_64", "fail", "use Linux 5.2 or newer"),
        ("nonsense", "x86_64", "fail", "use Linux 5.2 or newer"),
        ("6.18.44", "riscv64", "fail", "use one of aarch64, x86_64"),
    ],
)
def test_platform_is_judged(release: str, machine: str, status: str, cure: str) -> None:
    probe = judge_platform(release, machine)
    assert (probe.status, probe.cure) == (status, cure)


def test_old_python_fails() -> None:
    assert judge_python(("3", "9", "18"), "/usr/bin/python3").status == "fail"
    assert judge_python(("3", "10", "0"), "/usr/bin/python3").status == "ok"


ME, AGENT = Ids(1000, 1000, "me", "/home/me"), Ids(65534, 65534, "nobody", "")
ORDINARY, ROOT = Identities(False, ME, ME), Identities(True, ME, AGENT)
NO_LIMIT = Limits(None, None, None)


def judged(failure: str, limits: Limits, identities: Identities) -> dict[str, str]:
    return {probe.name: probe.status for probe in judge_namespaces(failure, limits, identities)}


def test_apparmor_fails_only_where_it_is_in_the_way() -> None:
    restricted = Limits(1, 96365, 1)
    assert judged("not permitted", restricted, ORDINARY) == {
        "namespaces": "fail",
        "apparmor": "fail",
        "sysctl": "ok",
    }
    assert judged("", restricted, ORDINARY) == {"namespaces": "ok", "apparmor": "ok", "sysctl": "ok"}
    assert judged("", restricted, ROOT) == {"namespaces": "ok", "apparmor": "ok", "sysctl": "ok"}
    assert judged("", Limits(0, None, None), ORDINARY) == {"namespaces": "ok", "apparmor": "ok"}
    assert judged("", NO_LIMIT, ORDINARY) == {"namespaces": "ok"}


def test_setting_that_forbids_is_named_with_its_cure() -> None:
    lines = list(judge_namespaces("not permitted", Limits(None, 0, 0), ORDINARY))
    assert [(probe.status, probe.cure) for probe in lines if probe.name == "sysctl"] == [
        ("warn", "sudo sysctl -w user.max_user_namespaces=15000"),
        ("warn", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    ]


@pytest.mark.parametrize(
    ("limits", "root", "words"),
    [
        (Limits(1, 0, None), False, ["user.max_user_namespaces=15000"]),
        (Limits(1, 0, None), True, ["user.max_user_namespaces=15000"]),
        (NO_LIMIT, True, ["root is not enough", "seccomp=unconfined", "SYS_ADMIN"]),
        (NO_LIMIT, False, ["sudo trio-egress run", "systempaths=unconfined"]),
        (Limits(None, None, 0), False, ["sudo trio-egress run", "kernel.unprivileged_userns_clone=1"]),
        (
            Limits(1, None, 1),
            False,
            [
                "sudo trio-egress run",
                "apparmor_restrict_unprivileged_userns=0",
                "apparmor_parser -r",
                "userns,",
            ],
        ),
    ],
)
def test_cure_names_what_forbids(limits: Limits, root: bool, words: list[str]) -> None:
    cure = namespace_cure(limits, root)
    for word in words:
        assert word in cure


def test_apparmor_profile_is_one_line_that_a_shell_can_run(tmp_path: Path) -> None:
    line = namespace_cure(Limits(1, None, None), False).splitlines()[-1]
    command = line.partition("interpreter: ")[2].partition(" | sudo")[0]
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[:2] == ["abi <abi/4.0>,", "include <tunables/global>"]
    assert f"profile trio-egress {os.path.realpath(sys.executable)} flags=(unconfined)" in done.stdout


# machines that lack something


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


def test_another_listener_around_it_is_a_warning_with_its_cure() -> None:
    listen = """
allow = struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000)
syscalls.set_no_new_privs()
syscalls.install_seccomp(allow, syscalls.SECCOMP_FILTER_FLAG_NEW_LISTENER)
"""
    (line,) = [
        line for line in probe_under(REFUSE + listen).splitlines() if line.split()[1] == "notification"
    ]
    assert line.startswith(
        "warn notification refused system calls leave no receipt: unsupported:EBUSY | refused"
    )


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


@pytest.mark.root
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
