"""The variables that a run's agent has, as the command line and the policy say."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from trio_egress.kernel.identity import Identities
from trio_egress.policy.rule import Policy
from trio_egress.runtime.environment import agent_environment


def find_environment(
    options: argparse.Namespace,
    policy: Policy,
    identities: Identities,
    run_id: str,
    environ: Mapping[str, str],
) -> dict[str, str]:
    return agent_environment(
        _withhold_password(environ, policy),
        identities,
        run_id,
        options.proxy_port,
        proxy_variables=options.proxy_variables,
        endpoints=policy.endpoints,
        passed=policy.env.pass_,
        added=dict(policy.env.set),
    )


def _withhold_password(environ: Mapping[str, str], policy: Policy) -> Mapping[str, str]:
    """The caller's variables without the one that has the password of [upstream]."""
    source = None if policy.upstream is None else policy.upstream.table.password
    return {name: value for name, value in environ.items() if source is None or name != source.env}
