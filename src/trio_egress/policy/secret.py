"""The `[[secret]]` tables: what the operator calls secret, by where it is found; never the value.

Strings only: the values are the runtime's to read, and to keep out of all that is recorded.

Rule 1: a secret has one source, and its name is what stands in receipts for it.
Rule 2: a name means one thing: two tables that say the same name are an error.
Rule 3: with `to` it is one that the agent never has: a placeholder is all that it gets, and where the value is put in
        for that is written out, host by host and field by field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs

from trio_egress.errors import Problem
from trio_egress.model import Host
from trio_egress.policy.destination import Destination, parse_destination
from trio_egress.policy.slots import SSH_USER, USUAL_SLOTS, Kind, Slot, parse_slot
from trio_egress.policy.values import read_texts
from trio_egress.texts.faults import Fault, Faults, show
from trio_egress.values import frozen

SECRETS_MAX = 100
SSH_PORTS, WEB_PORTS = (22,), (80, 443)
NAME_CHARS = 64
SOURCE_CHARS = 4096
ARGUMENTS_MAX = 100
PLACEHOLDER_LEAST, PLACEHOLDER_MOST = 16, 255

UPSTREAM_PASSWORD = "upstream-password"  # noqa: S105  a name

RESERVED = ("query", "userinfo", UPSTREAM_PASSWORD)
"""What stands in receipts for values of queries, for userinfo, and for what `[upstream]` says the password is."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{NAME_CHARS - 1}}}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLACEHOLDER = re.compile(
    rf"[A-Za-z0-9][A-Za-z0-9._~-]{{{PLACEHOLDER_LEAST - 1},{PLACEHOLDER_MOST - 1}}}", re.ASCII
)


@frozen(kw_only=True)
class From:
    """Where a value is found, a field for each way; exactly one is set."""

    env: str | None = None
    file: str | None = None
    command: tuple[str, ...] | None = None

    def __str__(self) -> str:
        if self.command is not None:
            return f"the command {self.command[0]}"
        return f"the variable {self.env}" if self.env is not None else f"the file {self.file}"


@frozen(kw_only=True)
class Secret:
    """A field for each key. Without `to` it is only kept out of the record."""

    name: str
    from_: From
    to: tuple[Destination, ...] = ()
    as_: tuple[Slot, ...] = USUAL_SLOTS
    env: str | None = None
    placeholder: str | None = None

    @property
    def ssh_user(self) -> str | None:
        """Whom it logs in as where it is a key for SSH, which the agent doesn't even have a placeholder of."""
        first = self.as_[0]
        return (first.name or SSH_USER) if first.kind is Kind.SSH else None

    @property
    def variable(self) -> str | None:
        """The one in which the agent finds the placeholder."""
        return (self.env or self.from_.env) if self.to and self.ssh_user is None else None

    def goes_to(self, host: Host, port: int) -> bool:
        """Without a port in `to`, where its protocol usually is."""
        usual = SSH_PORTS if self.ssh_user is not None else WEB_PORTS
        return any(destination.holds(host, port, usual) for destination in self.to)

    @property
    def way(self) -> str:
        """Where it goes and how, as people read it."""
        if not self.to:
            return "nowhere"
        given = (("env", self.variable), ("placeholder", self.placeholder))
        more = "".join(f"; {key} {value}" for key, value in given if value is not None)
        return f"{', '.join(map(str, self.to))} as {', '.join(map(str, self.as_))}{more}"


@frozen
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


def read_command(value: object) -> tuple[str, ...]:
    example = '["pass", "show", "api-token"]'
    if isinstance(value, str):
        raise ValueError(f"command must be a list such as {example}, not {show(value)}: no shell reads it")
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError(f"command must be a list of words such as {example}")
    if not value or not value[0]:
        raise ValueError(f"command is empty; write a program and its arguments, such as {example}")
    if len(value) > ARGUMENTS_MAX or any("\0" in word or len(word) > SOURCE_CHARS for word in value):
        raise ValueError(
            f"command has at most {ARGUMENTS_MAX} words of {SOURCE_CHARS} characters, and no NUL among them"
        )
    if "/" in value[0] and not value[0].startswith("/"):
        raise ValueError(
            f"{show(value[0])} would be another program in each directory, perhaps one that an agent wrote: write "
            "the whole path, or a name that is found in PATH"
        )
    return tuple(value)


def read_to(value: object) -> tuple[Destination, ...]:
    """In an order that is not the file's."""
    if not isinstance(value, list):
        raise ValueError(f'to must be a list such as ["api.example.com"], not {show(value)}')
    if not value:
        raise ValueError(
            "to is empty, so nobody would ever get it; leave it out where it is only to be unsaid"
        )
    faults, found = [], set()
    for place, raw in enumerate(value):
        try:
            if not isinstance(raw, str):
                raise ValueError(f'a destination must be a string such as "api.example.com", not {show(raw)}')
            found.add(parse_destination(raw))
        except ValueError as error:
            faults.append(Fault((place,), str(error)))
    if faults:
        raise Faults(faults)
    return tuple(sorted(found, key=str))


def read_as(value: object) -> tuple[Slot, ...]:
    raw = [value] if isinstance(value, str) else value
    words = read_texts(
        "as", raw, '["basic", "header:x-api-key", "query:key"]', lambda word: str(parse_slot(word))
    )
    if not words:
        raise ValueError("as is empty, so it would be put in nowhere; leave it out for what is usual")
    slots = tuple(map(parse_slot, sorted(set(words))))
    if any(slot.kind is Kind.SSH for slot in slots) and len(slots) > 1:
        raise ValueError('a key for SSH stands in no request, and is of one user: as = "ssh" stands alone')
    return slots


def read_placeholder(value: object) -> str:
    if not isinstance(value, str) or not _PLACEHOLDER.fullmatch(value):
        raise ValueError(
            f'placeholder must be a text such as "ghp_0000placeholder0000", {PLACEHOLDER_LEAST} to '
            f'{PLACEHOLDER_MOST} letters, digits, ".", "_", "~" and "-", not {show(value)}'
        )
    return value


def check_from(source: From) -> From:
    """Raises ValueError where there is not exactly one source."""
    given = [f"`{key}`" for key, value in attrs.asdict(source).items() if value is not None]
    if len(given) > 1:
        raise ValueError(
            f"a secret has one source: {' or '.join(given)}, not {'both' if len(given) == 2 else 'all'}"
        )
    return source


def check_secret(secret: Secret, written: Mapping[str, object]) -> None:
    """Raises Faults where keys can't stand together; `written` is the table."""
    faults = []
    if not secret.to:
        faults += [
            Fault(
                (key,),
                f"`{key}` is for a secret that the agent never has: say with `to` who gets it",
                on_key=True,
            )
            for key in ("as", "env", "placeholder")
            if key in written
        ]
    elif secret.ssh_user is not None:
        faults += [
            Fault((key,), f"`{key}` is for what stands in a request, and a key for SSH doesn't", on_key=True)
            for key in ("env", "placeholder")
            if key in written
        ]
    elif secret.variable is None and secret.placeholder is None:
        faults.append(
            Fault(
                ("to",),
                "the agent has to know what to send instead: name the variable in which it finds that, as in "
                'env = "API_TOKEN"',
                on_key=True,
            )
        )
    if faults:
        raise Faults(faults)


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
    """As the compiled form has them: names and sources, and where they go, without defaults."""
    return [_render(placed.secret) for placed in sorted(secrets, key=lambda placed: placed.secret.name)]


def _render(secret: Secret) -> Mapping[str, object]:
    told: dict[str, object] = {
        "name": secret.name,
        "from": attrs.asdict(secret.from_, filter=lambda _field, value: value is not None),
    }
    if secret.to:
        told["to"] = list(map(str, secret.to))
    if secret.as_ != USUAL_SLOTS:
        told["as"] = list(map(str, secret.as_))
    for key in ("env", "placeholder"):
        if (value := getattr(secret, key)) is not None:
            told[key] = value
    return told
