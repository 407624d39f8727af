"""Who the agent, the proxy and the evidence are, where somebody says so."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runs.launch import AGENT, ENVIRONMENT, Place, read_lines, wait_until, write_policy
from tests.runs.remains import find_recorder

pytestmark = pytest.mark.sandbox

PROXY = pwd.getpwnam("daemon")
WAIT = "touch there; until [ -e go ]; do sleep 0.01; done"


def find_ids(pid: int) -> set[tuple[int, int, str]]:
    """Of every thread: uid and gid, from the real to the file system's; whether it can still gain rights."""
    found = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        status = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines())
        (uid,), (gid,) = (set(map(int, status[name].split())) for name in ("Uid", "Gid"))
        found.add((uid, gid, status["NoNewPrivs"].strip()))
    return found


@pytest.mark.root
def test_agent_and_proxy_are_the_two_users_that_root_named(place: Place) -> None:
    script = f"{WAIT}; id -u; id -g"
    started = place.start(
        write_policy(), "sh", "-c", script, options=["--proxy-user", "daemon", "--user", "nobody"]
    )
    wait_until((place.work / "there").exists, "the agent's word")
    for pid in (started.pid, find_recorder(started.pid)):
        assert find_ids(pid) == {(PROXY.pw_uid, PROXY.pw_gid, "1")}
    (place.work / "go").touch()
    ended = started.wait()
    assert (ended.code, ended.text.split()) == (0, [str(AGENT.pw_uid), str(AGENT.pw_gid)])
    assert ended.verify() == 0
    for path in (ended.evidence, *ended.evidence.iterdir()):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (PROXY.pw_uid, PROXY.pw_gid)


@pytest.mark.root
def test_the_evidence_of_root_is_for_all_to_read_and_for_no_id_of_the_agent_to_change(place: Place) -> None:
    (place.path / "evidence-0").mkdir()
    os.chown(place.path / "evidence-0", AGENT.pw_uid, AGENT.pw_gid)
    (place.path / "evidence-0").chmod(0o777)  # as it is where somebody meant it well
    ended = place.run(write_policy(), "true")
    assert ended.verify() == 0
    for path in (ended.evidence, *ended.evidence.rglob("*")):
        found = path.stat()
        assert found.st_uid not in (0, AGENT.pw_uid)
        assert found.st_gid not in (0, AGENT.pw_gid)
        assert found.st_mode & 0o022 == 0
        assert found.st_mode & 0o004
    command = [sys.executable, "-m", "trio_egress", "verify", str(ended.evidence), "--public-key", ended.key]
    reader = pwd.getpwnam("games")
    who = {"user": reader.pw_uid, "group": reader.pw_gid, "extra_groups": []}
    checked = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False, **who)  # type: ignore[call-overload]
    assert checked.returncode == 0


@pytest.mark.root
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--proxy-user", "root"], "the proxy never runs as root"),
        (["--proxy-user", "nobody"], "the agent is that user, too"),
        (["--proxy-user", "nobody-at-all"], "no such user"),
    ],
)
def test_a_proxy_user_that_would_not_be_another_one_refuses_the_run(
    place: Place, options: list[str], words: str
) -> None:
    ended = place.run(write_policy(), "touch", "ran", options=options)
    assert ended.code == 125
    assert words in ended.err
    assert not (place.work / "ran").exists()
    assert not ended.evidence.exists()


@pytest.mark.root
def test_a_key_of_the_agents_user_refuses_the_run(place: Place) -> None:
    os.chown(place.key_file, AGENT.pw_uid, AGENT.pw_gid)
    ended = place.run(write_policy(), "touch", "ran")
    assert ended.code == 125
    assert f"sudo chown root: {place.key_file}" in ended.err
    assert not (place.work / "ran").exists()


@pytest.mark.ordinary
def test_an_ordinary_user_names_no_proxy(place: Place) -> None:
    ended = place.run(write_policy(), "touch", "ran", options=["--proxy-user", "daemon"])
    assert ended.code == 125
    assert "only root can make another user of the proxy" in ended.err
    assert not (place.work / "ran").exists()


@pytest.mark.root
def test_the_home_of_the_agent_is_of_the_group_that_it_is_of_outside(place: Place) -> None:
    home = Path(pwd.getpwnam("mail").pw_dir)
    assert home.stat().st_gid == pwd.getpwnam("mail").pw_gid, "a home of Debian's with a group of its own"
    ended = place.run(write_policy(), "stat", "-c", "%g", home, options=["--user", "mail"])
    assert ended.text == f"{home.stat().st_gid}\n"


# an agent with a subordinate id

SUBORDINATE = ["--user", "subordinate"]


def let_in(place: Place, words: str) -> None:
    """Carry out the cure that a refusal named."""
    found = re.search(r"(setfacl -R -m \S+ \S+) lets it", words)
    assert found is not None
    subprocess.run(found[1].split(), check=True, cwd=place.work)


@pytest.fixture
def opened(place: Place) -> Place:
    """A place whose working directory the subordinate id may write."""
    let_in(place, place.run(write_policy(), "true", options=SUBORDINATE).err)
    return place


@pytest.mark.ordinary
def test_a_directory_that_the_agents_own_id_cannot_write_refuses_the_run_with_a_cure_that_works(
    place: Place,
) -> None:
    (place.work / "before").write_text("mine")
    refused = place.run(write_policy(), "touch", "ran", options=SUBORDINATE)
    assert refused.code == 125
    assert not (place.work / "ran").exists()
    let_in(place, refused.err)
    script = "echo more >>before; mkdir -p deep/er; touch deep/er/file"
    ended = place.run(write_policy(), "sh", "-ec", script, options=SUBORDINATE)
    assert (ended.code, ended.verify()) == (0, 0)
    assert (place.work / "before").read_text() == "minemore\n"
    made = place.work / "deep" / "er" / "file"
    assert made.stat().st_uid != os.getuid()
    shutil.rmtree(place.work / "deep")  # what it made is the caller's to clear away


@pytest.mark.ordinary
def test_a_directory_of_the_policy_that_it_cannot_write_refuses_the_run_too(opened: Place) -> None:
    other = opened.path / "other"
    other.mkdir()
    ended = opened.run(write_policy(more=f'[files]\nwrite = ["{other}"]\n'), "true", options=SUBORDINATE)
    assert ended.code == 125
    assert f"can't write in {other}: setfacl" in ended.err


@pytest.mark.ordinary
def test_a_subordinate_agent_is_somebody_else_with_a_name_and_no_group_of_the_caller(opened: Place) -> None:
    script = (
        f"{WAIT}; id -u; id -G; whoami; stat -c %u ~; touch ~/trio-egress-new; grep ^Cap /proc/self/status"
    )
    started = opened.start(write_policy(), "sh", "-c", script, options=SUBORDINATE)
    wait_until((opened.work / "there").exists, "the agent's word")
    for pid in (started.pid, find_recorder(started.pid)):
        assert {ids[:2] for ids in find_ids(pid)} == {(os.getuid(), os.getgid())}
    (opened.work / "go").touch()
    ended = started.wait()
    uid, groups, name, home, *capabilities = ended.text.splitlines()
    assert int(uid) not in (0, os.getuid())
    assert groups.isdigit()
    assert int(groups) not in os.getgroups()
    assert (name, home) == ("trio-egress-agent", uid)
    assert not Path("~/trio-egress-new").expanduser().exists()
    assert all(int(line.split()[1], 16) == 0 for line in capabilities)
    assert (ended.code, ended.verify()) == (0, 0)
    opening = read_lines(ended.evidence)[0]["action_record"]
    assert opening["principal"] == f"uid:{uid}"


@pytest.mark.ordinary
def test_the_callers_private_files_are_not_a_subordinate_agents(opened: Place) -> None:
    secret = opened.work / "secret"
    secret.write_text("private\n")
    secret.chmod(0o600)
    ended = opened.run(write_policy(), "cat", "secret", options=SUBORDINATE)
    assert (ended.code, ended.out) == (1, b"")
    control = opened.run(write_policy(), "cat", "secret")
    assert (control.code, control.out) == (0, b"private\n")


@pytest.mark.ordinary
def test_the_right_to_the_working_directory_is_none_to_the_evidence_in_it(opened: Place) -> None:
    program = [
        sys.executable,
        "-m",
        "trio_egress",
        "run",
        "--policy",
        str(opened.write("p.toml", write_policy())),
    ]
    command = [*program, *SUBORDINATE, "--evidence", "kept", "--", "true"]
    done = subprocess.run(command, cwd=opened.work, env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 0
    for path in (opened.work / "kept", *(opened.work / "kept").rglob("*")):
        assert path.stat().st_uid == os.getuid()
        assert path.stat().st_mode & 0o022 == 0, path  # with an ACL: its mask


@pytest.mark.ordinary
def test_without_newuidmap_there_is_no_weaker_run(place: Place) -> None:
    ended = place.run(
        write_policy(), "/bin/touch", "ran", options=SUBORDINATE, environment={"PATH": "/nowhere"}
    )
    assert ended.code == 125
    assert "newuidmap is not on this machine" in ended.err
    assert "apt-get install uidmap" in ended.err
    assert not (place.work / "ran").exists()
