"""Files with canaries in them, below HOME as the agent sees it. Plans only.

Rule 1: the host keeps what it has: what is planted is in memory, or bound over what stands there.
Rule 2: a link may lead to another place in HOME, and out of it none does: who makes the file may write where the agent
can't.
Rule 3: where it can't be planted the run does not begin: a canary that nobody finds tells nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from trio_egress.errors import SandboxError
from trio_egress.kernel.mountinfo import is_in
from trio_egress.kernel.steps import STAGE, Mount


def plan_planted(
    files: Mapping[str, str], home: str, hidden: Sequence[str], own: Sequence[str], owner: tuple[int, int]
) -> Iterator[Mount]:
    """`files`: texts by their paths below `home`. `hidden`: what of HOME is covered. `own`: what the run makes anew.

    Last of all that is done to HOME. Raises SandboxError.
    """
    uid, gid = owner
    covered: set[str] = set()
    for number, (name, text) in enumerate(sorted(files.items())):
        path = _find_place(home, name, own)
        cover = next((place for place in hidden if path == place or path.startswith(f"{place}/")), "")
        if cover and cover != path and os.path.isdir(cover):
            if cover not in covered:
                yield Mount("tmpfs", cover, mode="0755")
                covered.add(cover)
            yield Mount("file", path, text, owner=uid, group=gid)
        elif not home.startswith(tuple(f"{place}/" for place in own)) and os.path.lexists(path):
            if not os.path.isfile(path) or os.path.islink(path):
                raise SandboxError(f"no canary can be planted in ~/{name}: it is there, and no plain file")
            kept = f"{STAGE}/planted/{number}"
            yield Mount("file", kept, text, owner=uid, group=gid)
            yield Mount("bind", path, kept, read_only=True)
        else:
            yield Mount("file", path, text, owner=uid, group=gid)
    yield from (Mount("read_only", place) for place in sorted(covered))


def _find_place(home: str, name: str, own: Sequence[str]) -> str:
    path = f"{home}/{name}"
    if any(is_in(home, place) for place in own):
        return path  # nothing of the host's is there
    folder = os.path.realpath(os.path.dirname(path))
    if not is_in(folder, home):
        raise SandboxError(f"no canary can be planted in ~/{name}: a link leads from there to {folder}")
    return f"{folder}/{os.path.basename(path)}"
