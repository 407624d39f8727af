"""Who is who: the ids of the supervisor and of the agent, worked out before anything is created.

An ordinary user: both are that user. Root: the agent is `--user`, else the user behind sudo, else `nobody`; the
supervisor becomes an id that nobody else has, so that evidence and key belong to neither the agent nor another service.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping

import attrs

from trio_egress.errors import SandboxError

HIGHEST_UNUSED_ID = 65533
"""Below `nobody`, and inside the 65,536 ids that a container usually has (`man 5 subuid`)."""


@attrs.frozen
class Ids:
    """One user as the kernel sees it; `home` is empty where the id has no account, or no such directory exists."""

    uid: int
    gid: int
    name: str
    home: str


@attrs.frozen
class Identities:
    """`root` tells whether trio-egress was started as root, and so has privileges to give up."""

    root: bool
    supervisor: Ids
    agent: Ids


def find_identities(user: str | None, environment: Mapping[str, str]) -> Identities:
    """The identities of a run. `user` is a name or a number from `--user`; raises SandboxError."""
    if os.geteuid() != 0:
        own = _account(os.geteuid(), os.getegid())
        if user is not None and user not in (own.name, str(own.uid)):
            raise SandboxError(
                f"--user {user}: only root can run the agent as another user (this is {own.name}); "
                "start trio-egress with sudo, or leave --user out"
            )
        return Identities(False, own, own)
    agent = _named(user) if user is not None else _behind_sudo(environment) or _named("nobody")
    if agent.uid == 0:
        raise SandboxError("the agent never runs as root: give --user an ordinary user")
    return Identities(True, _unused(), agent)


def _account(uid: int, gid: int) -> Ids:
    try:
        return attrs.evolve(_ids(pwd.getpwuid(uid)), gid=gid)
    except KeyError:
        return Ids(uid, gid, str(uid), "")


def _ids(entry: pwd.struct_passwd) -> Ids:
    home = entry.pw_dir if os.path.isdir(entry.pw_dir) else ""
    return Ids(entry.pw_uid, entry.pw_gid, entry.pw_name, home)


def _named(user: str) -> Ids:
    try:
        entry = pwd.getpwuid(int(user)) if user.isascii() and user.isdigit() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise SandboxError(f"--user {user}: there is no such user on this machine") from None
    return _ids(entry)


def _behind_sudo(environment: Mapping[str, str]) -> Ids | None:
    uid = environment.get("SUDO_UID", "")
    return _named(uid) if uid.isascii() and uid.isdigit() and int(uid) != 0 else None


def _unused() -> Ids:
    for uid in range(HIGHEST_UNUSED_ID, HIGHEST_UNUSED_ID - 1000, -1):
        if _is_free(uid):
            return Ids(uid, uid, str(uid), "")
    raise SandboxError(f"no unused user id below {HIGHEST_UNUSED_ID + 1} for the supervisor")


def _is_free(uid: int) -> bool:
    for look_up in (pwd.getpwuid, grp.getgrgid):
        try:
            look_up(uid)
        except KeyError:
            continue
        return False
    return True


def give_up_root(ids: Ids) -> None:
    """Become `ids` for good, in every thread of this process; raises SandboxError when anything of root is left."""
    os.setgroups([])
    os.setresgid(ids.gid, ids.gid, ids.gid)
    os.setresuid(ids.uid, ids.uid, ids.uid)
    if os.getresuid() != (ids.uid,) * 3 or os.getresgid() != (ids.gid,) * 3 or os.getgroups():
        raise SandboxError("could not give up root")
