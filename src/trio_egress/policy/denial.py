"""Whether a rule with `deny`, whose pattern matches the host, is about an attempt.

Judges one rule at a time.

Rule 1: such a rule holds for every port and protocol, unless it names them.
Rule 2: what can't be seen could be what it denies: then the attempt is denied, or the boundary must look.
Rule 3: what an upstream may read in two ways is denied in both: case, look-alikes, encoded slashes, paths
without a normal form.
"""

from __future__ import annotations

import enum
import re
import unicodedata

from trio_egress.model import ANY_METHOD, NO_NEEDS, Attempt, Need, Protocol
from trio_egress.policy.doors import Scheme, find_schemes
from trio_egress.policy.globs import PathGlob
from trio_egress.policy.obstacle import is_named_port
from trio_egress.policy.paths import SLASH, parse_path
from trio_egress.policy.rule import OF_REQUESTS, Rule, Terms, carries_git
from trio_egress.policy.services import ADVERTISEMENT, FETCH, HOME, PUSH, SERVICES


class Denial(enum.IntEnum):
    """The answer; the greatest of several counts."""

    NO = 0
    UNREAD = 1
    """Perhaps: it hangs on a body that has not been read."""

    UNSEEN = 2
    """Perhaps: it hangs on what is inside TLS."""

    YES = 3


NEEDED: dict[Denial, frozenset[Need]] = {
    Denial.UNREAD: frozenset({Need.BODIES}),
    Denial.UNSEEN: frozenset({Need.TLS}),
    Denial.YES: NO_NEEDS,
}
"""What the boundary must be able to do to find out."""

_INSIDE_GIT = re.compile(r"/?\.git(?=(?:\.git)*(?:/|$))|/worktrees/[^/]+$")
_INSIDE_MOST = 8
"""A path with more of them could be any repository."""

_GIT_PATHS = {ADVERTISEMENT: SERVICES, f"/{FETCH}": (FETCH,), f"/{PUSH}": (PUSH,)}
_IN_CLEAR = frozenset({Scheme.HTTP, Scheme.WS})


def find_denial(rule: Rule, attempt: Attempt, now_us: int | None) -> Denial:
    terms = rule.terms
    if rule.plain and terms.methods is None:
        return Denial.YES if _is_at_port(terms, attempt.port) else Denial.NO
    if not _is_at_port(terms, attempt.port):
        return Denial.NO
    if terms.times is not None and now_us is not None and not any(w.holds(now_us) for w in terms.times):
        return Denial.NO
    spoken = _find_protocol_denial(terms, attempt)
    if spoken is not Denial.YES or all(getattr(terms, key) is None for key in OF_REQUESTS):
        return spoken
    match attempt.protocol:
        case Protocol.HTTP:
            return _find_request_denial(terms, attempt)
        case Protocol.TLS:
            return Denial.UNSEEN
        case Protocol.SSH:
            return _find_ssh_denial(terms, attempt)
    return Denial.YES


def is_final(denial: Denial, able: frozenset[Need]) -> bool:
    """Whether the attempt is denied by this; else the boundary finds out."""
    return denial is Denial.YES or not NEEDED[denial] <= able


def denies_requests(rule: Rule, attempt: Attempt, now_us: int | None) -> bool:
    """Whether every HTTP request is denied where this one leads."""
    return all(getattr(rule.terms, key) is None for key in OF_REQUESTS) and (
        find_denial(rule, attempt, now_us) is Denial.YES
    )


def _is_at_port(terms: Terms, port: int) -> bool:
    if terms.ports is not None or terms.destination.port is not None:
        return is_named_port(terms, port)
    return True


def _find_protocol_denial(terms: Terms, attempt: Attempt) -> Denial:
    protocol = terms.protocol
    if protocol is None or Scheme.TCP in protocol:
        return Denial.YES
    schemes = find_schemes(attempt)
    if schemes <= protocol:
        return Denial.YES
    if attempt.protocol is Protocol.TCP:
        # Not every server minds how a request begins: a stream that is not read could be one.
        return Denial.YES if protocol & _IN_CLEAR else Denial.NO
    return Denial.UNSEEN if schemes & protocol else Denial.NO


def _find_request_denial(terms: Terms, attempt: Attempt) -> Denial:
    if terms.methods is not None and not _touches_method(terms.methods, attempt):
        return Denial.NO
    if terms.paths is not None and not _touches_path(terms, attempt.path):
        return Denial.NO
    if terms.git is not None and not _touches_git(terms, attempt):
        return Denial.NO
    services = [service for service in (terms.graphql, terms.jsonrpc, terms.mcp) if service is not None]
    if not services:
        return Denial.YES
    calls = attempt.calls
    if calls is None:
        return Denial.UNREAD
    return Denial.YES if any(service.touches(calls) for service in services) else Denial.NO


def _touches_method(methods: frozenset[str], attempt: Attempt) -> bool:
    """By its own method, and by those that a server may take in place of it."""
    said = {(attempt.method or "").upper(), *attempt.overrides}
    return ANY_METHOD in said or not said.isdisjoint(methods)


def _find_ssh_denial(terms: Terms, attempt: Attempt) -> Denial:
    """git over SSH by its repository; a connection that isn't looked into could be what a rule for SSH denies."""
    if not carries_git(terms):
        return (
            Denial.YES
            if terms.git is not None and attempt.service is not None and _touches_repository(terms, attempt)
            else Denial.NO
        )
    return Denial.YES if attempt.service is None or _touches_repository(terms, attempt) else Denial.NO


def _touches_repository(terms: Terms, attempt: Attempt) -> bool:
    """In a home directory could be any of them; an SSH server need not mind case."""
    paths = {fold(attempt.path or "") for fold in _FOLDS}
    globs = terms.git.of(attempt.service) if terms.git is not None and attempt.service is not None else ()
    return any((bool(globs) and path.startswith(HOME)) or _names_repository(globs, path) for path in paths)


def _names_repository(globs: tuple[PathGlob, ...], path: str) -> bool:
    """Whether one of them is for what a server may take a path for: git finds a repository by its name with `.git`
    behind it, by the `.git` in it, and by its worktrees."""
    if path.count(".git") > _INSIDE_MOST:
        return bool(globs)
    names = {path, *(path[: found.start()] for found in _INSIDE_GIT.finditer(path))}
    return any(glob.matches(name) for glob in _fold(globs) for name in names)


def _read_path(raw: str | None) -> set[str] | None:
    """Every path that it may be to an upstream, folded; None where that can't be said."""
    try:
        path = parse_path(raw or "")
    except ValueError:
        return None
    return {fold(read) for read in (path, path.replace(SLASH, "/")) for fold in _FOLDS}


def _fold_look_alikes(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


_FOLDS = (str.casefold, _fold_look_alikes)
"""Some upstreams take no heed of case, and some take characters for those that they look like (UTS 15)."""


def _fold(globs: tuple[PathGlob, ...]) -> list[PathGlob]:
    """One of plain letters is the same by both."""
    return [glob.folded(fold) for glob in globs for fold in (_FOLDS[:1] if _is_plain(glob) else _FOLDS)]


def _is_plain(glob: PathGlob) -> bool:
    return glob.text.isascii() and "%" not in glob.text


def _touches_path(terms: Terms, raw: str | None) -> bool:
    paths = _read_path(raw)
    return paths is None or any(glob.matches(path) for glob in _fold(terms.paths or ()) for path in paths)


def _touches_git(terms: Terms, attempt: Attempt) -> bool:
    """By path alone, since a server may not mind what else is asked; an advertisement may be for either service."""
    paths = _read_path(attempt.path)
    if paths is None or terms.git is None:
        return paths is None
    return any(
        _names_repository(terms.git.of(service), path.removesuffix(suffix))
        for path in paths
        for suffix, services in _GIT_PATHS.items()
        if path.endswith(suffix)
        for service in ([attempt.service] if attempt.service in services else services)
    )
