"""The values of what the policy calls secret, the password of `[upstream]`, and the key by which they are committed to:
read before anything runs.

Rule 1: what can't be found or is too short to be looked for ends the run before it begins, at its line of the policy.
Rule 2: the values are in the memory of the supervisor, and nowhere else.
Rule 3: the commitment key is made for one run. Without a file for it, nobody has it when the run is over.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs

from trio_egress.errors import PolicyError, Problem, UsageError
from trio_egress.evidence.redact import KEY_BYTES, Redactor
from trio_egress.policy.rule import Policy, Source
from trio_egress.policy.secret import UPSTREAM_PASSWORD, From, PlacedSecret, Secret
from trio_egress.runtime.secret_command import run_command

LEAST_BYTES = 8
"""What is shorter stands in too many texts by chance, and is guessed in no time by whoever has the commitment key."""

MOST_BYTES = 65_536
LONG_CHARS = 65_536


def open_redactor(policy: Policy, environ: Mapping[str, str], directory: Path, key: bytes) -> Redactor:
    """What keeps this policy's secrets out of the record. Raises PolicyError with everything that is wrong."""
    values: dict[str, bytes] = {}
    problems: list[Problem] = []
    secrets = tuple(_list_secrets(policy))
    for placed in secrets:
        try:
            value = read_source(placed.secret.from_, environ, directory)
        except ValueError as error:
            problems.append(attrs.evolve(placed.place, message=f"the secret {placed.secret.name}: {error}"))
        else:
            values[placed.secret.name] = value
    redactor = Redactor(key, values)
    for placed in secrets:
        if (file := find_told(Redactor(key, _only(values, placed.secret.name)), policy.sources)) is not None:
            told = f"its value stands in {file}, and a policy is part of every packet"
            message = f"the secret {placed.secret.name}: {told}"
            problems.append(attrs.evolve(placed.place, message=message, source_line=""))
    if problems:
        raise PolicyError(tuple(problems))
    return redactor


def sign_in(policy: Policy, redactor: Redactor) -> Policy:
    """The policy with what its upstream proxy is told of who we are (RFC 7617); the redactor is open for it."""
    upstream = policy.upstream
    if upstream is None or upstream.table.password is None:
        return policy
    user = f"{upstream.table.username}:".encode() + redactor.value_of(UPSTREAM_PASSWORD)
    login = f"Basic {base64.b64encode(user).decode('ascii')}"
    return attrs.evolve(policy, upstream=attrs.evolve(upstream, login=login))


def find_password_file(policy: Policy, environ: Mapping[str, str], directory: Path) -> Path | None:
    """Where it really is, for it to be hidden from the agent."""
    source = None if policy.upstream is None else policy.upstream.table.password
    if source is None or source.file is None:
        return None
    return Path(os.path.realpath(find_file(source, environ, directory)))


def _list_secrets(policy: Policy) -> Iterator[PlacedSecret]:
    yield from policy.secrets
    if policy.upstream is not None and policy.upstream.table.password is not None:
        secret = Secret(name=UPSTREAM_PASSWORD, from_=policy.upstream.table.password)
        yield PlacedSecret(secret, policy.upstream.place)


def find_told(redactor: Redactor, sources: Iterable[Source]) -> str | None:
    """The first file of a policy that says something secret."""
    for source in sources:
        # A long text as its lines: few of them have anything in them that must be looked at closely.
        texts = source.text.split("\n") if len(source.text) > LONG_CHARS else [source.text]
        if any(map(redactor.holds, texts)):
            return source.name
    return None


def make_commitment_key() -> bytes:
    return os.urandom(KEY_BYTES)


def keep_commitment_key(key: bytes, path: Path, evidence: Path) -> None:
    """Write it for whoever may reveal commitments later, and for nobody else. Raises UsageError."""
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(evidence)):
        raise UsageError(
            f"--commitment-key {path}: it is in the evidence directory, and must not be shared with it"
        )
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with open(os.open(path, flags, 0o600), "w", encoding="ascii") as file:
            file.write(f"{key.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise UsageError(f"--commitment-key {path} exists already: every run makes a new one") from None
    except OSError as error:
        raise UsageError(f"--commitment-key {path}: {error.strerror}") from None


def _only(values: Mapping[str, bytes], name: str) -> dict[str, bytes]:
    return {name: values[name]} if name in values else {}


def read_source(source: From, environ: Mapping[str, str], directory: Path) -> bytes:
    """The value that is found there. Raises ValueError."""
    if source.command is not None:
        value = run_command(source.command, environ, directory, MOST_BYTES + 3)
    elif source.env is not None:
        value = _read_variable(source.env, environ)
    else:
        value = _read_file(source, environ, directory)
    if len(value) < LEAST_BYTES:
        raise ValueError(f"{source} has fewer than {LEAST_BYTES} bytes, which stand in other texts by chance")
    if len(value) > MOST_BYTES:
        raise ValueError(f"{source} has more than {MOST_BYTES} bytes")
    if b"\0" in value:
        raise ValueError(f"{source} has a NUL in it")
    return value


def _read_variable(name: str, environ: Mapping[str, str]) -> bytes:
    if name not in environ:
        raise ValueError(f"the variable {name} is not set; set it for trio-egress, or remove this table")
    return os.fsencode(environ[name])


def _read_file(source: From, environ: Mapping[str, str], directory: Path) -> bytes:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY
    try:
        with open(os.open(find_file(source, environ, directory), flags), "rb") as file:
            raw = file.read(MOST_BYTES + 3)
    except OSError as error:
        raise ValueError(f"can't read {source}: {error.strerror}") from None
    return raw.removesuffix(b"\n").removesuffix(b"\r")


def find_file(source: From, environ: Mapping[str, str], directory: Path) -> Path:
    """Where it is, by the name that the policy gives it."""
    written = source.file or ""
    if written == "~" or written.startswith("~/"):
        written = environ.get("HOME", "~") + written[1:]
    return directory / written
