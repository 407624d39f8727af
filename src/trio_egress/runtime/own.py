"""Where this program is loaded from, as far as an agent could write there.

What an agent changes there runs outside the sandbox with the next command, and `verify` says what it likes.

Rule 1: what is ours, interpreter and environment and all, is mounted read-only where it lies below a directory that
stays writable. No policy takes that off.
Rule 2: what can't be, or is not ours (the code of a project that is on the path of modules), is told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator

import trio_egress
from trio_egress.kernel.guard import drop_inner
from trio_egress.kernel.mountinfo import is_in
from trio_egress.kernel.mounts import NEVER_SHARED
from trio_egress.values import frozen

_PARTS = ("bin", "lib", "lib64", "pyvenv.cfg")
"""What of an environment is loaded, where that is the working directory itself."""


@frozen
class Own:
    """Paths. `kept`: ours, and can be mounted read-only, outermost. `reached`: the agent can write there."""

    kept: tuple[str, ...]
    reached: tuple[str, ...]


def find_own(directory: str, write: Iterable[str]) -> Own:
    """`directory`: the working directory. On the path of modules it is no news: `python -m` puts it there."""
    here, package = os.path.realpath(directory), os.path.dirname(os.path.abspath(trio_egress.__file__))
    roots = {os.path.realpath(place) for place in (directory, *write)} - set(NEVER_SHARED)
    ours = {path for path in _list_ours(package) if _is_inside(path, roots)}
    kept = drop_inner(sorted(filter(_can_be_kept, ours)))
    # Be they there or not: the agent could make them.
    loaded = {os.path.realpath(path or ".") for path in (*sys.path, *_list_users())} - {here}
    inside = {path for path in loaded if any(is_in(path, root) for root in roots)}
    interpreter = (os.path.abspath(sys.executable), os.path.realpath(sys.executable))
    holding = {*map(os.path.dirname, (os.path.realpath(package), *interpreter))}
    reached = {
        *(path for path in (*inside, *ours) if not any(is_in(path, folder) for folder in kept)),
        *(root for root in roots if any(is_in(root, folder) for folder in holding)),
    }
    return Own(tuple(kept), tuple(drop_inner(sorted(reached))))


def _can_be_kept(path: str) -> bool:
    """A link can be replaced, and wildcards would be taken for a pattern's."""
    return path == os.path.realpath(path) and "*" not in path and "?" not in path


def _list_ours(package: str) -> Iterator[str]:
    """As they are named and as they really are: a link on the way could be replaced."""
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    parts = (os.path.join(prefix, part) for prefix in prefixes for part in _PARTS)
    for path in (*prefixes, *parts, os.path.dirname(package), package, sys.executable, sys.argv[0]):
        if path and os.path.exists(path):
            yield os.path.abspath(path)
            yield os.path.realpath(path)


def _list_users() -> Iterator[str]:
    """Where the user's own modules would be, and what is run at each start."""
    site = sys.modules.get("site")
    if site is not None and site.ENABLE_USER_SITE:
        yield site.getusersitepackages()


def _is_inside(path: str, roots: Iterable[str]) -> bool:
    """Below one of them, and not the same."""
    return any(is_in(path, root) and path != root for root in roots)
