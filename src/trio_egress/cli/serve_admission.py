"""Whom `trio-egress serve` serves, and how many sandboxes each of them has: pure but for the names of users.

Rule 1: a client is who the kernel says that it is. Root is nobody's client, and who has no id here is nobody.
Rule 2: what one user asks for takes nothing from another, beyond what all may have together.
"""

from __future__ import annotations

import grp
import pwd
from collections import Counter, deque
from collections.abc import Sequence

import attrs

from trio_egress.errors import UsageError
from trio_egress.kernel.peers import Peer
from trio_egress.values import define, frozen

MINUTE = 60.0


@frozen
class Allowed:
    """`own`: the user that serve runs as; where that isn't root, nobody else's agents can be run."""

    own: int
    users: frozenset[int]
    groups: frozenset[int]

    def find_trouble(self, peer: Peer, *, unmapped: bool) -> str:
        """Why a client is not served; empty where it is."""
        if unmapped:
            return "you have no user id in the namespace that serve runs in"
        if self.own != 0 and peer.uid != self.own:
            return f"serve runs as uid {self.own}, and only root's can run agents of another user: you are {peer.uid}"
        if 0 in (peer.uid, peer.gid):
            return "no agent runs as root: ask as an ordinary user, in a group of its own"
        if peer.uid == self.own or peer.uid in self.users or peer.groups & self.groups:
            return ""
        return f"uid {peer.uid} is not served here: its operator can add --allow-user or --allow-group"


@define
class Quota:
    """What lives, and who has asked within a minute."""

    most: int
    most_per_user: int
    per_minute: int
    living: Counter[int] = attrs.field(factory=Counter)
    _asked: dict[int, deque[float]] = attrs.field(factory=dict)

    def find_trouble(self, uid: int, now: float) -> str:
        """Why there is none for this user now; empty where there is, and it counts."""
        asked = self._asked.setdefault(uid, deque())
        while asked and asked[0] <= now - MINUTE:
            asked.popleft()
        if len(asked) >= self.per_minute:
            return f"you have asked for {self.per_minute} sandboxes within a minute: ask later"
        asked.append(now)
        if self.living[uid] >= self.most_per_user:
            return f"you have {self.most_per_user} sandboxes already: close one first"
        if self.living.total() >= self.most:
            return f"{self.most} sandboxes live here already: ask later"
        return ""


def read_allowed(own: int, users: Sequence[str], groups: Sequence[str]) -> Allowed:
    """Raises UsageError."""
    if own == 0 and not users and not groups:
        raise UsageError("--allow-user or --allow-group: say whom root's serve is for")
    return Allowed(own, frozenset(map(_find_user, users)), frozenset(map(_find_group, groups)))


def _find_user(text: str) -> int:
    """A number needs no account."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise UsageError(f"--allow-user {text}: there is no such user on this machine") from None


def _find_group(text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise UsageError(f"--allow-group {text}: there is no such group on this machine") from None
