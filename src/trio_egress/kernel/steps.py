"""One step of the agent's view of the files, as data: planned by `kernel/mounts.py`, done by `kernel/view.py`."""

from __future__ import annotations

from trio_egress.values import frozen

STAGE = "/run/trio-egress"
"""Where the launcher keeps what it still needs while other things are mounted over it; out of sight in the end."""


@frozen
class Mount:
    """One step. `source` is what `kind` needs:

    tmpfs: an empty one at target, with this mode, for at most `size` bytes (0: half of this machine's memory).
    directory, file, program, link: make target; a file or executable with this text, a link that leads there. A file
    is `owner`'s, and the directories that are made for it.
    copy: target is a small file like source, with this mode; a large one is bound over it.
    bind: source over target.  keep: source stays reachable at target (made for it).
    lend: the same of a directory, with its owner's ids seen as `owner` and `group`.
    layer: a read-only overlay of source over target, as the files of source look to `owner` and `group`, with what is
    in `top` over it.
    bare: nothing is done; target stays as it is, and is told.
    overlay: changes to target are kept in memory below source, which has `lower`, the target as it was.
    read_only, writable: of target alone.  freeze: everything, from / down.
    pts: terminals of its own.
    """

    kind: str
    target: str
    source: str = ""
    mode: str = "0755"
    read_only: bool = False
    optional: bool = False
    owner: int = -1
    group: int = -1
    size: int = 0
    top: str = ""
