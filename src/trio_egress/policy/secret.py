"""The `[[secret]]` tables: what the operator calls secret, by where it is found; never the value.

Strings only: the values are the runtime's to read, and to keep out of all that is recorded.

Rule 1: a secret has one source, and its name is what stands in receipts for it.
Rule 2: a name means one thing: two tables that say the same name are an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs

from trio_egress.errors import Problem
from trio_egress.policy.problems import Fault, Faults, show

SECRETS_MAX = 100
NAME_CHARS = 64
SOURCE_CHARS = 4096

UPSTREAM_PASSWORD = "upstream-password"  # noqa: S105  a name

RESERVED = ("query", "userinfo", UPSTREAM_PASSWORD)
"""What stands in receipts for values of queries, for userinfo, and for what `[upstream]` says the password is."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_CHARS - 1}}}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@attrs.frozen(kw_only=True)
class From:
    """Where a value is found, a field for each way; exactly one is set."""

    env: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return f"the variable {self.env}" if self.env is not None else f"the file {self.file}"


@attrs.frozen(kw_only=True)
class Secret:
    """A field for each key."""

    name: str
    from_: From


@attrs.frozen
class PlacedSecret:
    """A secret, and the place of its source, as a problem of which nothing is said yet."""

    secret: Secret
    place: Problem = attrs.field(eq=False, repr=False)


def read_secret_name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f'name must be a text such as "api-token", not {show(value)}')
    if not _NAME.fullmatch(value):
        raise ValueError(
            f'{show(value)} can\'t name a secret: letters, digits, ".", "_" and "-", at most {NAME_CHARS}, '
            "and the first a letter or digit"
        )
    if value in RESERVED:
        raise ValueError(f"{show(value)} stands for something else in receipts; choose another name")
    return value


def read_variable(value: object) -> str:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise ValueError(f'env must be the name of a variable such as "API_TOKEN", not {show(value)}')
    return value


def read_file(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value or len(value) > SOURCE_CHARS:
        raise ValueError(f'file must be the path of a file such as "~/.config/api-token", not {show(value)}')
    return value


def check_from(source: From) -> From:
    """Raises ValueError where there is not exactly one source."""
    if source.env is not None and source.file is not None:
        raise ValueError("a secret has one source: `env` or `file`, not both")
    return source


def check_secrets(secrets: Sequence[Secret]) -> tuple[Secret, ...]:
    """Raises Faults where two have the same name."""
    first: dict[str, int] = {}
    faults = [
        Fault((place, "name"), f'secret[{first[secret.name]}] has the name "{secret.name}" already')
        for place, secret in enumerate(secrets)
        if first.setdefault(secret.name, place) != place
    ]
    if faults:
        raise Faults(faults)
    return tuple(secrets)


def render_secrets(secrets: Sequence[PlacedSecret]) -> list[Mapping[str, object]]:
    """As the compiled form has them: names and sources."""
    return [
        {
            "name": placed.secret.name,
            "from": attrs.asdict(placed.secret.from_, filter=lambda _field, value: value is not None),
        }
        for placed in sorted(secrets, key=lambda placed: placed.secret.name)
    ]
