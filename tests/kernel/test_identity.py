"""Who runs as whom, for an ordinary user and for root: each test says what holds for whoever runs it."""

from __future__ import annotations

import os
import pwd

import pytest

from trio_egress.errors import SandboxError
from trio_egress.kernel.identity import HIGHEST_UNUSED_ID, find_identities

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
