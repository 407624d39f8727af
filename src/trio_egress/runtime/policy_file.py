"""Where the policy is, and its bytes: `--policy`, $TRIO_EGRESS_POLICY, or the file of the usual name in this directory.

Judges nothing of what is in it.

Rule 1: two files of the usual names are no policy: nobody could say which one a reviewer has read.
Rule 2: no more is read than a policy may have, whatever the file is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trio_egress.errors import UsageError
from trio_egress.policy.load import POLICY_BYTES, decode_policy, load_policy
from trio_egress.policy.rule import Policy

POLICY_VARIABLE = "TRIO_EGRESS_POLICY"
POLICY_NAMES = ("trio-egress.toml", "trio-egress.yaml")


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


def read_policy(path: Path) -> tuple[str, Policy]:
    """The text, and what it means. Raises UsageError where it can't be read, and PolicyError."""
    try:
        with path.open("rb") as file:
            raw = file.read(POLICY_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the policy {path}: {error.strerror}") from None
    text = decode_policy(raw, str(path))
    return text, load_policy(text, str(path))


def _refuse(missing: str, asked: str) -> UsageError:
    return UsageError(
        f"no policy: {missing} ({asked}). Nothing runs without one; `trio-egress init` writes a commented "
        "starter policy"
    )
