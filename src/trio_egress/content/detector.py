"""What a detector is, and what it finds: values only, in the words that scanner, policy, proxy and `scan` share."""

from __future__ import annotations

import enum

import attrs

from trio_egress.model import Action, Kind
from trio_egress.values import frozen


class Way(enum.Flag):
    """In which direction a detector looks."""

    OUT = enum.auto()
    IN = enum.auto()
    BOTH = OUT | IN


class Severity(enum.Enum):
    """As receipts and SARIF say it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@frozen(kw_only=True)
class Allowed:
    """What of a detector's finds is none (gitleaks: `[[rules.allowlists]]`).

    `regexes` are searched in the value (`target` "secret"), in the whole match ("match") or in its line ("line").
    `words`: lower case, anywhere in the value. `paths`: of files alone. `every`: all that is given must hold, not one.
    """

    regexes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    target: str = "secret"
    every: bool = False


@frozen(kw_only=True)
class Detector:
    """One form that is looked for.

    `pattern` is of RE2, over bytes (text is UTF-8); flags stand in it, as `(?i)`. `group` is the one that is the value;
    0: all of the match, or its first group, as gitleaks has it. `keywords`: lower case; one of them stands near every
    match. `entropy`: the least, in bits a byte, of a value. `check`: what a value must stand up to, by its name in
    `content.checks`. `home`: destinations to which such a value may go as a credential. `via`: how it is spelt, where
    the pattern is that of a spelling. `path`: what a file's path must match. `source`: file and line that it is from.
    `value`: of which the pattern has the spellings; findings are of it. `sign`: a cheaper pattern, near every match.
    """

    name: str
    description: str
    kind: Kind
    pattern: str
    group: int = 0
    keywords: tuple[str, ...] = ()
    entropy: float | None = None
    check: str | None = None
    allowed: tuple[Allowed, ...] = ()
    home: tuple[str, ...] = ()
    via: tuple[str, ...] = ()
    path: str | None = None
    ways: Way = Way.OUT
    action: Action = Action.BLOCK
    severity: Severity = Severity.HIGH
    source: str = ""
    value: bytes = attrs.field(default=b"", repr=False)
    sign: str = ""


@frozen
class Finding:
    """What a detector found in a message: bytes `start` to `end` of it as it came, whatever it was decoded from.

    `value` is secret, and for nothing but commitments. `via`: how it was spelt, the outermost first ("base64", "gzip").
    """

    detector: Detector
    start: int
    end: int
    value: bytes = attrs.field(repr=False)
    via: tuple[str, ...] = ()
