"""Where in a request a secret may stand, as `[[secret]] as` says it: `basic`, `header:NAME`, `query:NAME`; or
that it is a key for SSH: `ssh`, `ssh:USER`.

Rule 1: one place by its name, never all of them: what a server shows to others of a request is another field of it.
"""

from __future__ import annotations

import enum
import re

from trio_egress.texts.faults import show
from trio_egress.values import frozen

WORD_CHARS = 128
SSH_USER = "git"
"""As whom a key logs in, where the policy names nobody."""

_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,127}", re.ASCII)
_NEVER = frozenset(
    (
        *(
            "host",
            "connection",
            "content-length",
            "transfer-encoding",
            "te",
            "trailer",
            "upgrade",
            "keep-alive",
        ),
        *("expect", "range", "accept-encoding", "content-encoding", "http2-settings"),
        *("proxy-connection", "proxy-authorization"),
    )
)
"""Fields that end at a proxy, that frame or route a request, or that ask for an answer that can't be read."""


class Kind(enum.Enum):
    BASIC = "basic"
    HEADER = "header"
    QUERY = "query"
    SSH = "ssh"


@frozen
class Slot:
    """`name`: of a field, in lower case, of a parameter, or of the user of SSH that is not `git`; nothing for the
    credentials of Basic."""

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}" if self.name else self.kind.value


USUAL_SLOTS = (Slot(Kind.BASIC), Slot(Kind.HEADER, "authorization"))
"""In the order of their texts, as every list of them."""


def parse_slot(raw: str) -> Slot:
    """Raises ValueError."""
    kind, colon, name = raw.partition(":")
    match kind:
        case "basic" if not colon:
            return Slot(Kind.BASIC)
        case "basic":
            raise ValueError('"basic" is the credentials of Authorization: Basic, and has no name')
        case "header":
            return Slot(Kind.HEADER, _parse_field(name))
        case "query":
            if not name or len(name) > WORD_CHARS or not name.isprintable():
                raise ValueError('which parameter? as in "query:key"')
            return Slot(Kind.QUERY, name)
        case "ssh":
            return Slot(Kind.SSH, _parse_user(name) if colon else "")
    raise ValueError(
        f'{show(raw)} is no place in a request; there are "basic", "header:NAME" and "query:NAME", and "ssh" for a key'
    )


def _parse_user(name: str) -> str:
    """`git`, whom most servers know, is nobody in particular."""
    if not _USER.fullmatch(name):
        raise ValueError('which user does the key log in as? as in "ssh:git"')
    return "" if name == SSH_USER else name


def _parse_field(name: str) -> str:
    if not name:
        raise ValueError('which field? as in "header:x-api-key"')
    if len(name) > WORD_CHARS or not _FIELD.fullmatch(name):
        raise ValueError(f"{show(name)} is no name of a header field")
    if name.lower() in _NEVER:
        raise ValueError(f"the field {name.lower()} says how a request is carried, and holds no secret")
    return name.lower()
