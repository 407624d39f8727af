"""The values that a run looks for besides its secrets: of variables, of files, and canaries.

Rule 1: nothing is read where no rule has anything looked through.
Rule 2: what the policy names and can't be looked for ends the run before it begins; what only looks secret never does.
Rule 3: the values are in the memory of the supervisor alone; each has a name of its own, that of its variable or file.
"""

from __future__ import annotations

import base64
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote_to_bytes

import attrs

from trio_egress.errors import PolicyError, Problem, UsageError
from trio_egress.evidence.redact import Redactor
from trio_egress.model import Kind
from trio_egress.policy.rule import Policy
from trio_egress.policy.secret import From
from trio_egress.runtime.detectors import has_scans
from trio_egress.runtime.secrets import LEAST_BYTES, read_source
from trio_egress.values import frozen

GUESSED_BYTES = 12
"""What is shorter and only looks secret is as likely a word."""

GUESSED_BITS = 3.0
"""Entropy of a byte: a token of 20 characters has about 4."""

NAME_CHARS = 80
CANARY_BYTES = 30

_WORDS = frozenset(
    [
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "CREDENTIAL",
        "CREDENTIALS",
        "APIKEY",
        "PAT",
        "AUTHTOKEN",
    ]
)
_KEYS = re.compile(
    r"(?:^|_)(?:API|ACCESS|PRIVATE|SECRET|SIGNING|ENCRYPTION|MASTER|DEPLOY|SERVICE|ACCOUNT|AUTH)_?KEY$"
)
_OTHER = re.compile(
    r"(?:^|_)(?:PUBLIC|CACHE|GPG)(?:_|$)|_(?:FILE|PATH|DIR|NAME|ID|USER|USERNAME|EMAIL|TYPE|METHOD|HOST|PORT|ENDPOINT|"
    r"REGION|VERSION|EXPIRY|EXPIRES|TTL|LENGTH|SIZE|LIMIT|COUNT|ALGORITHM|FINGERPRINT|HEADER)$"
)
"""Names of what belongs to a secret, and is none."""
_STANDS_FOR = re.compile(
    r"\$[{(]|%[A-Z_]+%|<[^>]*>|\*{3}|x{6}|change.?me|example|your[_-]|placeholder|dummy|redacted",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]*|[A-Z][a-z]+|[A-Z]+|v?[0-9]{1,4}|[A-Za-z][a-z]{2,}[0-9]{1,2}")
"""Of what people join by marks to names, versions and dates: `release-2026-11-22`, `my-service-password1`."""
_PLAIN = re.compile(r"(?:/|~|\.{1,2}/|[a-z][a-z0-9+.-]*://|[A-Za-z]:\\).*|[0-9.,:+-]*", re.DOTALL)
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s:]*:([^/?#@\s]+)@")
_SETTING = re.compile(
    rb"""^[ \t]*(?:export[ ]+)?["']?([A-Za-z_][A-Za-z0-9_.-]*)["']?[ \t]*[=:][ \t]*(.+?)[ \t]*,?$""",
    re.MULTILINE,
)
_PEM = b"-----BEGIN "


@frozen
class Value:
    """One value; `name` is what its findings are called."""

    name: str
    value: bytes = attrs.field(repr=False)
    kind: Kind = Kind.EXACT

    @property
    def told(self) -> str:
        """What it is, in messages and receipts."""
        return f"the canary {self.name}" if self.kind is Kind.CANARY else f"the value {self.name} of this run"


def find_values(
    policy: Policy, environ: Mapping[str, str], directory: Path, redactor: Redactor
) -> tuple[Value, ...]:
    """Each value once, canaries first. `redactor` has the policy's secrets, which are none of these.

    Raises PolicyError and UsageError.
    """
    if not has_scans(policy):
        return ()
    problems: list[Problem] = []
    found = {redactor.value_of(name): Value("", b"") for name in redactor.names}
    for value in _list_values(policy, environ, directory, problems):
        found.setdefault(value.value, value)
    if problems:
        raise PolicyError(tuple(problems))
    from trio_egress.content.exact import MOST_VALUES  # only where something is looked through

    if len(found) > MOST_VALUES:
        raise UsageError(
            f"{len(found)} values are to be looked for, and {MOST_VALUES} are the most: name fewer in [scan], or say "
            "guess = false"
        )
    names = Counter(redactor.names)
    return tuple(_name(value, names) for value in found.values() if value.name)


def plant(environment: Mapping[str, str], policy: Policy, values: tuple[Value, ...]) -> dict[str, str]:
    """The agent's environment with the canaries in it."""
    canaries = {value.name: os.fsdecode(value.value) for value in values if value.kind is Kind.CANARY}
    planted = {
        placed.canary.env: canaries[placed.canary.name]
        for placed in policy.sought.canaries
        if placed.canary.env is not None and placed.canary.name in canaries
    }
    return {**environment, **planted}


def list_planted(policy: Policy, values: Iterable[Value]) -> dict[str, str]:
    """Texts of the files with canaries in them, by their paths below HOME."""
    canaries = {value.name: os.fsdecode(value.value) for value in values if value.kind is Kind.CANARY}
    return {
        placed.canary.file.removeprefix("~/"): f"{canaries[placed.canary.name]}\n"
        for placed in policy.sought.canaries
        if placed.canary.file is not None and placed.canary.name in canaries
    }


def _list_values(
    policy: Policy, environ: Mapping[str, str], directory: Path, problems: list[Problem]
) -> Iterator[Value]:
    sought = policy.sought
    for placed in sought.canaries:
        canary = placed.canary
        try:
            yield Value(canary.name, _make_canary(canary.from_, environ, directory), Kind.CANARY)
        except ValueError as error:
            problems.append(attrs.evolve(placed.place, message=f"the canary {canary.name}: {error}"))
    for file in sought.files:
        try:
            yield from _read_file(file.path, environ, directory)
        except ValueError as error:
            problems.append(attrs.evolve(file.place, message=str(error)))
    named = [name for name in sorted(environ) if any(fnmatchcase(name, one) for one in sought.env)]
    for name in named:
        if len(value := os.fsencode(environ[name])) >= LEAST_BYTES:
            yield Value(name, value)
    if sought.guess:
        for name in sorted(set(environ) - set(named)):
            yield from _guess(name, environ[name])


def _make_canary(source: From | None, environ: Mapping[str, str], directory: Path) -> bytes:
    if source is None:
        return base64.urlsafe_b64encode(os.urandom(CANARY_BYTES))
    return read_source(source, environ, directory)


def _read_file(path: str, environ: Mapping[str, str], directory: Path) -> Iterator[Value]:
    """A file that has one value, a key in PEM, or settings, a line each."""
    raw = read_source(From(file=path), environ, directory)
    name = re.sub(r"[^A-Za-z0-9._-]", "-", os.path.basename(path)).lstrip("._-") or "file"
    if b"\n" not in raw.strip() or _PEM in raw:
        yield Value(name, raw.strip())
        return
    settings = [(match[1].decode("ascii"), match[2].strip(b"\"'")) for match in _SETTING.finditer(raw)]
    values = [Value(key, value) for key, value in settings if len(value) >= LEAST_BYTES and b" " not in value]
    if not values:
        raise ValueError(
            f"{path} has no value that could be looked for: one alone, a key in PEM, or lines such as NAME=value, of "
            f"at least {LEAST_BYTES} bytes"
        )
    yield from values


def _guess(name: str, text: str) -> Iterator[Value]:
    """What a variable is called, and what its value looks like, must both say so; or it is in a URL."""
    if (userinfo := _USERINFO.match(text)) is not None:
        password = unquote_to_bytes(userinfo[1])
        if len(password) >= LEAST_BYTES:
            yield Value(name, password)
    elif _sounds_secret(name) and _looks_secret(text):
        yield Value(name, os.fsencode(text))


def _sounds_secret(name: str) -> bool:
    words = name.upper().split("_")
    return _OTHER.search(name.upper()) is None and (
        not _WORDS.isdisjoint(words) or _KEYS.search(name.upper()) is not None
    )


def _looks_secret(text: str) -> bool:
    if len(text) < GUESSED_BYTES or _PLAIN.fullmatch(text) or any(map(str.isspace, text)):
        return False
    if _STANDS_FOR.search(text) or all(map(_WORD.fullmatch, re.split("[^A-Za-z0-9]+", text))):
        return False
    kinds = sum(any(map(is_kind, text)) for is_kind in (str.islower, str.isupper, str.isdigit))
    shares = [count / len(text) for count in Counter(text).values()]
    return kinds > 1 and -sum(share * math.log2(share) for share in shares) >= GUESSED_BITS


def _name(value: Value, taken: Counter[str]) -> Value:
    """Two values of one name are told apart by a number."""
    taken[value.name] += 1
    number = "" if taken[value.name] == 1 else f"-{taken[value.name]}"
    return attrs.evolve(value, name=f"{value.name[: NAME_CHARS - len(number)]}{number}")
