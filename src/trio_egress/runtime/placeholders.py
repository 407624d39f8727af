"""What the agent gets of secrets that are sent (`[[secret]] to`): placeholders, and nothing that has a value in it.

Rule 1: a variable that has a value has its placeholder instead, whatever its name; the file of a value is hidden.
Rule 2: what can't be sent, or couldn't be kept from the agent, ends the run before it begins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from trio_egress.errors import PolicyError, Problem, UsageError
from trio_egress.evidence.redact import Redactor
from trio_egress.policy.rule import Policy
from trio_egress.proxy.git_relay import HeldKey
from trio_egress.proxy.vault import Held, Vault
from trio_egress.runtime.secrets import find_file
from trio_egress.runtime.ssh_keys import read_private_key

SENT_BYTES = 4096
"""Half of what most servers take as one field (Apache's LimitRequestFieldSize is 8190)."""


def open_vault(policy: Policy, redactor: Redactor) -> Vault:
    """The secrets that the agent never has, with their placeholders. Raises PolicyError."""
    held: list[Held] = []
    keys: list[HeldKey] = []
    problems: list[Problem] = []
    for placed in policy.secrets:
        secret = placed.secret
        if not secret.to:
            continue
        value = redactor.value_of(secret.name)
        commitment = redactor.commit(secret.name)
        if secret.ssh_user is not None:
            try:
                keys.append(HeldKey(secret.name, secret.ssh_user, read_private_key(value), commitment))
            except ValueError as error:
                message = f"the secret {secret.name}: {secret.from_} {error}"
                problems.append(attrs.evolve(placed.place, message=message))
            continue
        placeholder = secret.placeholder or f"trio-egress-placeholder-{secret.name}-{os.urandom(8).hex()}"
        if (fault := _find_unfit(value, placeholder)) is not None:
            message = f"the secret {secret.name}: {fault}"
            problems.append(attrs.evolve(placed.place, message=message))
        held.append(Held(secret.name, secret.to, secret.as_, placeholder, value, commitment))
    if problems:
        raise PolicyError(tuple(problems))
    return Vault(held, keys)


def _find_unfit(value: bytes, placeholder: str) -> str | None:
    """Why a value can't be sent, if so."""
    if not value.isascii() or not value.decode("ascii").isprintable() or value != value.strip():
        return "its value has a character that no header may carry (a line end, a space at an end, not ASCII)"
    if len(value) > SENT_BYTES:
        return f"its value has more than {SENT_BYTES} bytes, which is too much for a header"
    if value.lower() in placeholder.lower().encode() or placeholder.lower().encode() in value.lower():
        return "its placeholder and its value have each other in them"
    return None


def find_secret_files(policy: Policy, environ: Mapping[str, str], directory: Path) -> tuple[Path, ...]:
    """Where the values are of secrets that are sent: the agent must not see them there. Raises PolicyError."""
    found: list[Path] = []
    problems: list[Problem] = []
    for placed in policy.secrets:
        if placed.secret.to and placed.secret.from_.file is not None:
            path = Path(os.path.realpath(find_file(placed.secret.from_, environ, directory)))
            if (fault := _find_reachable(path)) is not None:
                message = f"the secret {placed.secret.name}: {placed.secret.from_} {fault}"
                problems.append(attrs.evolve(placed.place, message=message))
            found.append(path)
    if problems:
        raise PolicyError(tuple(problems))
    return tuple(found)


def _find_reachable(path: Path) -> str | None:
    """Why hiding a file by its name would not hide what is in it, if so."""
    if not path.is_file() or path.is_relative_to("/proc") or path.is_relative_to("/dev"):
        return "is no plain file that could be hidden from the agent: name one, or use `command`"
    if path.stat().st_nlink > 1:
        return "has another name (a hard link) by which the agent could read it: remove one of them"
    return None


def put_placeholders(
    environment: Mapping[str, str], policy: Policy, vault: Vault, redactor: Redactor
) -> dict[str, str]:
    """The agent's environment with placeholders for values. A variable that spells one otherwise is left out."""
    held = {each.name: each for each in vault.held}
    names = [*held, *(key.name for key in vault.keys)]
    sent = [placed.secret for placed in policy.secrets if placed.secret.name in names]
    only = redactor.only(names)
    result: dict[str, str] = {}
    for name, text in environment.items():
        for each in vault.held:
            text = text.replace(each.value.decode("ascii"), each.placeholder)
        if not only.holds(text) and not only.holds(name):
            result[name] = text
    for secret in sent:
        if secret.from_.env is not None:
            result.pop(secret.from_.env, None)
    return result | {secret.variable: held[secret.name].placeholder for secret in sent if secret.variable}


def check_command(command: Sequence[str], vault: Vault, redactor: Redactor) -> None:
    """Raises UsageError where the agent would be told a value as an argument."""
    only = redactor.only([*(each.name for each in vault.held), *(key.name for key in vault.keys)])
    if name := next(filter(None, map(only.holds, command)), ""):
        raise UsageError(
            f"the command has the value of the secret {name} in it, which the agent never has: write the placeholder "
            "there, or read it from its variable"
        )
