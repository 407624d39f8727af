"""What a test may contact: its markers, the nearest first, and the command line's for what they leave open."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.errors import TrioEgressError
from trio_egress.library.judging import Policy
from trio_egress.values import frozen

NOTHING = Path(__file__).with_name("nothing.toml")
"""The policy of a test that names destinations alone."""

EVIDENCE = "trio-egress-audit"
WORDS = {"policy", "allow", "isolate", "fail_on", "timeout"}


@frozen
class Terms:
    """`policy`: None where nobody names one. `whole`: the test runs inside; else what it starts by the fixture does.
    `marked`: by a marker, and not by the command line alone."""

    policy: Path | None
    allow: tuple[str, ...] = ()
    whole: bool = False
    fails: bool = False
    timeout: float | None = None
    marked: bool = False
    starts: bool = False


@frozen
class Settings:
    """The same for all tests."""

    evidence: Path
    key: Path | None

    @classmethod
    def read(cls, config: pytest.Config) -> Settings:
        place, key = config.getoption("egress_evidence"), config.getoption("egress_key")
        below = config.invocation_params.dir
        return cls(below / place if place else config.rootpath / EVIDENCE, below / key if key else None)


def check_policy(config: pytest.Config) -> None:
    """Raises UsageError, which ends pytest with the policy's problems."""
    try:
        Policy.load(config.invocation_params.dir / config.getoption("egress_policy"))
    except TrioEgressError as error:
        raise pytest.UsageError(f"--egress-policy: {error}") from None


def read_terms(item: pytest.Item) -> Terms:
    """Raises UsageError for a marker that can't be meant."""
    said: dict[str, object] = {}
    marked = False
    for marker in item.iter_markers("egress"):
        marked = True
        if marker.args or not marker.kwargs.keys() <= WORDS:
            raise pytest.UsageError(
                f"{item.nodeid}: the marker egress takes {', '.join(sorted(WORDS))}, by name"
            )
        said = {**marker.kwargs, **said}
    config = item.config
    given, named = config.getoption("egress_policy"), said.get("policy")
    starts = "egress" in getattr(item, "fixturenames", ())
    policy = config.invocation_params.dir / given if given else NOTHING if said.get("allow") else None
    return Terms(
        policy=config.rootpath / str(named) if named else policy,
        allow=_read_words(item, said.get("allow", ())),
        whole=bool(said.get("isolate")) or (bool(given) and not starts),
        fails=_read_fail_on(item, said.get("fail_on") or config.getoption("egress_fail_on")),
        timeout=_read_seconds(item, said.get("timeout")),
        marked=marked,
        starts=starts,
    )


def _read_words(item: pytest.Item, allow: object) -> tuple[str, ...]:
    if isinstance(allow, (list, tuple)) and all(isinstance(one, str) for one in allow):
        return tuple(allow)
    raise pytest.UsageError(f"{item.nodeid}: allow is a list of HOST or HOST:PORT, not {allow!r}")


def _read_fail_on(item: pytest.Item, word: object) -> bool:
    if word in ("deny", "never"):
        return word == "deny"
    raise pytest.UsageError(f"{item.nodeid}: fail_on is 'deny' or 'never', not {word!r}")


def _read_seconds(item: pytest.Item, seconds: object) -> float | None:
    if seconds is None or (isinstance(seconds, (int, float)) and seconds > 0):
        return seconds
    raise pytest.UsageError(f"{item.nodeid}: timeout is a number of seconds, not {seconds!r}")
