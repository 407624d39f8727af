"""Whom serve serves, and how often."""

from __future__ import annotations

import os
import pwd

import pytest

from trio_egress.cli.serve_admission import MINUTE, Allowed, Quota, read_allowed
from trio_egress.errors import UsageError
from trio_egress.kernel.peers import Peer


def peer(uid: int, gid: int = 100, *groups: int) -> Peer:
    return Peer(1, uid, gid, frozenset({gid, *groups}))


@pytest.mark.parametrize(
    ("client", "told"),
    [
        (peer(1000), ""),
        (peer(2000, 500), ""),
        (peer(2000, 100, 500), ""),
        (peer(2000), "uid 2000 is not served here"),
        (peer(0), "no agent runs as root"),
        (peer(1000, 0), "no agent runs as root"),
    ],
)
def test_roots_serve_is_for_whom_it_names(client: Peer, told: str) -> None:
    trouble = Allowed(0, frozenset({1000}), frozenset({500})).find_trouble(client, unmapped=False)
    assert trouble.startswith(told)
    assert bool(trouble) is bool(told)


def test_an_ordinary_users_is_for_that_user_alone() -> None:
    allowed = Allowed(1000, frozenset({2000}), frozenset({500}))
    assert allowed.find_trouble(peer(1000), unmapped=False) == ""
    for other in (peer(2000), peer(3000, 500)):
        assert "only root's can run agents of another user" in allowed.find_trouble(other, unmapped=False)


def test_who_has_no_id_here_is_nobody() -> None:
    assert "no user id" in Allowed(0, frozenset({65534}), frozenset()).find_trouble(
        peer(65534), unmapped=True
    )


def test_users_and_groups_are_names_or_numbers() -> None:
    name = pwd.getpwuid(os.geteuid()).pw_name
    allowed = read_allowed(5, [name, "12345"], ["root", "54321"])
    assert sorted(allowed.users) == sorted({os.geteuid(), 12345})
    assert sorted(allowed.groups) == [0, 54321]
    with pytest.raises(UsageError, match="no such user"):
        read_allowed(5, ["no-such-user"], [])
    with pytest.raises(UsageError, match="no such group"):
        read_allowed(5, [], ["no-such-group"])
    with pytest.raises(UsageError, match="say whom"):
        read_allowed(0, [], [])
    assert read_allowed(5, [], []).users == frozenset()


def test_each_user_has_so_many_and_all_have_so_many() -> None:
    quota = Quota(most=3, most_per_user=2, per_minute=100)
    for uid in (1, 1, 2):
        assert quota.find_trouble(uid, 0.0) == ""
        quota.living[uid] += 1
    assert "you have 2 sandboxes already" in quota.find_trouble(1, 0.0)
    assert "3 sandboxes live here already" in quota.find_trouble(3, 0.0)
    quota.living[1] -= 1
    assert quota.find_trouble(3, 0.0) == ""


def test_who_asks_too_often_waits_a_minute() -> None:
    quota = Quota(most=10, most_per_user=10, per_minute=2)
    assert [bool(quota.find_trouble(1, at)) for at in (0.0, 1.0, 2.0, MINUTE, MINUTE + 0.5)] == [
        False,
        False,
        True,
        False,
        True,
    ]
    assert quota.find_trouble(2, 2.0) == "", "another user has a minute of its own"
