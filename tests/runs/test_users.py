"""Who the agent, the proxy and the evidence are, where somebody says so."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runs.launch import AGENT, ENVIRONMENT, Place, wait_until, write_policy

pytestmark = pytest.mark.sandbox

PROXY = pwd.getpwnam("daemon")
WAIT = "touch there; until [ -e go ]; do sleep 0.01; done"


def find_supervisor_ids(pid: int) -> set[tuple[int, int, str]]:
    """Real to file-system id of every thread: uid, gid, whether it can still gain rights."""
    found = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        status = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines())
        (uid,), (gid,) = (set(map(int, status[name].split())) for name in ("Uid", "Gid"))
        found.add((uid, gid, status["NoNewPrivs"].strip()))
        assert status["Groups"].strip() == ""
    return found


@pytest.mark.root
def test_agent_and_proxy_are_the_two_users_that_root_named(place: Place) -> None:
    script = f"{WAIT}; id -u; id -g"
    started = place.start(
        write_policy(), "sh", "-c", script, options=["--proxy-user", "daemon", "--user", "nobody"]
    )
    wait_until((place.work / "there").exists, "the agent's word")
    assert find_supervisor_ids(started.pid) == {(PROXY.pw_uid, PROXY.pw_gid, "1")}
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
