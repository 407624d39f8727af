"""What a run needs to end TLS, where its policy asks for that, and what programs inside are to trust: made before the
sandbox, which has it built in.

Rule 1: everything that it will take is loaded and done once here: nothing is imported once the agent runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from trio_egress.errors import SandboxError
from trio_egress.kernel.trust import (
    ROOTS_VARIABLE,
    Added,
    Named,
    Trust,
    find_bundle,
    find_java_stores,
    find_named,
    read_certificates,
)
from trio_egress.policy.intercepted import find_intercepted
from trio_egress.policy.rule import Policy

if TYPE_CHECKING:
    from trio_egress.proxy.interception import Interception


def open_interception(policy: Policy, run_id: str) -> Interception | None:
    """None where no rule has to see what is inside TLS, and none names an endpoint that asks for it (`proxy_path`).

    Raises SandboxError.
    """
    patterns = find_intercepted(policy)
    if not patterns and not policy.endpoints:
        return None
    from trio_egress.proxy import http2  # noqa: F401  rule 1
    from trio_egress.proxy import interception as proxy

    authority = None
    if patterns:
        from trio_egress.proxy.authority import Authority

        authority = Authority(patterns, datetime.now(timezone.utc), run_id)
    try:
        interception = proxy.open_interception(authority, "".join(root.pem for root in policy.roots))
    except OSError as error:
        raise SandboxError(f"the roots that this machine trusts can't be read: {error}") from None
    interception.rehearse()
    return interception


def find_trust(
    policy: Policy, interception: Interception | None, environment: Mapping[str, str]
) -> Trust | None:
    """What the agent is to trust: the authority of its run, and the roots that its policy adds. Raises SandboxError."""
    authority = None if interception is None else interception.authority
    own = () if authority is None else (Added(authority.pem, authority.name_hash),)
    added = (*own, *_find_added(policy))
    if not added:
        return None
    from trio_egress.proxy.certificates import render_java_store

    roots = _read_roots(environment.get(ROOTS_VARIABLE, "") or find_bundle())
    stores = find_java_stores(environment.get("PATH", os.defpath))
    java = ""
    if stores:  # Java has never looked at a variable: it goes on to trust what the machine does
        machine = _read_roots(find_bundle()) or roots
        everything = "".join(one.pem for one in added) + machine
        java = render_java_store(everything).decode("utf-8", "surrogateescape")
    others = find_named(environment, dict(policy.env.set))
    named = (Named(variables, _read_roots(path, variables[0])) for path, variables in others.items())
    return Trust(added, roots, java, stores, tuple(named))


def _find_added(policy: Policy) -> Iterator[Added]:
    """The roots of the policy, one by one."""
    if not policy.roots:
        return
    from trio_egress.proxy.certificates import hash_name, split_certificates

    for root in policy.roots:
        try:
            for pem, certificate in split_certificates(root.pem):
                yield Added(pem, hash_name(certificate.subject))
        except ValueError as error:
            raise SandboxError(f"{root.name}, which [tls] extra_ca names: {error}") from None


def _read_roots(path: str, variable: str = ROOTS_VARIABLE) -> str:
    try:
        return read_certificates(path) if path else ""
    except OSError as error:
        raise SandboxError(
            f"cannot read {path}, which says whom programs trust: {error.strerror}; mend or unset {variable}"
        ) from None
