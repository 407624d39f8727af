"""What the fixture `egress` gives: runs in a sandbox for one test, and what they were denied, told in its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

import attrs
import pytest

from trio_egress.integrations.commands import count_alike
from trio_egress.integrations.testing.plugin import INSIDE
from trio_egress.integrations.testing.terms import Settings, Terms, read_terms
from trio_egress.library.result import Denied, DeniedError, Run
from trio_egress.library.running import run
from trio_egress.values import define

NO_POLICY = (
    "egress: there is no policy for this test: mark it with @pytest.mark.egress(policy=…, allow=[…]), or start pytest "
    "with --egress-policy FILE"
)
TOLD = 20
"""Different denials of a run that a report has in words; the packet has them all."""


@define
class Egress:
    """Runs of one test, in order."""

    terms: Terms
    settings: Settings
    item: pytest.Item = attrs.field(repr=False)
    runs: list[Run] = attrs.field(factory=list)

    def run(
        self,
        command: Sequence[str | PathLike[str]],
        *,
        allow: Sequence[str] = (),
        directory: str | PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,
        max_output: int | None = 1 << 20,
        user: str | None = None,
        check_denied: bool = False,
    ) -> Run:
        """As `trio_egress.run`, with this test's policy, `allow` and `timeout`."""
        if self.terms.policy is None:
            pytest.fail(NO_POLICY, pytrace=False)
        done = run(
            command,
            policy=self.terms.policy,
            allow=[*self.terms.allow, *allow],
            directory=directory,
            environment=environment,
            timeout=timeout or self.terms.timeout,
            max_output=max_output,
            evidence_in=self.settings.evidence,
            key=self.settings.key,
            user=user,
        )
        self.runs.append(done)
        self.item.user_properties += tell_run(done)
        if check_denied and done.denied_count:
            raise DeniedError(done)
        return done

    @property
    def denied_count(self) -> int:
        return sum(done.denied_count for done in self.runs)

    @property
    def denied(self) -> tuple[Denied, ...]:
        """Of all runs of this test so far."""
        return tuple(denied for done in self.runs for denied in done.denied)


EGRESS = pytest.StashKey[Egress]()


def open_egress(item: pytest.Item) -> Egress:
    if item.config.pluginmanager.hasplugin(INSIDE):
        pytest.fail("egress: this test runs in a sandbox already; what it starts is inside", pytrace=False)
    egress = Egress(read_terms(item), Settings.read(item.config), item)
    if egress.terms.policy is None:
        pytest.fail(NO_POLICY, pytrace=False)
    item.stash[EGRESS] = egress
    return egress


def tell_run(done: Run, tests: int = 1) -> list[tuple[str, object]]:
    """Properties of a test's report: JUnit's file has them, and the summary is written from them. `tests`: how many
    shared the sandbox."""
    return [
        ("egress_packet", str(done.packet.path)),
        *([("egress_tests", str(tests))] if tests > 1 else []),
        ("egress_denied_count", str(done.denied_count)),
        *(("egress_denied", line) for line in list(count_alike(done.denied))[:TOLD]),
    ]
