"""What a run looks for beside what comes with the package: detectors of the operator, values of the run, canaries.

Opens nothing, and knows no value: what is found where is the runtime's to read.

Rule 1: a file of detectors is part of the policy: its bytes are packaged, and its SHA-256 stands in the compiled form.
Rule 2: the policy says where a value is, never what it is; a canary is made for the run, or found where it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

from trio_egress.errors import Problem
from trio_egress.policy.files import parse_path
from trio_egress.policy.includes import Include, check_name, read_named
from trio_egress.policy.secret import From, read_file
from trio_egress.policy.values import read_texts
from trio_egress.texts.faults import Fault, Faults, show
from trio_egress.values import frozen

CANARIES_MAX = 20
DETECTORS_BYTES = 1 << 20
"""Of one file: five times as much as the largest list of rules that is around."""

_PATTERN = re.compile(r"[A-Za-z0-9_*?]+", re.ASCII)


@frozen(kw_only=True)
class Canary:
    """A field for each key. `env`, `file`: where the agent finds it. Without `from_` it is made for the run."""

    name: str
    env: str | None = None
    file: str | None = None
    from_: From | None = None

    @property
    def way(self) -> str:
        """Where it is, and where its value is from, as people read it."""
        said = (("env", self.env), ("file", self.file), ("from", self.from_))
        return ", ".join(f"{key} {value}" for key, value in said if value is not None)


@frozen
class PlacedCanary:
    """A canary, and its place, as a problem of which nothing is said yet."""

    canary: Canary
    place: Problem = attrs.field(eq=False, repr=False)


@frozen
class SoughtFile:
    """A file in which values of the run are, and where the policy says so."""

    path: str
    place: Problem = attrs.field(eq=False, repr=False)


@frozen
class DetectorFile:
    """Detectors of the operator's, in the form that gitleaks reads. `text` is empty where the file is not at hand."""

    name: str
    sha256: str
    text: str = attrs.field(default="", eq=False, repr=False)


@frozen(kw_only=True)
class Sought:
    """`env`: patterns over names of variables. `guess`: values of variables that look secret are looked for, too."""

    detector_files: tuple[DetectorFile, ...] = ()
    env: tuple[str, ...] = ()
    files: tuple[SoughtFile, ...] = ()
    guess: bool = True
    canaries: tuple[PlacedCanary, ...] = ()


USUAL = Sought()


def read_detector_files(value: object) -> tuple[Include, ...]:
    """Raises ValueError, or Faults with everything that is wrong."""
    return read_named("detector_files", value, '"our-detectors.toml"', _check_target)


def read_env(value: object) -> tuple[str, ...]:
    return tuple(sorted(read_texts("env", value, '["MY_*"]', _check_pattern)))


def read_files(value: object) -> tuple[str, ...]:
    return tuple(sorted(read_texts("files", value, '["~/.config/our-tool/token"]', read_file)))


def read_planted(value: object) -> str:
    """A file of the agent's HOME. Raises ValueError."""
    path = parse_path(value) if isinstance(value, str) and value else ""
    if not path.startswith("~/"):
        raise ValueError(f'file must be one in HOME, such as "~/.aws/credentials", not {show(value)}')
    return path


def check_canary(canary: Canary) -> None:
    """Raises Faults for one that nobody could find."""
    if canary.env is None and canary.file is None and canary.from_ is None:
        message = (
            "where is it? name the variable (`env`) in which the agent finds it, a `file` to be planted, or with "
            "`from` a value that stands somewhere already"
        )
        raise Faults([Fault(("name",), message, on_key=True)])


def check_canaries(canaries: Iterable[Canary]) -> tuple[Canary, ...]:
    """Raises Faults where two have the same name, variable or file."""
    first: dict[tuple[str, str], int] = {}
    faults = []
    listed = tuple(canaries)
    for place, canary in enumerate(listed):
        for key in ("name", "env", "file"):
            value = getattr(canary, key)
            if value is not None and first.setdefault((key, value), place) != place:
                message = f"canary[{first[key, value]}] has {key} {show(value)} already"
                faults.append(Fault((place, key), message))
    if faults:
        raise Faults(faults)
    return listed


def check_detectors(raw: bytes, name: str) -> str:
    """The text of a file of detectors; what it says is for who reads it (`content.rules`). Raises ValueError."""
    if len(raw) > DETECTORS_BYTES:
        raise ValueError(f"{show(name)} has more than {DETECTORS_BYTES} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{show(name)} is not UTF-8, in which detectors are written") from None


def render_sought(sought: Sought) -> dict[str, object]:
    """As the compiled form has it, without what is usual."""
    files = [{"file": file.name, "sha256": file.sha256} for file in sought.detector_files]
    written: Mapping[str, object] = {
        "detector_files": sorted(files, key=lambda file: file["file"]),
        "env": sorted(sought.env),
        "files": sorted(file.path for file in sought.files),
    }
    rendered = {key: value for key, value in written.items() if value}
    return rendered if sought.guess else {**rendered, "guess": False}


def render_canaries(canaries: Iterable[PlacedCanary]) -> list[dict[str, object]]:
    return sorted((_render_canary(placed.canary) for placed in canaries), key=lambda told: str(told["name"]))


def _render_canary(canary: Canary) -> dict[str, object]:
    told: dict[str, object] = {
        key: value for key in ("name", "env", "file") if (value := getattr(canary, key)) is not None
    }
    if canary.from_ is not None:
        told["from"] = attrs.asdict(canary.from_, filter=lambda _field, value: value is not None)
    return told


def _check_pattern(raw: str) -> str:
    if not _PATTERN.fullmatch(raw):
        hint = f"; did you mean {show(raw.partition('=')[0])}?" if "=" in raw else ""
        raise ValueError(
            f'{show(raw)} is no variable\'s name: letters, digits and "_", with "*" and "?" as wildcards{hint}'
        )
    return raw


def _check_target(target: str) -> str:
    check_name(target)
    if target.endswith("/"):
        raise ValueError(f"{show(target)} is a directory; name each file in it")
    return target
