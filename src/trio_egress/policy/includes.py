"""The key `include`: which other files and presets belong to a policy, and by which name each is known.

Opens nothing, and follows nothing: `gather` does.

Rule 1: a file is named from the directory of the file that names it, in one way: no `.`, no empty part, no `\\`.
Rule 2: what is not in the policy's own directory or below it must be pinned by its SHA-256: whoever reviews that
        directory does not see it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

import attrs

from trio_egress.policy.files import PATH_CHARS
from trio_egress.policy.presets import PRESET, PRESETS
from trio_egress.texts.faults import Fault, Faults, hint_nearest, show
from trio_egress.values import frozen

INCLUDES_MAX = 64
"""Files and presets of one policy, all in all."""

ENDINGS = (".toml", ".yaml", ".yml")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEYS = ("file", "sha256")


@frozen
class Include:
    """A file or preset as it is written, and the SHA-256 that it must have, if one is written."""

    target: str
    sha256: str | None = None


def read_include(value: object) -> tuple[Include, ...]:
    """Raises ValueError, or Faults with everything that is wrong."""
    return read_named("include", value, '"base.toml" or "preset:github"', _check_target)


def read_named(key: str, value: object, example: str, check: Callable[[str], str]) -> tuple[Include, ...]:
    """A list of files, each a name that `check` gives back, or a table with its name and its SHA-256.

    Raises ValueError, or Faults with everything that is wrong.
    """
    if not isinstance(value, list):
        raise ValueError(f"{key} must be a list such as [{example.replace(' or ', ', ')}], not {show(value)}")
    if len(value) > INCLUDES_MAX:
        raise ValueError(f"a policy includes at most {INCLUDES_MAX} files, and this has {len(value)}")
    found, faults = [], []
    for place, item in enumerate(value):
        try:
            found.append(_read_item(item, example, check))
        except Faults as error:
            faults += [attrs.evolve(fault, path=(place, *fault.path)) for fault in error.faults]
        except ValueError as error:
            faults.append(Fault((place,), str(error)))
    if faults:
        raise Faults(faults)
    return tuple(found)


def resolve_name(including: str, include: Include) -> str:
    """By which name the included file is known: from the directory of the policy itself. Raises ValueError.

    `including` is the name of the file that includes it.
    """
    if include.target.startswith(PRESET):
        return include.target
    name = name_from(including, include.target)
    if name.startswith(("/", "../")) and include.sha256 is None:
        raise ValueError(
            f"{show(include.target)} is outside of the policy's directory, so it must be pinned: "
            f'{{ file = {show(include.target)}, sha256 = "…" }}, with what `sha256sum` says of it'
        )
    return name


def name_from(naming: str, target: str) -> str:
    """A file's name from the directory of the policy itself. `naming` is the name of the file that has this one's."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(naming), target))


def _read_item(item: object, example: str, check: Callable[[str], str]) -> Include:
    match item:
        case str():
            return Include(check(item))
        case dict():
            return _read_table(item, example, check)
    raise ValueError(f"a file is named by a string such as {example}, not {show(item)}")


def _read_table(table: dict[str, object], example: str, check: Callable[[str], str]) -> Include:
    faults = [
        Fault((key,), f"unknown key {show(key)}; the keys here are file and sha256", on_key=True)
        for key in table
        if key not in _KEYS
    ]
    target, sha256 = table.get("file"), table.get("sha256")
    try:
        if not isinstance(target, str):
            raise ValueError(f"file must be a string such as {example}")
        check(target)
    except ValueError as error:
        faults.append(Fault(("file",), str(error)))
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        faults.append(
            Fault(("sha256",), "sha256 must be 64 lower-case hex digits, as `sha256sum` prints them")
        )
    if faults:
        raise Faults(faults)
    return Include(str(target), str(sha256))


def _check_target(target: str) -> str:
    if target.startswith(PRESET):
        name = target.removeprefix(PRESET)
        if name not in PRESETS:
            hint = hint_nearest(name, PRESETS) or f"; the presets are {', '.join(PRESETS)}"
            raise ValueError(f"there is no preset {show(name)}{hint}")
        return target
    if target in PRESETS:
        raise ValueError(f'a preset has "preset:" before its name; did you mean "{PRESET}{target}"?')
    check_name(target)
    if not target.endswith(ENDINGS):
        raise ValueError(f"{show(target)}: the name of an included file ends in {', '.join(ENDINGS)}")
    return target


def check_name(target: str) -> str:
    """A name of a file in the one way that there is. Raises ValueError."""
    if not target or len(target) > PATH_CHARS or not target.isprintable():
        raise ValueError(f"a file's name has 1 to {PATH_CHARS} characters, all of which can be printed")
    if "://" in target:
        raise ValueError("a policy includes files and presets, and nothing over the network")
    if target.startswith("~") or "\\" in target:
        raise ValueError(f'{show(target)}: a file is named from the directory of this one, with "/"')
    if (normal := posixpath.normpath(target)) != target or target.startswith("//"):
        raise ValueError(f"{show(target)} is a roundabout name; did you mean {show(normal)}?")
    return target
