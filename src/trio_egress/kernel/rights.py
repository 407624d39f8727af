"""Whether the agent may write where it is meant to, where it is a user of its own. Asks as the agent, changes nothing.

Standard library only: part of the launcher.
"""

from __future__ import annotations

import os
from collections.abc import Iterable


class Unwritable(Exception):
    """The agent's user lacks a right on a directory; the message says how it gets it."""


def check_rights(places: Iterable[str], supervisor: int) -> None:
    """In the agent's process, with its ids and without capabilities: each of `places` can be entered, read and written.

    `supervisor`: the uid that has to go on with what the agent made.
    """
    uid = os.getuid()
    for place in places:
        for folder in _way(place):
            if not os.access(folder, os.X_OK):
                raise Unwritable(
                    f"the agent's user {uid} can't get into {folder}, on the way to {place}: "
                    f"setfacl -m u:{uid}:x {folder} lets it"
                )
        if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
            entries = f"u:{uid}:rwX,d:u:{uid}:rwX,d:u:{supervisor}:rwX"
            raise Unwritable(
                f"the agent's user {uid} can't write in {place}: setfacl -R -m {entries} {place} lets it, and keeps "
                f"what it makes there yours (or chmod -R o+rwX {place}, which lets everybody)"
            )


def _way(place: str) -> Iterable[str]:
    at = place.find("/", 1)
    while at > 0:
        yield place[:at]
        at = place.find("/", at + 1)
