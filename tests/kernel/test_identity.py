"""Who runs as whom, for an ordinary user and for root: each test says what holds for whoever runs it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from trio_egress.errors import SandboxError
from trio_egress.kernel.identity import HIGHEST_UNUSED_ID, check_owner, find_identities

ROOT = os.geteuid() == 0


def test_an_ordinary_user_is_supervisor_and_agent_and_root_is_neither() -> None:
    found = find_identities(None, {})
    assert found.root is ROOT
    if ROOT:
        assert found.agent.name == "nobody"
        assert 0 not in (found.agent.uid, found.supervisor.uid)
    else:
        assert found.agent == found.supervisor
        assert found.agent.uid == os.geteuid()


def test_the_supervisor_of_a_root_run_is_an_id_that_nobody_has() -> None:
    supervisor = find_identities(None, {}).supervisor
    if not ROOT:
        assert supervisor.uid == os.geteuid()
        return
    assert supervisor.uid <= HIGHEST_UNUSED_ID
    with pytest.raises(KeyError):
        pwd.getpwuid(supervisor.uid)


def test_the_user_behind_sudo_is_the_agent_only_where_root_says_so() -> None:
    daemon = pwd.getpwnam("daemon")
    found = find_identities(None, {"SUDO_UID": str(daemon.pw_uid)})
    assert found.agent.uid == (daemon.pw_uid if ROOT else os.geteuid())


@pytest.mark.parametrize("uid", ["0", "", "-1", "1x", "\u0661"])
def test_a_sudo_uid_that_is_no_ordinary_user_is_not_believed(uid: str) -> None:
    assert find_identities(None, {"SUDO_UID": uid}).agent.uid == (
        pwd.getpwnam("nobody").pw_uid if ROOT else os.geteuid()
    )


@pytest.mark.parametrize("user", ["no-such-user", "root", "0", "4294967296999"])
def test_a_user_that_cannot_be_the_agent_is_refused(user: str) -> None:
    with pytest.raises(SandboxError):
        find_identities(user, {})


def test_a_user_is_found_by_name_and_by_number() -> None:
    own = pwd.getpwnam("daemon") if ROOT else pwd.getpwuid(os.geteuid())
    assert find_identities(own.pw_name, {}).agent.uid == own.pw_uid
    assert find_identities(str(own.pw_uid), {}).agent.uid == own.pw_uid


@pytest.mark.root
def test_the_proxy_is_the_user_that_root_names() -> None:
    daemon = pwd.getpwnam("daemon")
    for name in ("daemon", str(daemon.pw_uid)):
        found = find_identities(None, {}, name)
        assert (found.supervisor.uid, found.supervisor.gid) == (daemon.pw_uid, daemon.pw_gid)
        assert found.agent.name == "nobody"


@pytest.mark.root
@pytest.mark.parametrize(
    ("user", "proxy", "words"),
    [
        ("nobody", "no-such-user", "--proxy-user no-such-user: there is no such user"),
        ("nobody", "4294967296999", "there is no such user"),
        ("nobody", "root", "the proxy never runs as root"),
        ("nobody", "0", "the proxy never runs as root"),
        ("daemon", "daemon", "the agent is that user, too"),
        ("daemon", "1", "the agent is that user, too"),
        ("nobody", "_apt", "the group nogroup of _apt is one of the agent's user nobody"),
    ],
)
def test_a_user_that_cannot_be_the_proxy_is_refused(user: str, proxy: str, words: str) -> None:
    with pytest.raises(SandboxError, match=words):
        find_identities(user, {}, proxy)


@pytest.mark.ordinary
def test_only_root_makes_another_user_of_the_proxy() -> None:
    with pytest.raises(SandboxError, match="--proxy-user daemon: only root can"):
        find_identities(None, {}, "daemon")


@pytest.mark.root
def test_a_key_of_the_agents_user_is_refused_and_one_of_roots_is_not(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(0o600)
    identities = find_identities("daemon", {})
    check_owner(str(key), identities)
    os.chown(key, identities.agent.uid, 0)
    with pytest.raises(SandboxError, match=f"sudo chown root: {key}"):
        check_owner(str(key), identities)


@pytest.mark.ordinary
def test_an_ordinary_user_keeps_the_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(0o600)
    check_owner(str(key), find_identities(None, {}))
