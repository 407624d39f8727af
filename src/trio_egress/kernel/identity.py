"""Who is who: the ids of the supervisor and of the agent, worked out before anything is created.

An ordinary user: both are that user, or the agent has a subordinate id of it (`--user subordinate`). Root: the agent is
`--user`, else the user behind sudo, else `nobody`; the supervisor becomes `--proxy-user`, else an id that nobody has.

Rule 1: of a root run, neither is root, and nothing that belongs to the supervisor belongs to an id or group of the
agent's account: it would be the agent's to change.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping

import attrs

from trio_egress.errors import SandboxError
from trio_egress.kernel.accounts import find_power, list_groups
from trio_egress.kernel.subordinate import find_subordinate
from trio_egress.values import frozen

HIGHEST_UNUSED_ID = 65533
"""Below `nobody`, and inside the 65,536 ids that a container usually has (`man 5 subuid`)."""


AGENT_NAME = "trio-egress-agent"
SUBORDINATE = "subordinate"
"""What `--user` says for a subordinate id of the caller."""


@frozen
class Ids:
    """One user as the kernel sees it; `home` is empty where the id has no account, or no such directory exists."""

    uid: int
    gid: int
    name: str
    home: str


@frozen
class Identities:
    """`root` tells whether trio-egress was started as root, and so has privileges to give up."""

    root: bool
    supervisor: Ids
    agent: Ids

    @property
    def apart(self) -> bool:
        """Whether the agent is somebody else to the file system."""
        return self.agent.uid != self.supervisor.uid


def find_identities(
    user: str | None, environment: Mapping[str, str], proxy_user: str | None = None
) -> Identities:
    """The identities of a run. `user`, `proxy_user`: names or numbers from the options; raises SandboxError."""
    if os.geteuid() != 0:
        own = _account(os.geteuid(), os.getegid())
        if proxy_user is not None:
            raise SandboxError(
                f"--proxy-user {proxy_user}: only root can make another user of the proxy (this is {own.name}); "
                "start trio-egress with sudo, or leave --proxy-user out"
            )
        if user == SUBORDINATE:
            return Identities(False, own, _subordinate(own))
        if user is not None and user not in (own.name, str(own.uid)):
            raise SandboxError(
                f"--user {user}: only root can run the agent as another user (this is {own.name}); "
                "start trio-egress with sudo, leave --user out, or give --user subordinate"
            )
        return Identities(False, own, own)
    if user == SUBORDINATE:
        raise SandboxError("--user subordinate is for ordinary users; root names any user")
    agent = _named("--user", user) if user is not None else _behind_sudo(environment) or _named("", "nobody")
    if 0 in (agent.uid, agent.gid):
        raise SandboxError("the agent never runs as root: give --user an ordinary user")
    return Identities(True, _find_proxy(proxy_user, agent) if proxy_user is not None else _unused(), agent)


def _find_proxy(user: str, agent: Ids) -> Ids:
    """The user that the supervisor becomes, where root names one. See rule 1."""
    proxy, option = _named("--proxy-user", user), f"--proxy-user {user}"
    if 0 in (proxy.uid, proxy.gid):
        raise SandboxError(f"{option}: the proxy never runs as root: name an ordinary user")
    if proxy.uid == agent.uid:
        raise SandboxError(
            f"{option}: the agent is that user, too, and could change the proxy's evidence: name another one, or "
            "leave --proxy-user out, and the proxy has an id that nobody else has"
        )
    for one, other, whose in ((proxy, agent, "agent's"), (agent, proxy, "proxy's")):
        if one.gid in list_groups(other.name, other.gid):
            raise SandboxError(
                f"{option}: the group {_group_name(one.gid)} of {one.name} is one of the {whose} user {other.name}, "
                "too: name a user with a group of its own (useradd --system --user-group NAME makes one)"
            )
    if power := find_power(proxy.name, proxy.gid):
        raise SandboxError(
            f"{option}: {power}, and who gets hold of the proxy must not become root: name another"
        )
    return proxy


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _subordinate(own: Ids) -> Ids:
    uid, gid = find_subordinate(own.name, own.uid)
    if uid == own.uid or gid == own.gid:
        raise SandboxError(f"--user subordinate: the ids that are lent to {own.name} are its own")
    return Ids(uid, gid, str(uid), "")


def describe_account(identities: Identities, home: str) -> str:
    """A line of /etc/passwd for an agent that has none: a subordinate id."""
    agent = identities.agent
    if identities.root or not identities.apart or ":" in home:
        return ""
    return f"{AGENT_NAME}:x:{agent.uid}:{agent.gid}::{home or '/'}:/bin/sh"


def _account(uid: int, gid: int) -> Ids:
    try:
        return attrs.evolve(_ids(pwd.getpwuid(uid)), gid=gid)
    except KeyError:
        return Ids(uid, gid, str(uid), "")


def _ids(entry: pwd.struct_passwd) -> Ids:
    home = entry.pw_dir if os.path.isdir(entry.pw_dir) else ""
    return Ids(entry.pw_uid, entry.pw_gid, entry.pw_name, home)


def _named(option: str, user: str) -> Ids:
    try:
        entry = pwd.getpwuid(int(user)) if user.isascii() and user.isdigit() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise SandboxError(f"{option} {user}: there is no such user on this machine".lstrip()) from None
    return _ids(entry)


def _behind_sudo(environment: Mapping[str, str]) -> Ids | None:
    uid = environment.get("SUDO_UID", "")
    return _named("SUDO_UID", uid) if uid.isascii() and uid.isdigit() and int(uid) != 0 else None


def find_signer() -> Ids:
    """Whom a signer becomes that root started: an id that nobody has, the proxy of a run of root's neither."""
    return _unused(below=_unused().uid)


def _unused(below: int = HIGHEST_UNUSED_ID + 1) -> Ids:
    for uid in range(below - 1, below - 1001, -1):
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


def check_owner(path: str, identities: Identities) -> None:
    """Raises SandboxError for a file that the agent's user owns, and so could read under another name. Of root runs: an
    ordinary user owns both."""
    agent = identities.agent
    if identities.root and os.stat(path).st_uid == agent.uid:
        raise SandboxError(
            f"{path} belongs to {agent.name}, whom the agent runs as: give it to root (sudo chown root: {path})"
        )


def give_up_root(ids: Ids) -> None:
    """Become `ids` for good, in every thread of this process; raises SandboxError when anything of root is left."""
    os.setgroups([])
    os.setresgid(ids.gid, ids.gid, ids.gid)
    os.setresuid(ids.uid, ids.uid, ids.uid)
    if os.getresuid() != (ids.uid,) * 3 or os.getresgid() != (ids.gid,) * 3 or os.getgroups():
        raise SandboxError("could not give up root")
