"""What the agent is and what it sees, told by itself; and what the supervisor is while the agent runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runs.launch import AGENT, AS_ROOT, Ended, Place, wait_until, write_policy
from tests.runs.remains import find_recorder

from trio_egress.kernel.posture import UNSUPPORTED_PATHS

pytestmark = pytest.mark.sandbox

TELL = """
import json, os, sys

def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return f"cannot: {error.strerror}"

def listed(path):
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        return f"cannot: {error.strerror}"

here, evidence, key = sys.argv[1:]
descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
told = {
    "ids": [*os.getresuid(), *os.getresgid()],
    "groups": os.getgroups(),
    "pid": os.getpid(),
    "parent": os.getppid(),
    "session": os.getsid(0),
    "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
    "directory": os.getcwd(),
    "environment": dict(os.environ),
    "descriptors": sorted(d for d in descriptors if os.path.exists(f"/proc/self/fd/{d}")),
    "status": dict(line.split(":", 1) for line in read("/proc/self/status").splitlines()),
    "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")},
    "interfaces": read("/proc/net/dev"),
    "resolver": read("/etc/resolv.conf"),
    "run": listed("/run"),
    "evidence": listed(evidence),
    "evidence file": read(os.path.join(evidence, "evidence.jsonl")),
    "key": read(key),
    "init": {name: read(f"/proc/1/{name}") for name in ("environ", "maps", "cmdline")},
    "umask": os.umask(0o22),
}
told["init"]["descriptors"] = listed("/proc/1/fd")
json.dump(told, sys.stdout)
"""

INHERITED = {
    "HTTP_PROXY": "http://outside:1",
    "https_proxy": "http://outside:2",
    "ALL_PROXY": "socks5://outside:3",
    "no_proxy": "example.com",
    "KEPT": "as it was",
}


def tell(place: Place, *options: str) -> tuple[Ended, dict[str, Any]]:
    """A run of an agent that tells what it sees; some descriptors of ours are open to whoever we start."""
    place.write("tell.py", TELL)
    open_files = [os.open("/etc/hostname", os.O_RDONLY) for _ in range(3)]
    ended = place.run(
        write_policy(),
        *[sys.executable, "-I", "-S", str(place.path / "tell.py")],
        *map(str, [place.path, place.path / "evidence-0", place.key_file]),
        options=options,
        environment=INHERITED,
        pass_fds=open_files,
    )
    for descriptor in open_files:
        os.close(descriptor)
    assert ended.code == 0
    told: dict[str, Any] = json.loads(ended.out)
    return ended, told


@pytest.fixture(scope="module")
def run() -> Iterator[tuple[Ended, dict[str, Any]]]:
    place = Place()
    try:
        yield tell(place)
    finally:
        place.close()


@pytest.fixture
def told(run: tuple[Ended, dict[str, Any]]) -> dict[str, Any]:
    return run[1]


def test_the_packet_of_this_run_is_valid(run: tuple[Ended, dict[str, Any]]) -> None:
    assert run[0].verify() == 0
    assert run[0].verify_foreign() == 0


def test_the_agent_is_an_ordinary_user_with_no_other_id(told: dict[str, Any]) -> None:
    assert told["ids"] == [AGENT.pw_uid] * 3 + [AGENT.pw_gid] * 3
    assert told["ids"][0] != 0
    if AS_ROOT:
        assert told["groups"] == []


@pytest.mark.parametrize("name", ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
def test_the_agent_has_no_capability(told: dict[str, Any], name: str) -> None:
    assert int(told["status"][name], 16) == 0


def test_the_agent_can_gain_no_privilege_and_is_filtered(told: dict[str, Any]) -> None:
    assert told["status"]["NoNewPrivs"].strip() == "1"
    assert told["status"]["Seccomp"].strip() == "2"


def test_the_agent_sees_its_own_processes_alone(told: dict[str, Any]) -> None:
    assert told["processes"] == [1, told["pid"]]
    assert told["parent"] == 1
    assert told["session"] == told["pid"]


@pytest.mark.parametrize("name", ["net", "pid", "mnt", "ipc", "uts", "user", "cgroup"])
def test_the_agent_is_in_a_namespace_of_its_own(told: dict[str, Any], name: str) -> None:
    assert told["namespaces"][name] != os.readlink(f"/proc/self/ns/{name}")


def test_the_agent_has_one_interface(told: dict[str, Any]) -> None:
    names = [line.partition(":")[0].strip() for line in told["interfaces"].splitlines()[2:]]
    assert names == ["lo"]


def test_the_packet_says_what_is_outside_the_control_point(run: tuple[Ended, dict[str, Any]]) -> None:
    posture = json.loads((run[0].evidence / "posture.json").read_text())
    packet = json.loads((run[0].evidence / "packet.json").read_text())
    assert posture["unsupported_paths"] == list(UNSUPPORTED_PATHS)
    assert packet["posture"]["unsupported_paths"][: len(UNSUPPORTED_PATHS)] == list(UNSUPPORTED_PATHS)


def test_the_agent_has_no_descriptor_but_the_three(told: dict[str, Any]) -> None:
    assert told["descriptors"] == [0, 1, 2]


def test_inherited_proxies_are_gone_and_ours_is_named(
    run: tuple[Ended, dict[str, Any]], told: dict[str, Any]
) -> None:
    environment = told["environment"]
    assert [name for name in environment if name.lower().endswith("_proxy")] == ["TRIO_EGRESS_PROXY"]
    assert environment["TRIO_EGRESS_PROXY"] == "http://127.0.0.1:8888"
    assert environment["TRIO_EGRESS_RUN"] == run[0].status["run_id"]
    assert environment["KEPT"] == "as it was"


def test_proxy_variables_are_ours_where_they_are_asked_for(place: Place) -> None:
    ended, told = tell(place, "--proxy-variables", "--proxy-port", "3128")
    environment = told["environment"]
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "TRIO_EGRESS_PROXY"):
        assert environment[name] == "http://127.0.0.1:3128"
    assert "ALL_PROXY" not in environment
    assert "outside" not in json.dumps(environment)
    assert ended.verify() == 0


def test_home_is_that_of_the_agents_user(told: dict[str, Any]) -> None:
    if AS_ROOT:
        assert told["environment"]["HOME"] == "/tmp"  # nobody's own home does not exist
        assert told["environment"]["USER"] == AGENT.pw_name
    else:
        assert told["environment"].get("HOME") == os.environ.get("HOME")


def test_the_agent_starts_where_the_run_was_started(run: tuple[Ended, dict[str, Any]]) -> None:
    assert run[1]["directory"] == str(run[0].work)


def test_the_agents_resolver_is_the_stub(told: dict[str, Any]) -> None:
    assert "nameserver 127.0.0.1\n" in told["resolver"]
    assert told["resolver"] != Path("/etc/resolv.conf").read_text()


IN_A_DOMAIN = """
import ctypes, os, socket, sys
CLONE_NEWUTS = 0x04000000
assert ctypes.CDLL(None).unshare(CLONE_NEWUTS) == 0
socket.sethostname("ci.corp.example")
os.execv(sys.argv[1], sys.argv[1:])
"""


class PlaceInADomain(Place):
    def program(self, command: str, number: int) -> list[str]:
        return [sys.executable, "-c", IN_A_DOMAIN, *super().program(command, number)]


@pytest.mark.root  # nobody else may give the machine another name
def test_a_denied_name_stays_the_same_name_in_a_domain_with_a_wildcard() -> None:
    place = PlaceInADomain()
    try:
        command = ["sh", "-c", "uname -n; getent ahosts evil.test"]
        ended = place.run(write_policy("*.corp.example"), *command)
        assert ended.out == b"ci.corp.example\n"
        assert {query.target for query in ended.queries} == {"dns:evil.test"}
        assert ended.verify() == 0
    finally:
        place.close()


def test_run_is_empty_but_for_what_is_ours(told: dict[str, Any]) -> None:
    assert set(told["run"]) <= {"trio-egress", "systemd", "resolvconf", "NetworkManager"}


def test_the_agent_sees_neither_evidence_nor_key(run: tuple[Ended, dict[str, Any]]) -> None:
    ended, told = run
    assert len((ended.evidence / "evidence.jsonl").read_bytes()) > 0  # they are there, outside
    assert told["evidence"] == [] or str(told["evidence"]).startswith("cannot:")
    assert told["evidence file"].startswith("cannot:")
    assert told["key"] == "" or told["key"].startswith("cannot:")


def test_the_agent_cannot_look_into_pid_1(told: dict[str, Any]) -> None:
    assert str(told["init"]["descriptors"]).startswith("cannot:")
    assert told["init"]["environ"].startswith("cannot:")
    assert told["init"]["maps"] == "" or told["init"]["maps"].startswith("cannot:")


# the supervisor


def read_status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_the_supervisor_has_no_rights_beyond_the_callers_while_the_agent_runs(place: Place) -> None:
    started = place.start(write_policy(), "bash", "-c", "touch there; until [ -e go ]; do sleep 0.01; done")
    wait_until((place.work / "there").exists, "the agent's word")
    recorder = find_recorder(started.pid)
    assert len(os.listdir(f"/proc/{recorder}/task")) == 1
    for thread in (*Path(f"/proc/{started.pid}/task").iterdir(), Path(f"/proc/{recorder}/task/{recorder}")):
        status = read_status(int(thread.name))
        uids, gids = (set(map(int, status[name].split())) for name in ("Uid", "Gid"))
        if AS_ROOT:
            assert len(uids) == len(gids) == 1
            assert not {0, AGENT.pw_uid} & uids
            assert not {0, AGENT.pw_gid} & gids
            assert status["Groups"] == ""
        else:
            assert (uids, gids) == ({os.getuid()}, {os.getgid()})
        assert all(int(status[name], 16) == 0 for name in ("CapPrm", "CapEff", "CapAmb"))
        for name in ("net", "mnt", "pid", "user"):
            assert os.readlink(thread / "ns" / name) == os.readlink(f"/proc/self/ns/{name}")
    (place.work / "go").touch()
    ended = started.wait()
    assert ended.code == 0
    assert ended.verify() == 0


def test_the_agent_cannot_touch_a_process_outside(place: Place) -> None:
    victim = subprocess.Popen(["sleep", "60"])
    try:
        command = f"kill -9 {victim.pid}; kill -9 -1; kill -9 1"
        ended = place.run(write_policy(), "bash", "-c", f"({command}) & wait; echo lived")
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
    assert ended.verify() == 0


def test_standard_input_is_passed_through(place: Place) -> None:
    raw = bytes(range(256)) * 4096
    path = place.path / "input"
    path.write_bytes(raw)
    with path.open("rb") as stdin:
        ended = place.run(write_policy(), "cat", stdin=stdin)
    assert ended.out == raw


def test_the_three_descriptors_are_the_callers_own(place: Place) -> None:
    reader, writer = os.pipe()
    script = "readlink /proc/self/fd/0 >fd0; exec readlink /proc/self/fd/1 /proc/self/fd/2"
    started = place.start(write_policy(), "sh", "-c", script, stdin=reader, options=["--quiet"])
    own = os.readlink(f"/proc/self/fd/{reader}")
    os.close(reader)
    os.close(writer)
    ended = started.wait()
    assert (place.work / "fd0").read_text().strip() == own
    assert ended.text.split() == [str(started.out), str(started.err)]
    assert ended.verify() == 0


def test_a_reader_that_goes_away_ends_the_agent_as_it_would_without_us(place: Place) -> None:
    started = place.start(write_policy(), "yes", stdout=subprocess.PIPE, options=["--quiet"])
    assert started.process.stdout is not None
    assert started.process.stdout.read(4) == b"y\ny\n"
    started.process.stdout.close()
    ended = started.wait()
    assert ended.code == 128 + signal.SIGPIPE
    assert ended.verify() == 0
