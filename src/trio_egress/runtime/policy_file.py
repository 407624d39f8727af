"""Where the policy is, and its bytes: `--policy`, $TRIO_EGRESS_POLICY, or the file of the usual name in this directory.

Judges nothing of what is in it.

Rule 1: two files of the usual names are no policy: nobody could say which one a reviewer has read.
Rule 2: no more is read than a policy may have, whatever the file is.
Rule 3: an included file is a plain file. Below the policy's directory no link leads to it; elsewhere it is pinned by
        its SHA-256, so that it is no matter what led there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from trio_egress.errors import UsageError
from trio_egress.policy.allowed import add_allowed
from trio_egress.policy.gather import Read
from trio_egress.policy.load import load_policy
from trio_egress.policy.part import POLICY_BYTES, YAML_ENDINGS, decode_policy, has_yaml
from trio_egress.policy.presets import PRESET, read_preset
from trio_egress.policy.rule import Policy

POLICY_VARIABLE = "TRIO_EGRESS_POLICY"
POLICY_NAMES = ("trio-egress.toml", "trio-egress.yaml")

Check = Callable[[int], None]
"""Looks at an open file before anything of it is read. Raises OSError where it is not to be."""

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def find_policy(given: str | None, environ: Mapping[str, str], directory: Path = Path()) -> Path:
    """`given` is the command line's. Raises UsageError where there is none, or more than one."""
    if named := given or environ.get(POLICY_VARIABLE):
        path = directory / named
        if not path.exists():
            raise _refuse(f"{path} does not exist", "--policy" if given else f"${POLICY_VARIABLE}")
        return path
    found = [path for name in POLICY_NAMES if (path := directory / name).exists()]
    if len(found) > 1:
        raise UsageError(
            f"{' and '.join(map(str, found))} are both here, and only one can be the policy: remove one, "
            "or name one with --policy"
        )
    if not found:
        raise _refuse(f"{' or '.join(POLICY_NAMES)} does not exist", "this directory")
    return found[0]


def empty_policy() -> Path:
    """The packaged policy that allows nothing."""
    return Path(str(files("trio_egress.policy").joinpath("empty.toml")))


def read_policy(path: Path, allowed: Sequence[str] = ()) -> tuple[str, Policy]:
    """The text, and what it means with all that it includes. `allowed`: destinations to add to it.

    Raises UsageError (unreadable) and PolicyError.
    """
    return read_policy_of(path, path.parent, str(path), lambda _: None, allowed=allowed)


def read_policy_of(
    path: Path,
    directory: Path,
    shown: str,
    check: Check,
    presets: Read | None = None,
    *,
    allowed: Sequence[str] = (),
) -> tuple[str, Policy]:
    """The same of a policy that is known as `shown`, and whose includes are named from `directory`.

    With `presets`, as while a run lives, nothing is imported: YAML can be included only where it was read before.
    """
    # A pipe that nobody serves holds up a run that begins, as `cat` would be; never one that lives.
    flags = os.O_NONBLOCK if presets else 0
    try:
        with open(path, "rb", opener=lambda name, usual: os.open(name, usual | flags)) as file:
            check(file.fileno())
            raw = file.read(POLICY_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the policy {shown}: {error.strerror}") from None

    def read(name: str) -> bytes:
        if presets and name.endswith(YAML_ENDINGS) and not has_yaml():
            raise OSError(errno.EPERM, "the run began without YAML, and loads no code any more")
        return read_included(directory, name, check)

    text = add_allowed(decode_policy(raw, shown), shown, allowed)
    return text, load_policy(text, shown, read, presets=presets or read_preset)


def read_included(directory: Path, name: str, check: Check = lambda _: None) -> bytes:
    """The bytes of a file that is included by this name. Raises OSError."""
    elsewhere = name.startswith(("/", "../"))
    fd = os.open(directory / name, _FLAGS) if elsewhere else _open_below(directory, name)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a plain file")
    with os.fdopen(fd, "rb") as file:
        check(fd)
        return file.read(POLICY_BYTES + 1)


def find_files(path: Path, policy: Policy) -> tuple[Path, ...]:
    """Every file that the policy at this path was read from, itself first.

    Included ones by their way from where the policy's directory really is: `..` leads from there.
    """
    included = (source.name for source in policy.sources[1:] if not source.name.startswith(PRESET))
    real = Path(os.path.realpath(path.parent))
    return (path, *(Path(os.path.normpath(real / name)) for name in included))


def _open_below(directory: Path, name: str) -> int:
    """Follows no link: what a name below the policy's directory says is where the file is."""
    *folders, last = name.split("/")
    parent = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = _open_plainly(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, parent)
            os.close(parent)
            parent = inner
        return _open_plainly(last, _FLAGS, parent)
    finally:
        os.close(parent)


def _open_plainly(name: str, flags: int, parent: int) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        # ENOTDIR is what a link gives where a directory is asked for, ELOOP what it gives otherwise.
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and stat.S_ISLNK(
            os.lstat(name, dir_fd=parent).st_mode
        ):
            raise OSError(errno.ELOOP, f"{name} is a link: name the file where it is") from None
        raise


def _refuse(missing: str, asked: str) -> UsageError:
    return UsageError(
        f"no policy: {missing} ({asked}). Nothing runs without one; `trio-egress init` writes a commented "
        "starter policy"
    )
